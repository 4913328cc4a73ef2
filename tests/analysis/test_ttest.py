"""Welch's t by both engines against the formula, and the threshold against what chance does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tinymlsec.analysis import scalib_engine
from tinymlsec.analysis.ttest import TTest, TTestResult, threshold, ttest_of
from tinymlsec.records import Basis
from tinymlsec.traces.traceset import ArrayTraces, TraceError, TraceInfo

needs_scalib = pytest.mark.skipif(not scalib_engine.available(), reason="needs tinymlsec[sidechannel]")
ENGINES = [pytest.param("scalib", marks=needs_scalib), "numpy"]


def slow(samples: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(2, t) first and second order, from the two groups as they are."""
    a, b = (samples[groups == g].astype(np.float64) for g in (0, 1))
    out = []
    for x, y in ((a, b), ((a - a.mean(0)) ** 2, (b - b.mean(0)) ** 2)):
        with np.errstate(invalid="ignore", divide="ignore"):
            out.append((x.mean(0) - y.mean(0)) / np.sqrt(x.var(0) / len(x) + y.var(0) / len(y)))
    return np.array(out)


def leaking(rng: np.random.Generator, n: int = 2000, t: int = 10) -> tuple[np.ndarray, np.ndarray]:
    groups = (rng.random(n) < 0.3).astype(int)
    samples = rng.normal(size=(n, t)) * 30
    samples[:, 2] += 5 * groups
    samples[:, 7] *= 1 + 0.3 * groups
    return np.rint(samples).astype(np.int16), groups


def whole(samples: np.ndarray, groups: np.ndarray, engine: str, orders: int = 2, size: int = 700) -> TTestResult:
    made = TTest(orders, engine=engine)  # type: ignore[arg-type]
    for first in range(0, len(samples), size):
        made.update(samples[first : first + size], groups[first : first + size])
    return made.result()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_type_equals_the_formula(engine: str, kind: str) -> None:
    samples, groups = leaking(np.random.default_rng(1))
    samples = (np.abs(samples) if kind.startswith("u") else samples).clip(-127, 127).astype(kind)
    made = whole(samples, groups, engine)
    assert made.values == pytest.approx(slow(samples, groups), rel=1e-7, abs=1e-9)
    assert made.tested.all()
    assert sum(made.groups) == 2000


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1, 3, 64, 65, 2000])
def test_batches_of_any_size_give_the_same(engine: str, size: int) -> None:
    samples, groups = leaking(np.random.default_rng(2), 300)
    made = whole(samples, groups.astype(bool), engine, 2, size)
    assert made.values == pytest.approx(slow(samples, groups), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_alarms_are_where_the_groups_differ(engine: str) -> None:
    made = whole(*leaking(np.random.default_rng(3), 20_000), engine)
    assert np.argwhere(made.alarms).tolist() == [[0, 2], [1, 7]]
    assert made.max_abs[0] == pytest.approx(np.abs(made.values[0]).max())
    assert (made.excluded, made.alpha) == (0, 1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_extremes_and_large_offsets(engine: str) -> None:
    rng = np.random.default_rng(4)
    samples = rng.choice(np.array([-32768, 32767], np.int16), (3000, 3))
    samples[:, 1] = rng.integers(32750, 32768, 3000)
    groups = rng.integers(0, 2, 3000)
    assert whole(samples, groups, engine).values == pytest.approx(slow(samples, groups), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_samples_without_variance_are_excluded_and_counted(engine: str) -> None:
    samples, groups = leaking(np.random.default_rng(5))
    samples[:, 4], samples[:, 5] = 12345, np.where(groups == 1, 9, 4)
    samples[groups == 0, 6] = 77
    for size in (1, 100, 2000):
        made = whole(samples, groups, engine, 2, size)
        assert made.excluded == 1
        assert not made.tested[:, 4].any()
        assert np.flatnonzero(made.separated[0]).tolist() == [5], "one value in each group, and another"
        assert made.alarms[0, 5]
        assert made.tested[0, 6], "one group that varies is enough for a test"
        assert np.isfinite(made.values).all()
        assert made.values[:, [4, 5]] == pytest.approx(0)
    fewer = whole(samples[:, :4], groups, engine)
    assert made.threshold > fewer.threshold, "more samples, higher threshold"


@needs_scalib
def test_scaled_samples_give_the_t_of_the_real_ones() -> None:
    rng = np.random.default_rng(6)
    samples, groups = leaking(rng)
    volts = (2.5 + 1e-3 * (samples + rng.normal(size=samples.shape))).astype(np.float32)
    made = whole(volts, groups, "auto")
    assert "rounded" in made.engine
    assert made.values == pytest.approx(slow(volts, groups), rel=2e-3, abs=0.01)


def test_sets_are_tested_and_done_over_where_they_leave_the_range() -> None:
    samples, groups = leaking(np.random.default_rng(7))
    data = samples.astype(np.float32)
    data[1900, 3] = 1e6
    traces = ArrayTraces(TraceInfo(source="test", basis=Basis.MEASURED), data, groups.astype(np.uint8)[:, None])
    made = ttest_of(traces, lambda chunk: chunk.inputs[:, 0], 2, start=50)
    assert made.values == pytest.approx(slow(data[50:], groups[50:]), rel=1e-6, abs=1e-8)
    assert made.threshold == threshold(20, int(groups[50:].sum()))


def test_the_threshold_keeps_its_promise_on_silent_traces() -> None:
    """Few traces, where the normal distribution would ring too often; 5 % for all samples together."""
    rng, rings = np.random.default_rng(8), 0
    for _ in range(600):
        made = TTest(engine="numpy")
        made.update(rng.normal(size=(40, 50)), np.arange(40) % 2)
        rings += bool(made.result(alpha=0.05).alarms.any())
    assert 8 <= rings <= 45, "30 expected; the fewest degrees of freedom make it somewhat less"


def test_threshold_by_hand() -> None:
    assert threshold(1, 10**9, 0.05) == pytest.approx(1.959964, abs=1e-5)
    assert threshold(1000, 10**9) == pytest.approx(4.89, abs=0.01)
    assert threshold(1, 11, 0.05) == pytest.approx(2.228139 * np.sqrt(1.1), abs=1e-4)
    assert threshold(10**6, 500) > threshold(10**6, 5000) > threshold(10**5, 5000)


@pytest.mark.parametrize("engine", ENGINES)
def test_values_that_are_no_numbers_are_named(engine: str) -> None:
    samples, groups = leaking(np.random.default_rng(9))
    data = samples.astype(np.float64)
    data[1234, 8] = np.inf
    with pytest.raises(TraceError, match=r"trace 1234, column 8"):
        whole(data, groups, engine)


def test_bad_groups_and_shapes_are_refused() -> None:
    samples, groups = leaking(np.random.default_rng(10))
    made = TTest()
    with pytest.raises(TraceError, match="both groups"):
        made.result()
    made.update(samples, groups)
    for bad in (groups + 1, groups.astype(float), np.stack([groups, groups], 1)):
        with pytest.raises(TraceError, match="groups of traces"):
            made.update(samples, bad)
    with pytest.raises(TraceError, match="groups and traces"):
        made.update(samples, groups[1:])
    with pytest.raises(TraceError, match="samples of another width"):
        made.update(samples[:, 1:], groups)
    with pytest.raises(TraceError, match="orders of a t-test"):
        TTest(3)
    lonely = TTest()
    lonely.update(samples, np.zeros(2000, int))
    with pytest.raises(TraceError, match="found: 0 and 2000"):
        lonely.result()


@needs_scalib
def test_an_interrupt_in_scalib_reaches_python() -> None:
    """Called directly on the main thread, SCALib would let the signal kill the process."""
    program = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background has it ignored
        "import numpy as np\n"
        "from tinymlsec.analysis.ttest import TTest\n"
        "x = np.zeros((20000, 2000), np.int16); g = np.arange(20000) % 2\n"
        "test = TTest(2, engine='scalib')\n"
        "try:\n"
        "    test.update(x, g); print('begun', flush=True)\n"
        "    while True: test.update(x, g)\n"
        "except KeyboardInterrupt:\n"
        "    print('kept')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "kept\n"
        assert process.returncode == 0
    finally:
        process.kill()
