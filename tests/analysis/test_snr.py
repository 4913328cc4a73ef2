"""Signal-to-noise ratio by both engines against the definition, class by class."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.analysis import scalib_engine
from tinymlsec.analysis.scalib_engine import DoesNotFit, Scaling, scaling_for
from tinymlsec.analysis.snr import Snr, SnrResult, snr_of
from tinymlsec.errors import CapabilityMissing, UsageError
from tinymlsec.records import Basis
from tinymlsec.traces.traceset import ArrayTraces, TraceError, TraceInfo

needs_scalib = pytest.mark.skipif(not scalib_engine.available(), reason="needs tinymlsec[sidechannel]")
ROUNDING = 5e-7
"""SCALib itself rounds ratios of 200 traces to about 3e-7, of more traces less; chance makes far more of them."""
ENGINES = [pytest.param("scalib", marks=needs_scalib), "numpy"]


def slow(samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weighted variance of the means over weighted mean of the variances."""
    x, out = samples.astype(np.float64), []
    for column in x.T:
        classes = [column[labels == c] for c in np.unique(labels)]
        shares = np.array([len(c) / len(column) for c in classes])
        means = np.array([c.mean() for c in classes])
        noise = (shares * [c.var() for c in classes]).sum()
        signal = (shares * (means - column.mean()) ** 2).sum()
        out.append(0.0 if np.ptp(column) == 0 else signal / noise if noise > 0 else np.inf)
    return np.array(out)


def leaking(rng: np.random.Generator, n: int = 2000, t: int = 12) -> tuple[np.ndarray, np.ndarray]:
    labels = np.minimum(rng.integers(0, 12, n), 8)
    samples = rng.normal(size=(n, t)) * 20
    samples[:, 3] += 10 * labels
    return np.rint(samples).astype(np.int16), labels


def whole(samples: np.ndarray, labels: np.ndarray, engine: str, size: int = 700, classes: int = 12) -> SnrResult:
    made = Snr(classes, engine=engine)  # type: ignore[arg-type]
    for first in range(0, len(samples), size):
        made.update(samples[first : first + size], labels[first : first + size])
    return made.result()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_type_equals_the_definition(engine: str, kind: str) -> None:
    samples, labels = leaking(np.random.default_rng(1))
    samples = (np.abs(samples) if kind.startswith("u") else samples).clip(-127, 127).astype(kind)
    made = whole(samples, labels, engine)
    assert made.values[0] == pytest.approx(slow(samples, labels), rel=1e-6, abs=ROUNDING)
    assert made.values.shape == (1, 12)
    assert made.traces == 2000
    assert ("SCALib (int16, exact" in made.engine) == (engine == "scalib")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1, 63, 64, 65, 2000])
def test_batches_of_any_size_give_the_same(engine: str, size: int) -> None:
    samples, labels = leaking(np.random.default_rng(2), 200)
    assert whole(samples, labels, engine, size).values[0] == pytest.approx(
        slow(samples, labels), rel=1e-6, abs=ROUNDING
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_extremes_of_int16(engine: str) -> None:
    rng = np.random.default_rng(3)
    samples = rng.choice(np.array([-32768, 32767], np.int16), (3000, 4))
    samples[:, 2] = rng.integers(32760, 32768, 3000)
    labels = rng.integers(0, 3, 3000)
    assert whole(samples, labels, engine).values[0] == pytest.approx(slow(samples, labels), rel=1e-6, abs=ROUNDING)


@needs_scalib
def test_many_traces_of_one_class_do_not_run_over() -> None:
    """32-bit sums of 32,767 might run over after 65,536 traces of a class, and SCALib refuses to go on."""
    samples = np.full((140_000, 2), 32_700, np.int16)
    samples[::2, 1] = 32_600
    labels = np.zeros(140_000, np.int64)
    labels[:1000] = 1
    expected = pytest.approx(slow(samples, labels), abs=1e-9)
    assert whole(samples, labels, "scalib", 70_000).values[0] == expected
    narrow = Snr(12, engine="scalib", most=65_535)
    narrow.update(samples[:65_535], labels[:65_535])
    assert narrow.result().values[0] == pytest.approx(slow(samples[:65_535], labels[:65_535]), abs=1e-9)
    with pytest.raises(TraceError, match=r"more traces than were said(?s:.)*65536(?s:.)*at most 65535"):
        narrow.update(samples[:1], labels[:1])


@pytest.mark.parametrize("engine", ENGINES)
def test_several_things_at_once(engine: str) -> None:
    samples, labels = leaking(np.random.default_rng(4))
    other = np.random.default_rng(5).integers(0, 4, 2000)
    made = whole(samples, np.stack([labels, other], 1), engine)
    assert made.values[0] == pytest.approx(slow(samples, labels), rel=1e-6, abs=ROUNDING)
    assert made.values[1] == pytest.approx(slow(samples, other), rel=1e-6, abs=ROUNDING)
    assert made.chance == pytest.approx([8 / (2000 - 9), 3 / (2000 - 4)])


@pytest.mark.parametrize("engine", ENGINES)
def test_samples_without_variance_or_without_noise(engine: str) -> None:
    samples, labels = leaking(np.random.default_rng(6))
    samples[:, 5], samples[:, 6] = 12345, 100 * labels - 7
    for size in (1, 100, 2000):
        made = whole(samples, labels, engine, size)
        assert np.flatnonzero(made.constant).tolist() == [5]
        assert made.values[0, 5] == 0
        assert np.isposinf(made.values[0, 6])
        assert np.isfinite(made.values[0, :5]).all()


def test_chance_is_what_chance_does() -> None:
    rng = np.random.default_rng(7)
    made = whole(rng.normal(size=(1000, 400)), rng.integers(0, 12, 1000), "numpy")
    assert made.values.mean() == pytest.approx(made.chance[0], rel=0.1)


@needs_scalib
def test_scaled_samples_give_the_ratio_of_the_real_ones() -> None:
    """Real numbers with an offset, of very different spread, within the 0.04 % that is promised."""
    rng = np.random.default_rng(8)
    _, labels = leaking(rng)
    samples = (5.0 + 1e-3 * rng.normal(size=(2000, 6)) * [1, 1, 2, 4, 1, 1]).astype(np.float32)
    samples[:, 3] += 1e-3 * labels
    made = whole(samples, labels, "auto")
    assert "SCALib (int16, rounded to steps of" in made.engine
    assert made.values[0] == pytest.approx(slow(samples, labels), rel=2e-3, abs=2e-5)
    spread = samples * np.array([1, 1, 1, 1, 1, 1e4], np.float32)
    assert whole(spread, labels, "auto").engine.startswith("NumPy"), "the small ones would drown in rounding"
    with pytest.raises(DoesNotFit, match="engine='numpy'"):
        whole(spread, labels, "scalib")


@needs_scalib
def test_what_leaves_the_range_midway_is_done_over() -> None:
    samples, labels = leaking(np.random.default_rng(9))
    data = samples.astype(np.float32)
    data[1500, 2] = 1e5
    with pytest.raises(DoesNotFit, match="int16"):
        whole(data, labels, "auto")
    set_ = ArrayTraces(TraceInfo(source="test", basis=Basis.MEASURED), data, labels.astype(np.uint8)[:, None])
    made = snr_of(set_, lambda chunk: chunk.inputs[:, 0], 12)
    assert made.values[0] == pytest.approx(slow(data, labels), rel=1e-6, abs=ROUNDING)
    parts = snr_of(set_, lambda chunk: chunk.inputs[:, 0], 12, start=100, end=1100)
    assert parts.values[0] == pytest.approx(slow(data[100:1100], labels[100:1100]), rel=1e-6, abs=ROUNDING)
    data[1500, 2] = 0.5
    with pytest.raises(DoesNotFit):
        whole(data, labels, "scalib")


def test_how_samples_become_int16() -> None:
    assert scaling_for(np.zeros((3, 2), np.int16)) == Scaling()
    assert scaling_for(np.array([[0.0, 32.0], [3.0, 1.0]])) == Scaling()
    assert scaling_for(np.array([[60000, 60032]], np.uint16)) == Scaling(60016.0)
    assert scaling_for(np.array([[0, 10**6]], np.int32)) is None, "one trace does not tell the spread"
    assert scaling_for(np.array([[0.0, np.nan]])) is None
    assert Scaling(60016.0).apply(np.array([[60000, 60032]], np.uint16)).tolist() == [[-16, 16]]
    assert Scaling().apply(np.array([[200, 255]], np.uint8)).tolist() == [[200, 255]]
    with pytest.raises(DoesNotFit, match="found: 40000 to 40000"):
        Scaling().apply(np.array([[40000]]))


@pytest.mark.parametrize("engine", ENGINES)
def test_values_that_are_no_numbers_are_named(engine: str) -> None:
    samples, labels = leaking(np.random.default_rng(10))
    data = samples.astype(np.float32)
    data[1777, 4] = np.nan
    with pytest.raises(TraceError, match=r"trace 1777, column 4"):
        whole(data, labels, engine)


def test_bad_labels_and_shapes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, labels = leaking(np.random.default_rng(11))
    made = Snr(9)
    with pytest.raises(TraceError, match="two or more"):
        made.result()
    made.update(samples, labels)
    for bad, words in ((labels + 1, "1 to 9"), (labels - 1, "-1 to 7"), (labels.astype(float), "float64")):
        with pytest.raises(TraceError, match=rf"labels of traces(?s:.)*found: .*{words}"):
            made.update(samples, bad)
    with pytest.raises(TraceError, match="labels and traces"):
        made.update(samples, labels[1:])
    with pytest.raises(TraceError, match="samples of another width"):
        made.update(samples[:, 1:], labels)
    with pytest.raises(TraceError, match="labels of another width"):
        made.update(samples, np.stack([labels, labels], 1))
    with pytest.raises(TraceError, match=r"2 to 65,536"):
        Snr(70_000)
    with pytest.raises(UsageError, match="too much memory"):
        Snr(65_536, memory=1 << 20).update(samples, labels)
    monkeypatch.setattr(scalib_engine, "available", lambda: False)
    assert whole(samples, labels, "auto").engine.startswith("NumPy")
    with pytest.raises(CapabilityMissing, match="sidechannel"):
        Snr(9, engine="scalib")
