"""Correlation against the textbook formula in float64, one pair at a time, at the edges of its number formats."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.analysis import correlation as module
from tinymlsec.analysis.correlation import Correlation, chance_level
from tinymlsec.errors import UsageError
from tinymlsec.traces.traceset import TraceError


def slow(hypotheses: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Pearson's coefficient of each pair, 0 where one of the two does not vary."""
    out = np.zeros((hypotheses.shape[1], samples.shape[1]))
    for i, h in enumerate(hypotheses.astype(np.float64).T):
        for j, x in enumerate(samples.astype(np.float64).T):
            a, b = h - h.mean(), x - x.mean()
            if np.ptp(h) and np.ptp(x):
                out[i, j] = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    return out


def whole(hypotheses: np.ndarray, samples: np.ndarray, size: int = 10_000) -> module.Correlations:
    made = Correlation()
    for first in range(0, len(samples), size):
        made.update(hypotheses[first : first + size], samples[first : first + size])
    return made.result()


def related(rng: np.random.Generator, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    hypotheses = rng.integers(0, 33, (n, 7))
    samples = rng.normal(size=(n, 11)) * 3
    samples[:, 4] += hypotheses[:, 2]
    samples[:, 5] -= hypotheses[:, 3]
    return hypotheses, samples


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64"]
)
def test_every_type_equals_the_formula(kind: str) -> None:
    hypotheses, samples = related(np.random.default_rng(1))
    samples = np.abs(samples) if kind.startswith("u") else samples
    samples = samples.astype(kind)
    assert whole(hypotheses.astype(kind), samples).values == pytest.approx(slow(hypotheses, samples), abs=2e-6)


@pytest.mark.parametrize("size", [1, 3, 100, 499, 500])
def test_batches_of_any_size_give_the_same(size: int) -> None:
    hypotheses, samples = related(np.random.default_rng(2))
    assert whole(hypotheses, samples, size).values == pytest.approx(slow(hypotheses, samples), abs=2e-6)


def test_tiles_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hypotheses, samples = related(np.random.default_rng(3))
    monkeypatch.setattr(module, "ROWS", 37)
    monkeypatch.setattr(module, "TILE", 37 * 4)
    assert whole(hypotheses, samples, 111).values == pytest.approx(slow(hypotheses, samples), abs=2e-6)


def test_large_offsets_do_not_swallow_the_signal() -> None:
    """Sums of squares that are not shifted would lose all of it: 1e6 squared has 40 bits, float32 has 24."""
    rng = np.random.default_rng(4)
    hypotheses, samples = related(rng, 3000)
    offset = np.array([0, 1e6, -1e6] * 4)[:11]
    shifted = (np.rint(samples * 8) + offset).astype(np.float32)
    plain = np.rint(samples * 8)
    assert whole(hypotheses + 10**9, shifted, 700).values == pytest.approx(slow(hypotheses, plain), abs=5e-6)


@pytest.mark.parametrize("offset", [0, -3, 9, 11])
def test_samples_near_zero_are_not_shifted(offset: float) -> None:
    """Squares lose up to 1e-5 there, which scales a sample and changes no order; later batches are of any type."""
    hypotheses, samples = related(np.random.default_rng(14), 4000)
    samples = ((samples - samples.mean(axis=0)) / samples.std(axis=0) + offset).astype(np.float32)
    made = Correlation()
    for rows, kind in ((slice(2000), np.float32), (slice(2000, 3000), np.float64), (slice(3000, 4000), np.float32)):
        made.update(hypotheses[rows], samples[rows].astype(kind))
    assert made._x0 is not None
    assert made._x0.any() == (offset == 11)
    values, right = made.result().values.astype(float), slow(hypotheses, samples)
    assert values == pytest.approx(right, abs=1e-5 if offset == 9 else 1e-6)
    scale = (values * right).sum(axis=0) / (right * right).sum(axis=0)
    assert values == pytest.approx(right * scale, abs=1e-6)


def test_one_column_far_from_zero_or_constant_shifts_all() -> None:
    hypotheses, samples = related(np.random.default_rng(15), 1500)
    for column in (np.full(1500, 5.0), samples[:, 3] + 1e6):
        changed = samples.copy()
        changed[:, 3] = column
        changed = changed.astype(np.float32)
        assert whole(hypotheses, changed).values == pytest.approx(slow(hypotheses, changed), abs=2e-6)


def test_extremes_of_int16() -> None:
    rng = np.random.default_rng(5)
    samples = rng.choice(np.array([-32768, 32767], np.int16), (400, 5))
    hypotheses = rng.integers(0, 2, (400, 3), np.uint8)
    hypotheses[:, 1] = samples[:, 2] > 0
    made = whole(hypotheses, samples, 64)
    assert made.values == pytest.approx(slow(hypotheses, samples), abs=2e-6)
    assert made.values[1, 2] == pytest.approx(1)


def test_models_of_a_multiply_accumulate() -> None:
    """Any column of predictions will do: the right weight stands out, its negative stands at the other end."""
    rng = np.random.default_rng(6)
    a, b = rng.integers(-128, 128, (2, 4000))
    weight = np.arange(-128, 128)
    accumulator = (a * 77)[:, None] + np.outer(b, weight)
    leaks = np.bitwise_count((accumulator & 0xFFFFFFFF).astype(np.uint32))
    samples = rng.normal(size=(4000, 20)) * 4
    samples[:, 13] += leaks[:, weight == -58][:, 0]
    made = whole(leaks, samples.astype(np.float32), 1000)
    assert weight[made.scores().argmax()] == -58
    assert made.peaks()[weight == -58] == 13
    assert made.scores(signed=False).min() >= 0


def test_what_does_not_vary_is_zero_and_counted() -> None:
    hypotheses, samples = related(np.random.default_rng(7))
    samples = samples.astype(np.float32)
    samples[:, 3], samples[:, 9] = 0.1, -1e7 / 3
    hypotheses[:, 5] = 4
    for size in (1, 100, 500):
        made = whole(hypotheses, samples, size)
        assert np.flatnonzero(made.constant_samples).tolist() == [3, 9]
        assert np.flatnonzero(made.constant_hypotheses).tolist() == [5]
        assert (made.values[:, [3, 9]] == 0).all()
        assert (made.values[5] == 0).all()
    samples[-1, 3] = np.nextafter(np.float32(0.1), np.float32(1))
    assert np.flatnonzero(whole(hypotheses, samples, 100).constant_samples).tolist() == [9], "one trace is enough"


def test_perfect_correlation_stays_within_one() -> None:
    x = np.random.default_rng(8).normal(size=(1000, 3))
    values = whole(np.hstack([x, -x]), x * 1e-6).values
    assert np.abs(values).max() <= 1
    assert values[:3].diagonal() == pytest.approx(1)
    assert values[3:].diagonal() == pytest.approx(-1)


def test_results_can_be_taken_on_the_way() -> None:
    hypotheses, samples = related(np.random.default_rng(9))
    made = Correlation()
    for first in (0, 250):
        made.update(hypotheses[first : first + 250], samples[first : first + 250])
        upto = first + 250
        assert made.result().values == pytest.approx(slow(hypotheses[:upto], samples[:upto]), abs=2e-6)
        assert made.result().traces == upto
    made.update(hypotheses[:0], samples[:0])
    assert made.result().traces == 500


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_named(bad: float) -> None:
    hypotheses, samples = related(np.random.default_rng(10))
    made = Correlation()
    made.update(hypotheses[:300], samples[:300])
    samples[412, 6] = bad
    with pytest.raises(TraceError, match=r"samples is no number(?s:.)*trace 412, column 6"):
        made.update(hypotheses[300:], samples[300:])
    guesses = hypotheses.astype(float)
    guesses[5, 2] = bad
    with pytest.raises(TraceError, match=r"hypotheses is no number(?s:.)*trace 5, column 2"):
        Correlation().update(guesses, np.zeros((500, 3)))
    with pytest.raises(TraceError, match="too large"):
        Correlation().update(hypotheses[:2], np.array([[1e30], [2e30]]))


def test_bad_shapes_and_types_are_refused() -> None:
    hypotheses, samples = related(np.random.default_rng(11))
    made = Correlation()
    with pytest.raises(TraceError, match="two or more"):
        made.result()
    made.update(hypotheses, samples)
    with pytest.raises(TraceError, match=r"hypotheses and traces(?s:.)*found: 499 hypotheses(?s:.)*expected: 500"):
        made.update(hypotheses[1:], samples)
    with pytest.raises(TraceError, match="samples of another width"):
        made.update(hypotheses, samples[:, 1:])
    with pytest.raises(TraceError, match="hypotheses of another width"):
        made.update(hypotheses[:, 1:], samples)
    with pytest.raises(TraceError, match="type complex128"):
        made.update(hypotheses, samples.astype(complex))
    with pytest.raises(TraceError, match=r"shape \(500,\)"):
        made.update(hypotheses, samples[:, 0])


def test_memory_is_agreed_before_it_is_taken() -> None:
    with pytest.raises(UsageError, match=r"too much memory: 1000 hypotheses x 100000 samples"):
        Correlation(memory=1 << 28).update(np.zeros((2, 1000)), np.zeros((2, 100_000), np.int8))
    made = Correlation(memory=1 << 28)
    made.update(np.eye(2, 60_000), np.eye(2, 30))
    assert made.result().values.shape == (60_000, 30)


def test_chance_level_is_what_chance_does() -> None:
    """Family-wise: of 400 tables without any relation about one in twenty exceeds the level of 5 %."""
    rng, exceeded = np.random.default_rng(12), 0
    level = chance_level(200, 10 * 20, 0.05)
    for _ in range(400):
        made = whole(rng.normal(size=(200, 10)), rng.normal(size=(200, 20)))
        exceeded += bool(np.abs(made.values).max() > level)
    assert 6 <= exceeded <= 38
    assert chance_level(3, 1) == 1
    assert chance_level(10_000, 10**6) < chance_level(100, 10**6)
