"""Statistics of imported traces: features, luck of ranks, partial correlation and intervals against slow references."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.analysis.rank import ranks_of
from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._measured_luck import erlang_tail, luck_of
from tinymlsec.attacks.side_channel._measured_report import fisher
from tinymlsec.attacks.side_channel._measured_subject import (
    byte_classes,
    shown,
)
from tinymlsec.attacks.side_channel._measured_weights import GUESSES, KNOWN, _Partial

RNG = np.random.default_rng


def test_features_of_sums() -> None:
    after = RNG(1).integers(-(1 << 20), 1 << 20, (7, 4)).astype(np.int32)
    for i in range(7):
        for k in range(3):
            now, before = int(after[i, k + 1]), int(after[i, k])
            assert shown(after, "weight")[i, k] == bin(now & 0xFFFFFFFF).count("1")
            assert shown(after, "change")[i, k] == bin((now ^ before) & 0xFFFFFFFF).count("1")


def test_byte_classes_decide_both_weights() -> None:
    every = np.arange(256, dtype=np.uint8)
    classes = byte_classes(every)
    assert classes.max() < 17
    for weight in (np.bitwise_count(every), bits(every.view(np.int8).astype(np.int32))):
        assert all(len(set(weight[classes == c].tolist())) == 1 for c in np.unique(classes))


def test_the_tail_of_a_sum_of_logarithms() -> None:
    assert erlang_tail(0.0, 3) == 1.0
    assert erlang_tail(2.0, 1) == pytest.approx(np.exp(-2))
    sums = -np.log(RNG(0).random((50_000, 6))).sum(axis=1)
    for x in (3.0, 6.0, 12.0):
        assert np.mean(sums > x) == pytest.approx(erlang_tail(x, 6), abs=0.01)


def predictions(seed: int, weights: int, lonely: int) -> list[np.ndarray]:
    """Of several weights that resemble each other; one guess of each resembles no other guess."""
    rng = RNG(seed)
    n, shared, steps = 400, rng.integers(0, 20, (400, 1)), []
    alone = rng.integers(0, 33, n)
    for _ in range(weights):
        guesses = shared + rng.integers(0, 4, (n, GUESSES))
        guesses[:, lonely] = alone + rng.integers(0, 9, n)
        steps.append(np.concatenate([rng.integers(0, 9, (n, KNOWN)), guesses], axis=1).astype(np.uint8))
    return steps


def test_ranks_by_luck_are_those_of_noise() -> None:
    """A lonely guess comes first more often than once in 255 times, and does so for all weights at once."""
    weights, lonely = 4, 200
    steps, true = predictions(6, weights, lonely), np.full(weights, lonely)
    luck = luck_of(steps, KNOWN, true, RNG(1))
    rng, ranks = RNG(2), []
    for _ in range(120):
        noise = rng.standard_normal((400, 4)).astype(np.float32)
        row = []
        for step in steps:
            partial = _Partial(3)
            partial.update(step, noise)
            row.append(ranks_of(partial.scores()[0], lonely).worst)
        ranks.append(row)
    seen = np.array(ranks)
    assert (seen == 1).mean() > 5 / GUESSES, "it is lonely"
    assert (luck.ranks == 1).mean() == pytest.approx((seen == 1).mean(), abs=0.1)
    together = np.array([luck.together(row) for row in seen])
    for level in (0.5, 0.2, 0.05):
        assert np.mean(together <= level) <= level + 3.5 * np.sqrt(level / len(seen)), "not more often than stated"
    assert luck.together(np.full(weights, GUESSES)) > 0.5
    assert luck.together(np.zeros(0, np.int64)) == 1.0


def test_unlike_weights_make_first_ranks_unlikely() -> None:
    rng = RNG(3)
    steps = [rng.integers(0, 33, (500, KNOWN + GUESSES)).astype(np.uint8) for _ in range(4)]
    luck = luck_of(steps, KNOWN, np.array([3, 50, 99, 254]), RNG(4))
    assert luck.each(np.ones(4, np.int64)).max() < 0.02
    assert luck.together(np.ones(4, np.int64)) < 1e-6


def test_partial_correlation_is_that_of_residuals() -> None:
    rng = RNG(4)
    n, t = 700, 23
    known = rng.integers(0, 33, (n, KNOWN))
    guesses = rng.integers(0, 33, (n, GUESSES)) + known[:, :1]
    guesses[:, 7] = known[:, 2]  # says nothing of its own
    predicted = np.concatenate([known, guesses], axis=1).astype(np.uint8)
    samples = rng.standard_normal((n, t)).astype(np.float32) * 9
    samples[:, 11] += predicted[:, KNOWN + 100] + 2 * predicted[:, 1]
    partial = _Partial(3)  # which no sample shows, so that all samples count
    for part in (slice(0, 300), slice(300, n)):
        partial.update(predicted[part], samples[part])
    design = np.concatenate([np.ones((n, 1)), predicted[:, :KNOWN]], axis=1)

    def residual(columns: np.ndarray) -> np.ndarray:
        return columns - design @ np.linalg.lstsq(design, columns, rcond=None)[0]

    left, right = residual(predicted[:, KNOWN:].astype(float)), residual(samples.astype(float))
    expected = (left.T @ right) / np.maximum(
        np.linalg.norm(left, axis=0)[:, None] * np.linalg.norm(right, axis=0), 1e-9
    )
    expected[7] = 0
    more, less = partial.scores()
    assert more == pytest.approx(expected.max(axis=1), abs=1e-4)
    assert less == pytest.approx((-expected).max(axis=1), abs=1e-4)
    assert more.argmax() == 100


def test_intervals_hold_their_coefficient() -> None:
    for r, n in ((0.0, 10), (0.4, 100), (0.99, 5), (1.0, 50), (0.3, 2)):
        low, high = fisher(r, n)
        assert 0 <= low <= r <= high <= 1


# -- what leaks, and what does not ------------------------------------------------------------------------------------
