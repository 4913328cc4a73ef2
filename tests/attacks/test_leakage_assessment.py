"""Leakage assessment: alignment, values, statistics and controls against slow references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from tinymlsec.analysis import scalib_engine
from tinymlsec.analysis.ttest import threshold
from tinymlsec.attacks.side_channel._assess_controls import ControlBench
from tinymlsec.attacks.side_channel._assess_feed import Feed, Walk, collect
from tinymlsec.attacks.side_channel._assess_paths import Path, executions, stretches
from tinymlsec.attacks.side_channel._assess_report import ratio_interval
from tinymlsec.attacks.side_channel._assess_test import Plan, measured, traces_needed
from tinymlsec.attacks.side_channel._assess_traces import Source, Varied
from tinymlsec.attacks.side_channel._assess_values import Values
from tinymlsec.attacks.side_channel._assess_windows import Part, parts_of
from tinymlsec.attacks.side_channel._timing_inputs import choose
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import PARTS, Leakage
from tinymlsec.emulate.twin import StartedTwin, build_twin
from tinymlsec.examples import digits_model
from tinymlsec.target.tflite.constant import constant

RNG = np.random.default_rng


# Alignment


def slow_executions(row: Sequence[int]) -> list[tuple[int, int]]:
    seen: dict[int, int] = {}
    made = []
    for pc in row:
        made.append((pc, seen.get(pc, 0)))
        seen[pc] = seen.get(pc, 0) + 1
    return made


def program(rng: np.random.Generator, rounds: int) -> list[int]:
    """A loop whose body leaves some instructions out at random, and takes one of two arms."""
    made = [100]
    for _ in range(rounds):
        made += [102, 104]
        made += [106] if rng.random() < 0.5 else []
        made += [108, 110] if rng.random() < 0.5 else [112]
        made += [114]
    return [*made, 116]


def padded(rows: list[list[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
    made = np.zeros((len(rows), width), np.uint32)
    for i, row in enumerate(rows):
        made[i, : min(len(row), width)] = row[:width]
    return made, np.array([len(row) for row in rows], np.uint32)


def test_executions_are_counted_as_slowly() -> None:
    pcs, _ = padded([program(RNG(i), 6) for i in range(20)], 50)
    for row, keys in zip(pcs, executions(pcs), strict=True):
        assert [(int(k) >> 32, int(k) & 0xFFFFFFFF) for k in keys] == slow_executions(row.tolist())


@pytest.mark.parametrize("most", [1000, 16])
def test_traces_are_laid_over_the_path_of_the_reference(most: int) -> None:
    rows = [program(RNG(i), 8) for i in range(30)]
    rows.append(rows[0])
    pcs, lengths = padded(rows, 80)
    signal = RNG(9).normal(size=pcs.shape).astype(np.float32)
    path = Path(np.array(rows[0], np.uint32), most)
    laid = path.lay(signal, pcs, lengths, cut=False)
    wanted = [slow_executions(rows[0])[k] for k in path.kept]
    everywhere = []
    for column, key in enumerate(wanted):
        places = [slow_executions(row).index(key) if key in slow_executions(row) else None for row in rows]
        everywhere.append(None not in places)
        for i, place in enumerate(places):
            assert laid.signal[i, column] == (0 if place is None else signal[i, place])
    assert laid.everywhere.tolist() == everywhere
    assert laid.parted == sum(row != rows[0] for row in rows)
    assert laid.first == min(
        next(k for k, (a, b) in enumerate(zip(row, rows[0], strict=False)) if a != b) for row in rows if row != rows[0]
    )


def test_a_trace_that_is_only_longer_is_on_another_path() -> None:
    pcs, lengths = padded([[2, 4, 6], [2, 4, 6, 8]], 6)
    laid = Path(np.array([2, 4, 6], np.uint32), 10).lay(np.ones(pcs.shape, np.float32), pcs, lengths, cut=False)
    assert (laid.parted, laid.first) == (1, 3)
    assert laid.everywhere.all()
    assert (
        Path(np.array([2, 4, 6], np.uint32), 10).lay(np.ones(pcs.shape, np.float32), pcs, lengths, cut=True).parted == 0
    )


def test_long_windows_are_looked_at_in_stretches() -> None:
    assert stretches(10, 10).tolist() == list(range(10))
    kept = stretches(1000, 100)
    assert len(kept) == 100
    assert (kept[0], kept[-1]) == (0, 999)
    assert (np.diff(kept) > 1).sum() == 3


# Windows, values, groups


@pytest.fixture(scope="module")
def started() -> Iterator[StartedTwin]:
    with build_twin(digits_model(), CORES["cortex-m4"]).start() as made:
        yield made


@pytest.fixture(scope="module")
def parts(started: StartedTwin) -> list[Part]:
    return parts_of(started.twin, 2, RNG(1))


@pytest.fixture(scope="module")
def feed(started: StartedTwin, parts: list[Part]) -> Feed:
    return collect(started, parts, choose(started.program, None, None, 8, RNG(2)), lambda *_: None)


def source_of(started: StartedTwin, part: Part, feed: Feed, varied: Varied, **changes: Any) -> Source:
    walk = Walk(started, feed.fixed)
    walk.to(part)
    settings = {"leakage": Leakage(), "samples": 4096, "seed": 3, **changes}
    return Source(walk, part, feed, varied, **settings)


def test_every_layer_has_a_window(parts: list[Part], started: StartedTwin) -> None:
    assert [part.layer.index for part in parts] == [layer.index for layer in started.program.layers]
    weighted = [part for part in parts if part.stored is not None]
    assert {part.layer.op for part in weighted} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    for part in weighted:
        assert part.macs is not None
        assert part.stored is not None
        values = constant(started.twin.model, started.twin.model.main.tensors[part.macs.weight_tensor])
        assert values is not None
        first, end = part.channels
        places = part.macs.weights[first:end] - part.stored.first
        assert (part.stored.values[places] == values.ravel()[part.macs.weights[first:end]]).all()
        fed = part.fed[0]
        inside = part.macs.inputs[first:end] - fed.first
        assert inside.min() == 0
        assert inside.max() == fed.count - 1


def test_layers_are_fed_what_inferences_bring_there(started: StartedTwin, parts: list[Part], feed: Feed) -> None:
    """The values that were kept are those that the kernels compute in a run of their own."""
    part = parts[-1]
    fed = part.fed[0]
    (outputs,) = started.infer(feed.fixed[0][None])
    walk = Walk(started, feed.fixed)
    walk.to(part)
    assert started.machine.read(fed.address, fed.count) == feed.fixed_row(part, fed).tobytes()
    started.machine.run(walk.whole("softmax"))
    assert started.machine.read(started.twin.output_address(), 10) == outputs[0].tobytes()


def test_silent_activations_stay_silent(parts: list[Part], feed: Feed) -> None:
    for part in parts:
        for fed in part.fed:
            rows = feed.random_rows(part, fed, 500, RNG(4))
            seen = feed.seen[part.layer.index, fed.tensor]
            if fed.model_input:
                assert len(np.unique(rows)) == 256
            else:
                assert all(set(rows[:, i]) <= set(seen[:, i]) for i in range(fed.count))


def test_counted_instructions_are_those_of_the_layers(started: StartedTwin, feed: Feed) -> None:
    started.machine.restore(started.ready)
    started.machine.write(started.twin.input_address(), feed.fixed[0].tobytes())
    total = started.count().instructions
    counted = sum(sum(times.values()) for times in feed.executed.values())
    assert total - 100 < counted <= total, "all but what comes before the first and behind the last layer"


@pytest.mark.parametrize("varied", ["inputs", "weights"])
def test_half_of_the_traces_are_fixed(varied: Varied, started: StartedTwin, parts: list[Part], feed: Feed) -> None:
    part = parts[0]
    source = source_of(started, part, feed, varied)
    assert part.stored is not None
    first, second = list(source.batches([100, 60]))
    again = list(source.batches([100, 60]))
    assert (first.laid.signal == again[0].laid.signal).all()
    assert (second.groups == again[1].groups).all()
    assert first.groups.sum() == 50
    fixed = first.laid.signal[~first.groups]
    assert (fixed == fixed[0]).all()
    assert (first.laid.signal[first.groups] != fixed[0]).any()
    assert (second.laid.signal[~second.groups] == fixed[0]).all()
    changed = first.fed[0] if varied == "inputs" else first.weights
    same = first.weights if varied == "inputs" else first.fed[0]
    assert changed is not None
    assert same is not None
    assert (same == same[0]).all()
    assert (changed[~first.groups] == changed[~first.groups][0]).all()
    assert len(np.unique(changed[first.groups], axis=0)) == 50
    kept = started.machine.read(part.stored.address, part.stored.values.nbytes)
    assert kept == part.stored.values.tobytes(), "the weights are put back"


@pytest.mark.parametrize("style", [Style.PLAIN, Style.DSP])
def test_values_are_what_the_layer_computes(style: Style) -> None:
    """Outputs of the firmware follow from the last sums."""
    with build_twin(digits_model(), CORES["cortex-m4"], style=style).start() as twin:
        every = parts_of(twin.twin, 2, RNG(1))
        feed = collect(twin, every, choose(twin.program, None, None, 4, RNG(2)), lambda *_: None)
        for part in (part for part in every if part.stored is not None):
            source = source_of(twin, part, feed, "weights")
            values = Values(part, style, weights=True, cut=source.cut)
            (batch,) = source.batches([200])
            sums = values.sums(batch, np.ones(200, np.bool_))
            assert part.macs is not None
            assert part.stored is not None
            assert batch.weights is not None
            channel = part.channels[0]
            codes = batch.fed[0][:, part.macs.inputs[channel] - part.fed[0].first].astype(np.int64) + part.macs.offset
            weights = batch.weights[:, part.macs.weights[channel] - part.stored.first].astype(np.int64)
            assert (sums[:, -1] == (codes * weights).sum(axis=1)).all()
            out = batch.outputs.view(np.int8)[:, 0]
            order = np.argsort(sums[:, -1], kind="stable")
            assert (np.diff(out[order].astype(np.int64)) >= 0).all(), "requantization is monotonic"
            labels = values.labels(batch, batch.groups)
            assert labels.shape == (100, len(values.values))
            last = [k for k, value in enumerate(values.values) if value.kind == "accumulator"][-1]
            expected = [bin(int(s) & 0xFFFFFFFF).count("1") for s in sums[batch.groups, -1]]
            assert labels[:, last].tolist() == expected
            first = weights[batch.groups, 0].tolist()
            assert labels[:, 0].tolist() == [bin(w & 0xFFFFFFFF).count("1") for w in first], "sign-extended"


# Statistics


def slow_welch(fixed: np.ndarray, random: np.ndarray) -> np.ndarray:
    return (fixed.mean(0) - random.mean(0)) / np.sqrt(fixed.var(0) / len(fixed) + random.var(0) / len(random))


def test_t_is_that_of_whole_arrays(started: StartedTwin, parts: list[Part], feed: Feed) -> None:
    source = source_of(started, parts[0], feed, "inputs")
    plan = Plan(400, 5.0, 1e-4, 17)
    seen = measured(source, Values(parts[0], Style.PLAIN, weights=False, cut=False), plan)
    assert [mark.traces for mark in seen.curve] == [20, 40, 80, 200, 400]
    sizes = np.diff([0, *(mark.traces for mark in seen.curve)]).tolist()
    noisy, groups = [], []
    for number, batch in enumerate(source.batches(sizes)):
        rng = RNG((plan.seed, number))
        noisy.append(batch.laid.signal + np.float32(5.0) * rng.standard_normal(batch.laid.signal.shape, np.float32))
        groups.append(batch.groups)
    samples, of = np.concatenate(noisy).astype(np.float64), np.concatenate(groups)
    fixed, random = samples[~of], samples[of]
    assert seen.t[0] == pytest.approx(slow_welch(fixed, random), abs=5e-3)
    squares = [(rows - rows.mean(0)) ** 2 for rows in (fixed, random)]
    assert seen.t[1] == pytest.approx(slow_welch(*squares), abs=5e-3)
    assert seen.threshold == pytest.approx(threshold(seen.tests, 200, 1e-4))
    assert (seen.alarms == (np.abs(seen.t) > seen.threshold)).all()
    clean = np.concatenate([batch.laid.signal for batch in source.batches(sizes)])
    assert seen.still == int((clean == clean[0]).all(0).sum())
    means = np.abs(clean[~of].astype(np.float64).mean(0) - clean[of].astype(np.float64).mean(0))
    assert seen.effect.apart == pytest.approx(means, abs=1e-4)


def test_without_noise_what_never_varies_is_excluded(started: StartedTwin, parts: list[Part], feed: Feed) -> None:
    source = source_of(started, parts[0], feed, "inputs")
    seen = measured(source, Values(parts[0], Style.PLAIN, weights=False, cut=False), Plan(200, 0.0, 1e-4, 1))
    assert seen.excluded == seen.still > 0
    assert seen.alarms.any()


def test_samples_that_leave_the_range_are_taken_once_more(
    started: StartedTwin, parts: list[Part], feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(started, parts[0], feed, "inputs")
    values, plan = Values(parts[0], Style.PLAIN, weights=False, cut=False), Plan(200, 5.0, 1e-4, 17)
    plain = measured(source, values, plan, "numpy")
    if not scalib_engine.available():
        pytest.skip("SCALib is not installed")
    applied = scalib_engine.Scaling.apply
    calls = []

    def fails(self: scalib_engine.Scaling, rows: np.ndarray, first: int = 0) -> np.ndarray:
        calls.append(first)
        if len(calls) > 3:
            raise scalib_engine.DoesNotFit("out of range")
        return applied(self, rows, first)

    monkeypatch.setattr(scalib_engine.Scaling, "apply", fails)
    seen = measured(source, values, plan)
    assert calls
    assert seen.engine == plain.engine
    assert (seen.t == plain.t).all()


def test_traces_needed_are_the_fewest_that_alarm() -> None:
    for t, traces, tests in ((50.0, 2000, 1000), (5.5, 400, 10_000), (300.0, 100, 10)):
        needed = traces_needed(t, traces, tests, 1e-4)
        assert needed is not None
        assert needed % 2 == 0

        def rings(count: int, t: float = t, traces: int = traces, tests: int = tests) -> bool:
            return t * np.sqrt(count / traces) >= threshold(tests, count // 2, 1e-4)

        assert rings(needed)
        assert needed == 4 or not rings(needed - 2)
    assert traces_needed(1e-9, 1000, 10, 1e-4) is None


def test_the_estimate_of_traces_holds(started: StartedTwin, parts: list[Part], feed: Feed) -> None:
    """What many traces say about few: with twice as many as estimated it alarms, with a third of them it does not."""
    source = source_of(started, parts[0], feed, "weights")
    values = Values(parts[0], Style.PLAIN, weights=True, cut=False)
    long = measured(source, values, Plan(6000, 60.0, 1e-4, 1))
    needed = traces_needed(max(long.largest), long.traces, long.tests, long.alpha)
    assert needed is not None
    rang = {2.0: 0, 0.33: 0}
    for share in rang:
        for seed in range(10):
            again = source_of(started, parts[0], feed, "weights", seed=seed + 100)
            plan = Plan(int(needed * share) // 2 * 2, 60.0, 1e-4, seed)
            rang[share] += bool(measured(again, values, plan).alarms.any())
    assert rang[2.0] >= 9
    assert rang[0.33] <= 2


def test_an_interval_of_a_ratio_holds_it() -> None:
    """Coverage of 95 % over draws of a class that shifts a normal variable."""
    rng, truth, n, hits = RNG(5), 0.5, 500, 0
    for _ in range(200):
        labels = rng.integers(0, 9, n)
        levels = np.linspace(-1, 1, 9)
        levels *= np.sqrt(truth / levels.var())
        x = levels[labels] + rng.standard_normal(n)
        means = np.array([x[labels == c].mean() for c in range(9)])
        signal = ((means[labels] - x.mean()) ** 2).mean()
        low, high = ratio_interval(signal / ((x - means[labels]) ** 2).mean(), n)
        hits += low <= truth <= high
    assert hits >= 170, "95 % are meant, approximately; seen with 9 classes and 500 traces"


# Controls


CONTROLS = [
    *(("cortex-m4", "plain", leakage) for leakage in PARTS),
    ("cortex-m4", "dsp", "mixed"),
    ("cortex-m0plus", "unrolled", "hamming_distance"),
    ("rv32imc", "plain", "bus"),
]


@pytest.mark.parametrize(("core", "style", "leakage"), CONTROLS)
def test_the_control_layer_alarms_and_is_silent(core: str, style: str, leakage: str) -> None:
    with ControlBench(CORES[core], Leakage(leakage), style, RNG(1)) as bench:
        named = bench.named(1.0)
        positive, negative = bench.controls(Plan(600, named.sigma, 5e-4, 0), ("inputs", "weights"))
    assert positive.succeeded, positive.detail
    assert negative.succeeded, negative.detail
    assert named.sigma > 0


def test_the_ratio_is_set_where_it_says() -> None:
    with ControlBench(CORES["cortex-m4"], Leakage(), "plain", RNG(1)) as bench:
        named = bench.named(0.25)
        (batch,) = bench.source("inputs", 99).batches([1000])
    signal = batch.laid.signal[batch.groups][:, named.sample]
    assert signal.var() / named.sigma**2 == pytest.approx(0.25, rel=0.15)
    assert "dot.h" in named.words


def test_noise_hides_the_control_layer() -> None:
    with ControlBench(CORES["cortex-m4"], Leakage(), "plain", RNG(1)) as bench:
        positive, _ = bench.controls(Plan(200, bench.named(1e-6).sigma, 5e-4, 0), ("inputs",))
    assert not positive.succeeded
