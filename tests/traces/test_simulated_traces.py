"""Simulated traces: the same however they are cut, with the noise that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.machine.test_machine_runs import started
from tinymlsec.emulate.contract import Window
from tinymlsec.emulate.leakage import PARTS, Leakage, kinds_of
from tinymlsec.emulate.machine import Machine
from tinymlsec.errors import UsageError
from tinymlsec.traces.noise import low_passed, sigma_for
from tinymlsec.traces.simulated import SimulatedTraces, given_inputs, uniform_inputs
from tinymlsec.traces.traceset import ArrayTraces, Noise, TraceError, TraceInfo


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with started("cortex-m4") as made:
        yield made


def traces_of(machine: Machine, count: int = 2500, **changes: object) -> SimulatedTraces:
    data = machine.image.symbols["zoo_data"].address
    window = Window("copy", machine.image.symbols["copy"].address)
    return SimulatedTraces(machine, window, count, uniform_inputs(32, 1), ((data, 0, 32),), **changes)  # type: ignore[arg-type]


def whole(traces: SimulatedTraces, size: int) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in traces.chunks(size)])


def test_chunks_of_any_size_are_the_same_traces(machine: Machine) -> None:
    traces = traces_of(machine, noise=Noise(sigma=2.0, jitter=2, low_pass=3))
    reference = whole(traces, 10_000)
    assert reference.shape == (2500, traces.samples)
    for size in (1, 700, 1000, 2499):
        some = next(iter(traces.chunks(size, start=1300)))
        assert (some.samples == reference[1300 : 1300 + size]).all()
    assert (whole(traces, 700) == reference).all()
    assert (whole(traces_of(machine, noise=Noise(sigma=2.0, jitter=2, low_pass=3)), 999) == reference).all()


def test_inputs_belong_to_their_traces(machine: Machine) -> None:
    """The loads' Hamming weights are those of the words that were written."""
    traces = traces_of(machine, leakage=Leakage("bus"))
    chunk = next(iter(traces.chunks(500, start=800, end=1300)))
    words = chunk.inputs.view(np.uint32)
    weights = np.bitwise_count(words).sum(1)
    loads = np.array([chunk.samples[:, i] for i in range(traces.samples)])
    assert any((row[:50] == np.bitwise_count(words[:50, k])).all() for row in loads for k in range(8)) or any(
        (row[:50] == weights[:50]).all() for row in loads
    )


def test_the_ratio_becomes_a_sigma_once(machine: Machine) -> None:
    plain = traces_of(machine)
    signal = whole(plain, 5000)
    at = int(signal.var(0).argmax())
    noisy = traces_of(machine, noise=Noise(snr=0.5, snr_at=at))
    sigma = noisy.info.noise.sigma
    assert sigma == pytest.approx(np.sqrt(signal[:1000, at].var() / 0.5), rel=1e-5)
    noise = whole(noisy, 5000) - signal
    assert noise.std() == pytest.approx(sigma, rel=0.02)
    assert abs(noise.mean()) < 0.02 * sigma
    with pytest.raises(TraceError, match="does not vary"):
        _ = traces_of(machine, noise=Noise(snr=0.5, snr_at=int(signal.var(0).argmin()))).info
    with pytest.raises(TraceError, match="sample at which"):
        sigma_for(signal, 10_000, 1.0)


def test_models_are_sums_of_their_columns(machine: Machine) -> None:
    parts = {name: whole(traces_of(machine, 100, leakage=Leakage(name)), 100) for name in PARTS}
    expected = parts["hamming_weight"] + parts["hamming_distance"] + parts["bus_distance"]
    assert (parts["mixed"] == expected).all()
    assert not (parts["hamming_weight"] == parts["hamming_distance"]).all()
    with pytest.raises(UsageError, match="unknown leakage model"):
        Leakage("magic")


def test_weights_by_class_of_instruction(machine: Machine) -> None:
    plain = traces_of(machine, 100)
    kinds = kinds_of(machine.image, machine.core, plain.pc)
    assert {"load_many", "alu"} & set(kinds.tolist())
    weighted = traces_of(machine, 100, leakage=Leakage(weights={"alu": 0.0}))
    factors = np.where(kinds == "alu", 0.0, 1.0)
    assert (whole(weighted, 100) == whole(plain, 100) * factors).all()
    assert "alu x 0" in weighted.info.leakage


def test_the_low_pass_is_a_moving_average() -> None:
    signal = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    for width in (1, 2, 3, 8):
        made = low_passed(signal, width)
        for i in range(40):
            low, high = max(0, i - (width - 1) // 2), min(40, i + width // 2 + 1)
            assert made[:, i] == pytest.approx(signal[:, low:high].mean(1), abs=1e-5)


def test_given_inputs_come_round_again() -> None:
    rows = np.arange(12, dtype=np.int8).reshape(3, 4)
    made = given_inputs(rows)(2, 5)
    assert made.tolist() == rows[[2, 0, 1, 2, 0]].tolist()


def test_arrays_are_checked() -> None:
    from tinymlsec.records import Basis

    info = TraceInfo(source="test", basis=Basis.MEASURED)
    good = np.zeros((4, 5), np.float32)
    assert len(list(ArrayTraces(info, good).chunks(3))) == 2
    bad = good.copy()
    bad[2, 3] = np.nan
    with pytest.raises(TraceError, match="trace 2, sample 3"):
        ArrayTraces(info, bad)
    with pytest.raises(TraceError, match="not empty"):
        ArrayTraces(info, np.zeros((0, 5), np.float32))
    with pytest.raises(TraceError, match="type complex"):
        ArrayTraces(info, good.astype(complex))  # type: ignore[arg-type]
    with pytest.raises(TraceError, match="inputs and traces"):
        ArrayTraces(info, good, np.zeros((3, 1), np.uint8))
    with pytest.raises(TraceError, match="addresses"):
        ArrayTraces(info, good, pc=np.zeros(4, np.uint32))


def test_long_traces_share_a_generator_among_fewer(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many values at a time, however long traces are; each block is run once, into however many chunks it goes."""
    made = traces_of(machine, 900, noise=Noise(sigma=1.0))
    monkeypatch.setattr("tinymlsec.traces.simulated.BLOCK_VALUES", 128 * made.samples)
    runs: list[int] = []
    campaign = type(machine).campaign

    def counted(self: Machine, *arguments: object, runs_: list[int] = runs, **options: object) -> object:
        runs_.append(int(options["runs"]))  # type: ignore[call-overload]
        return campaign(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(machine), "campaign", counted)
    short = traces_of(machine, 900, noise=Noise(sigma=1.0))
    reference = whole(short, 10_000)
    assert runs == [1, *[128] * 7, 4]
    runs.clear()
    assert (whole(short, 30) == reference).all()
    assert runs == [*[128] * 6, 4], "the first block is kept"
    assert (whole(short, 301) == reference).all()


def test_what_is_fed_is_written_and_inputs_are_kept(machine: Machine) -> None:
    """A later layer: the machine gets the activations, the set says what the model was given."""
    given = uniform_inputs(5, 3)

    def fed(first: int, count: int) -> np.ndarray:
        return np.repeat(np.bitwise_count(given(first, count)).sum(1, dtype=np.uint8)[:, None], 32, 1)

    made = replace(traces_of(machine, 50, leakage=Leakage("bus")), inputs=given, fed=fed)
    chunk = next(iter(made.chunks(50)))
    assert (chunk.inputs == given(0, 50)).all()
    expected = np.bitwise_count(fed(0, 50).view(np.uint32)[:, 0])
    assert any((column == expected).all() for column in chunk.samples.T)
