"""Intervals against exact references and against their own promise of covering the truth."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.analysis.intervals import bootstrap, crossed_bootstrap, share_of, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998,
        # table I, method 3 (score without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson(successes, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert share_of(successes, n) == (successes / n, *interval, n)


def test_wilson_at_the_edges_and_mirrored() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert share_of(0, 0) == (0.0, 0.0, 1.0, 0)
    assert wilson(5, 5).high == 1.0
    left, right = wilson(3, 17), wilson(14, 17)
    assert left.low == pytest.approx(1 - right.high)
    with pytest.raises(ValueError, match="6 successes in 5"):
        wilson(6, 5)


def test_bootstrap_of_the_mean_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    estimate = bootstrap(values, np.random.default_rng(2))
    half = 1.96 * values.std(ddof=1) / 20
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.25 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.25 * half)


def test_bootstrap_of_the_median_ignores_an_outlier() -> None:
    values = [*range(101), 10**9]
    estimate = bootstrap(values, np.random.default_rng(0), "median")
    assert 30 < estimate.low <= 50.5 <= estimate.high < 75


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        estimate = bootstrap(rng.exponential(1.0, 60), rng, resamples=400)
        hits += estimate.low <= 1.0 <= estimate.high
    assert 265 <= hits <= 297  # 95 % of 300 is 285; the percentile interval covers a little less


def test_crossed_bootstrap_is_wider_than_independent_cells_when_rows_differ() -> None:
    rng = np.random.default_rng(3)
    table = rng.random((5, 200)) < np.linspace(0.2, 0.9, 5)[:, None]
    crossed = crossed_bootstrap(table, np.random.default_rng(0))
    cells = bootstrap(table.reshape(-1).astype(float), np.random.default_rng(0))
    assert crossed.low < table.mean() < crossed.high
    assert crossed.high - crossed.low > 3 * (cells.high - cells.low)


def test_crossed_bootstrap_equals_the_obvious_loop() -> None:
    table = np.random.default_rng(5).random((4, 30))
    rng = np.random.default_rng(11)
    means = []
    for _ in range(4000):
        rows, columns = rng.integers(0, 4, 4), rng.integers(0, 30, 30)
        means.append(table[np.ix_(rows, columns)].mean())
    estimate = crossed_bootstrap(table, np.random.default_rng(12), resamples=4000)
    assert estimate.low == pytest.approx(np.quantile(means, 0.025), abs=0.01)
    assert estimate.high == pytest.approx(np.quantile(means, 0.975), abs=0.01)


def test_same_seed_same_interval_and_blocks_do_not_matter_for_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(50.0)
    first = bootstrap(values, np.random.default_rng(4))
    assert bootstrap(values, np.random.default_rng(4)) == first
    monkeypatch.setattr("tinymlsec.analysis.intervals._BLOCK", 500)
    assert bootstrap(values, np.random.default_rng(4)) == first


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
def test_values_that_have_no_interval_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        bootstrap(values, np.random.default_rng(0))
    with pytest.raises(ValueError, match="finite"):
        crossed_bootstrap([values], np.random.default_rng(0))


def test_one_value_has_no_width() -> None:
    assert bootstrap([3.0], np.random.default_rng(0)) == (3.0, 3.0)


@pytest.mark.parametrize("shape", [(3, 30), (5, 200), (7, 11)])
def test_the_interval_of_a_share_never_leaves_0_to_1(shape: tuple[int, int]) -> None:
    for seed in range(20):
        full = crossed_bootstrap(np.ones(shape), np.random.default_rng(seed), resamples=500)
        assert (full.low, full.high) == (1.0, 1.0)
