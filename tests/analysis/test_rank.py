"""Ranks, guessing entropy, success and traces needed, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.analysis.intervals import wilson
from tinymlsec.analysis.rank import (
    Ranks,
    chance_entropy,
    entropy_curve,
    guessing_entropy,
    ranks_of,
    success_curve,
    success_rate,
    traces_needed,
)


def test_ranks_equal_sorting() -> None:
    rng = np.random.default_rng(1)
    scores, true = rng.normal(size=(40, 3, 17)), rng.integers(0, 17, (40, 3))
    ranks = ranks_of(scores, true)
    for i in range(40):
        for j in range(3):
            order = sorted(range(17), key=lambda g: -scores[i, j, g])
            assert ranks.middle[i, j] == ranks.worst[i, j] == order.index(true[i, j]) + 1
    assert ranks.guesses == 17


def test_ties_never_help() -> None:
    silent = ranks_of(np.zeros((5, 256)), 17)
    assert (silent.middle == 128.5).all(), "the rank of chance"
    assert not silent.success().any()
    assert not silent.success(255).any()
    assert silent.success(256).all()
    shared = ranks_of([[3.0, 9.0, 9.0, 1.0]], [1])
    assert (shared.middle[0], shared.worst[0]) == (1.5, 2)
    assert guessing_entropy(silent, np.random.default_rng(0))[0] == pytest.approx(chance_entropy(256))


def test_guessing_entropy_is_log_of_the_mean_rank() -> None:
    ranks = Ranks(np.array([1.0, 3.0, 12.0]), np.array([1, 3, 12]), 16)
    value, (low, high) = guessing_entropy(ranks, np.random.default_rng(2))
    assert value == pytest.approx(np.log2(16 / 3))
    assert 0 <= low < value < high <= np.log2(12)
    assert chance_entropy(1) == 0


def test_success_rate_has_wilsons_interval() -> None:
    ranks = Ranks(np.arange(1.0, 21), np.arange(1, 21), 20)
    assert success_rate(ranks)[:] == (0.05, *wilson(1, 20), 20)
    assert success_rate(ranks, 5).value == 0.25


TABLE = np.array([[0, 1, 0, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], bool)
COUNTS = (10, 20, 50, 100, 200)


def test_success_curve_and_traces_needed() -> None:
    curve = success_curve(TABLE, COUNTS, title="first layer", chance=1 / 255)
    assert [point.x for point in curve.points] == list(COUNTS)
    assert [point.y for point in curve.points] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert (curve.points[2].low, curve.points[2].high) == wilson(3, 4)
    assert curve.points[2].n == 4
    assert traces_needed(TABLE, COUNTS, 0.99) == 100
    assert traces_needed(TABLE, COUNTS, 0.5) == 20
    assert traces_needed(TABLE, COUNTS, 0.25) == 10


def test_a_rate_that_falls_again_does_not_count() -> None:
    falling = TABLE[:, [0, 3, 1, 4, 2]]
    assert traces_needed(falling, COUNTS, 0.75) == 100
    assert traces_needed(falling, COUNTS, 0.99) is None
    assert traces_needed(~TABLE & False, COUNTS) is None


def test_entropy_curve() -> None:
    rng = np.random.default_rng(3)
    ranks = Ranks(np.array([[8.0, 1.0], [4.0, 1.0]]), np.array([[8, 1], [4, 1]]), 8)
    curve = entropy_curve(ranks, (5, 6), rng, title="t")
    assert [point.y for point in curve.points] == [pytest.approx(np.log2(6)), 0.0]
    assert curve.chance == pytest.approx(np.log2(4.5))
    assert curve.metric == "guessing_entropy"


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        ranks_of([[1.0, np.nan]], [0])
    with pytest.raises(ValueError, match="none of 2"):
        ranks_of([[1.0, 2.0]], [2])
    with pytest.raises(ValueError, match="finite scores"):
        ranks_of(np.zeros((3, 0)), 0)
    with pytest.raises(ValueError, match="counts of traces"):
        traces_needed(TABLE, COUNTS[:4])
    with pytest.raises(ValueError, match="ascend"):
        traces_needed(TABLE, (10, 20, 20, 30, 40))
    with pytest.raises(ValueError, match="counts"):
        success_curve(TABLE[:0], COUNTS, title="t", chance=0)
