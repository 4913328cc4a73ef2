"""Bits of latencies against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.attacks.side_channel._timing_statistics import (
    SIGNIFICANT,
    about_the_class,
    about_the_input,
    class_test,
    grouped,
    readings,
)


def test_a_reading_between_two_ticks_is_either() -> None:
    table = readings(np.array([100.0, 125.0, 199.0]), 100.0)
    assert table == pytest.approx(np.array([[1, 0], [0.75, 0.25], [0.01, 0.99]]))


def test_chances_of_readings_are_those_of_a_timer_at_any_phase() -> None:
    rng = np.random.default_rng(1)
    cycles = rng.uniform(900, 1300, 40)  # dense enough that no tick is left out
    table = readings(cycles, 70.0)
    first = int(np.floor(cycles.min() / 70))
    for row, latency in zip(table, cycles, strict=True):
        drawn = np.floor(latency / 70 + rng.random(20_000)).astype(int) - first
        assert np.bincount(drawn, minlength=len(row)) / 20_000 == pytest.approx(row, abs=0.02)


def test_equal_latencies_tell_nothing() -> None:
    rng = np.random.default_rng(1)
    cycles, classes = np.full(50, 777.0), np.arange(50) % 2
    assert about_the_input(cycles, 10.0, rng).value == 0
    assert about_the_class(cycles, classes, 10.0, rng, 100).value == 0
    assert not class_test(cycles, classes, 10.0, rng).alarm


def test_two_latencies_far_apart_tell_one_bit() -> None:
    rng = np.random.default_rng(1)
    classes = np.arange(60) % 2
    cycles = 1000.0 + 500 * classes
    assert about_the_input(cycles, 100.0, rng).value == pytest.approx(1)
    told = about_the_class(cycles, classes, 100.0, rng, 500)
    assert told.value == pytest.approx(1, abs=0.05)
    assert told.low > 0.5
    assert told.chance <= SIGNIFICANT
    assert class_test(cycles, classes, 100.0, rng).alarm


def test_a_tick_far_longer_than_the_difference_tells_little_and_as_computed() -> None:
    """Two latencies d apart at ticks of r: read apart with probability d / r, whatever the phase."""
    cycles = np.where(np.arange(40) % 2, 1010.0, 1000.0)
    share = 10 / 2000
    table = np.array([[0.5, 0.5], [0.5 - share, 0.5 + share]])  # 1000 lies in the middle of a tick
    mean = table.mean(axis=0)

    def entropy(row: np.ndarray) -> float:
        return float(-(row * np.log2(row)).sum())

    expected = entropy(mean) - np.mean([entropy(row) for row in table])
    told = about_the_input(cycles, 2000.0, np.random.default_rng(1))
    assert told.value == pytest.approx(expected, rel=1e-6)


def test_classes_by_chance_are_rarely_significant() -> None:
    rng = np.random.default_rng(7)
    alarms = misses = 0
    for _ in range(200):
        cycles = rng.choice([1000.0, 1100.0, 1250.0, 1400.0], 60)
        classes = rng.integers(0, 4, 60)
        alarms += about_the_class(cycles, classes, 50.0, rng, 200, resamples=1).chance <= SIGNIFICANT
        misses += class_test(cycles, classes, 50.0, rng).alarm
    assert alarms <= 8  # 1 % of 200 is 2; more than 8 has a probability below 0.1 %
    assert misses <= 8


def test_bias_is_taken_off() -> None:
    rng = np.random.default_rng(9)
    raw, corrected = [], []
    for _ in range(60):
        told = about_the_class(rng.uniform(0, 5000, 60), rng.integers(0, 4, 60), 50.0, rng, 100, resamples=1)
        raw.append(told.raw)
        corrected.append(told.value)
    assert np.mean(corrected) < np.mean(raw) / 2


def test_groups_keep_all_weight_and_their_number() -> None:
    table = readings(np.random.default_rng(3).uniform(0, 10_000, 50), 10.0)
    few = grouped(table, 5)
    assert few.shape[1] <= 5
    assert few.sum(axis=1) == pytest.approx(np.ones(50))
    assert few.mean(axis=0).max() < 0.4
