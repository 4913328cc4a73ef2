"""Weights from traces of the device alone: where products are computed, and what their samples show."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")

from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._points import Point
from tinymlsec.attacks.side_channel._weights_anchors import ascending, find_anchors, known_columns, regular
from tinymlsec.attacks.side_channel._weights_bias import find_bias
from tinymlsec.attacks.side_channel._weights_likelihood import Moments, fitted_cost
from tinymlsec.attacks.side_channel._weights_unprofiled import extract, locate

RNG = np.random.default_rng
OFFSET = 17


def test_ascending_columns_are_the_best_of_all() -> None:
    values = RNG(0).normal(size=(4, 9))
    samples, total = ascending(values)
    every = {columns: sum(values[k, c] for k, c in enumerate(columns)) for columns in combinations(range(9), 4)}
    assert tuple(samples) == max(every, key=lambda columns: every[columns])
    assert total == pytest.approx(max(every.values()))


def test_fitted_cost_is_the_variance_that_a_regression_leaves() -> None:
    rng = RNG(1)
    x, y = rng.integers(0, 32, 200).astype(float), rng.normal(0, 3, 200)
    y += 2 * x
    m = Moments(*(np.asarray(v) for v in (200, x.sum(), (x**2).sum(), y.sum(), (y**2).sum(), (x * y).sum())))
    left = y - np.polyval(np.polyfit(x, y, 1), x)
    assert float(fitted_cost(m, 1.0)) == pytest.approx(100 * np.log(left.var() + 1e-4))
    assert float(fitted_cost(m, -1.0)) == pytest.approx(100 * np.log(y.var() + 1e-4)), "the wrong sign explains nothing"


def loop(n: int, k: int, sigma: float, seed: int, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Traces (n, t) of a made-up loop of seven instructions: code, weight, offset added, sum, three of no interest."""
    rng = RNG(seed)
    weights = rng.integers(-127, 128, k).astype(np.int32)
    factors = rng.integers(-128, 128, (n, k)).astype(np.int32) + OFFSET
    sums = np.cumsum(factors * weights, axis=1, dtype=np.int32)
    signal = np.full((n, 20 + 7 * k + 30), 9.0, np.float32)
    for i in range(k):
        at = 20 + 7 * i
        signal[:, at] = bits(np.ascontiguousarray(factors[:, i] - OFFSET))
        signal[:, at + 1] = bits(weights[i : i + 1])[0] + i % 3
        signal[:, at + 2] = bits(np.ascontiguousarray(factors[:, i]))
        signal[:, at + 4] = bits(np.ascontiguousarray(sums[:, i]))
        signal[:, at + 5] = i
    signal[:, 20 + 7 * k + 2] = bits(np.ascontiguousarray(sums[:, -1]))
    signal[:, 20 + 7 * k + 6] = bits(sums[:, -1] + np.int32(-700))
    signal[:, 20 + 7 * k + 9] = bits((sums[:, -1] - np.int32(700)) >> 5)
    return gain * signal + sigma * rng.standard_normal(signal.shape).astype(np.float32), factors, weights


def test_anchors_are_where_known_numbers_show() -> None:
    traces, factors, _ = loop(400, 20, 6.0, 2)
    groups = [(k,) for k in range(20)]
    found = find_anchors(traces, known_columns(factors, OFFSET, groups), 20)
    expected = {"hw_code": 20, "hw_factor": 22}[found.feature] + 7 * np.arange(20)
    assert (found.samples == expected).all()
    assert (found.period, found.polarity) == (7, 1)


def test_anchors_that_do_not_show_follow_the_rhythm() -> None:
    """Rounds of four steps, six samples each, eleven more between rounds."""
    true = np.array([100 + 6 * k + 11 * (k // 4) for k in range(24)])
    clear = RNG(7).random(24) > 0.4
    clear[:2], clear[4] = True, False
    wrong = np.where(clear, true, true + RNG(8).integers(-5, 6, 24))
    assert (regular(wrong, clear, 4, 400) == true).all()


@pytest.mark.parametrize("gain", [1.0, -0.5])
def test_weights_and_bias_follow_from_traces_alone(gain: float) -> None:
    traces, factors, weights = loop(800, 20, 5.0 * abs(gain), 3, gain)
    groups = [(k,) for k in range(20)]
    located = locate(traces, factors, OFFSET, groups, len(groups))
    assert located.feature == "hw_sum"
    assert located.samples[0] == 24
    found = extract(traces, factors, groups, located, 16)
    assert (found.chain.weights == weights).all()
    template = found.steps[-1][0]
    assert template.gain == pytest.approx(gain, rel=0.1)
    assert found.sigma == pytest.approx(5.0 * abs(gain), rel=0.1)
    assert any(point.feature == "hw_weight" for point in found.steps[0]), "loads calibrate themselves from step to step"
    assert find_bias(traces, found.chain.sums, template, 1 << 14) == -700


def test_a_weight_of_zero_is_no_ghost() -> None:
    """The sum before a step is what a weight of zero predicts, and it really shows, one step earlier."""
    rng = RNG(4)
    traces, factors, _ = loop(600, 16, 0.0, 5)
    weights = rng.integers(-127, 128, 16).astype(np.int32)
    weights[[3, 4, 9]] = 0
    sums = np.cumsum(factors * weights, axis=1, dtype=np.int32)
    for i in range(16):
        traces[:, 24 + 7 * i] = bits(np.ascontiguousarray(sums[:, i]))
        traces[:, 21 + 7 * i] = bits(weights[i : i + 1])[0]
    traces = traces + 4 * rng.standard_normal(traces.shape).astype(np.float32)
    groups = [(k,) for k in range(16)]
    assert (
        extract(traces, factors, groups, locate(traces, factors, OFFSET, groups, len(groups)), 16).chain.weights
        == weights
    ).all()


def test_a_silent_device_gives_nothing() -> None:
    hits = 0
    for seed in range(2):
        traces, factors, weights = loop(300, 16, 1.0, seed)
        silent = RNG(seed).normal(9, 5, traces.shape).astype(np.float32)
        groups = [(k,) for k in range(16)]
        found = extract(silent, factors, groups, locate(silent, factors, OFFSET, groups, len(groups)), 8)
        hits += int((found.chain.weights == weights).sum())
    assert hits <= 3, "32 weights, one in 255 by luck"


def test_no_bias_where_nothing_shows_the_sum() -> None:
    rng = RNG(6)
    sums = rng.integers(-60_000, 60_000, 500).astype(np.int32)
    template = Point(2, "hw_sum", 1.0, 0.0, 3.0, 1.0)
    traces = rng.normal(16, 3, (500, 12)).astype(np.float32)
    traces[:, 2] += bits(sums)
    assert find_bias(traces, sums, template, 1 << 12) is None
    traces[:, 5] = bits(sums) + rng.normal(0, 3, 500)
    assert find_bias(traces, sums, template, 1 << 12) == 0, "a bare copy says that nothing is added"
    traces[:, 8] = bits(sums + np.int32(321)) + rng.normal(0, 3, 500)
    assert find_bias(traces, sums, template, 1 << 12) == 321
