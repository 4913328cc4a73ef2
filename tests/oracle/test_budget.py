"""Budgets: counted inferences are refused before work starts, seconds end it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from oracle.oracle_models import endless, relu
from tinymlsec.errors import BudgetExceeded, UsageError
from tinymlsec.target.oracle import Budget, OraclePool


def test_inferences_are_counted_and_refused_beforehand(pool):
    handle, before = pool.open(relu(1, 2)), pool.inferences
    budget, x = Budget(10), np.zeros((6, 2), np.float32)
    handle.run(x, budget=budget)
    with pytest.raises(BudgetExceeded, match="used up") as caught:
        handle.run(x, budget=budget)
    assert caught.value.found == "6 asked for, 4 left"
    assert (budget.spent, budget.remaining, pool.inferences - before) == (6, 4, 6)
    handle.run(x[:4], budget=budget)
    assert budget.remaining == 0


def test_steps_of_sequences_count(pool):
    handle, budget = pool.open(relu(1, 2)), Budget(None)
    handle.run_sequences(np.zeros((3, 5, 2), np.float32), budget=budget)
    assert (budget.spent, budget.remaining) == (15, None)


def test_budget_of_the_pool_is_not_spent_twice():
    budget = Budget(5)
    with OraclePool(1, budget=budget) as pool:
        pool.open(relu(1, 2)).run(np.zeros((3, 2), np.float32), budget=budget)
        assert budget.spent == 3
        with pytest.raises(BudgetExceeded):
            pool.open(relu(1, 2)).run(np.zeros((3, 2), np.float32), budget=Budget(100))


def test_seconds_end_a_hanging_model_early():
    budget = Budget(seconds=1.0)
    with OraclePool(2, budget=budget) as pool:
        handle = pool.open(endless())
        began = time.monotonic()
        with pytest.raises(BudgetExceeded, match="time for the runtime"):
            handle.run(np.ones((8, 1), bool))
        assert time.monotonic() - began < 5
        assert pool.pids == []
        with pytest.raises(BudgetExceeded, match="time for the runtime"):
            pool.open(relu(1, 2))
    assert budget.spent_seconds >= 1.0


def test_starting_workers_is_not_charged():
    budget = Budget(seconds=100.0)
    with OraclePool(1, budget=budget) as pool:
        began = time.monotonic()
        pool.open(relu(1, 2))
        assert budget.spent_seconds < (time.monotonic() - began) / 2


@pytest.mark.parametrize("budget", [{"total": -1}, {"seconds": -0.1}])
def test_negative_budgets(budget):
    with pytest.raises(UsageError):
        Budget(**budget)
