"""Imported traces: what leaks is found by format, what does not is not, and inputs alone never pass for weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attacks.attack_targets import Workbench, float_linear
from tinymlsec.attacks._asking import random_codes
from tinymlsec.attacks.side_channel._chain import CANDIDATES
from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._measured_cut import VALUES, fitting
from tinymlsec.attacks.side_channel._measured_groups import groups_of
from tinymlsec.attacks.side_channel._measured_subject import (
    ORDERS,
    Subject,
    asker,
    subject_of,
)
from tinymlsec.attacks.side_channel._measured_weights import GUESSES
from tinymlsec.attacks.side_channel.measured_leakage import measured_leakage
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.examples import digits_model
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.registry import EffortLevel
from tinymlsec.target.device import load_device
from tinymlsec.target.given_traces import GivenTraces, load_given_traces
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.float_wrap import wrap_float
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model
from tinymlsec.traces.look import look
from tinymlsec.traces.traceset import ArrayTraces, TraceInfo, TraceSet
from traces.sound_traces import npy, npz, trs, whole

RNG = np.random.default_rng


def with_traces(target: Target, traces: TraceSet, window: str = "") -> Target:
    seen = look(traces)
    return replace(target, traces=GivenTraces(traces, seen.survey, seen.digest, "made", window, ""))


def subject(bench: Workbench, target: Target, window: str = "") -> Subject:
    assert target.model is not None
    return subject_of(target, asker(target.model, bench.victim_of), window, "plain", (64, 16))


def raw_inputs(target: Target, n: int, seed: int = 0) -> np.ndarray:
    assert target.space is not None
    codes = random_codes(RNG(seed), target.space, n)
    return np.ascontiguousarray(target.space.to_device(codes)).reshape(n, -1).view(np.uint8)


def made(signal: np.ndarray, raw: np.ndarray, sigma: float = 0.5, basis: Basis = Basis.SIMULATED) -> ArrayTraces:
    noisy = signal.astype(np.float32) + np.float32(sigma) * RNG(9).standard_normal(signal.shape, np.float32)
    return ArrayTraces(TraceInfo(source="made here", basis=basis), noisy, raw)


@pytest.fixture
def digits(bench: Workbench) -> Target:
    return bench.target(digits_model())


def sums_of(bench: Workbench, target: Target, raw: np.ndarray, steps: int = 9) -> np.ndarray:
    """(n, 1 + steps) what the first channel's sum is after each product."""
    told = subject(bench, target)
    assert told.sums is not None
    return told.sums.after(told.activations(told.codes(raw)), 0, steps, told.sums.weights)


def test_sums_are_those_of_a_loop(bench: Workbench, digits: Target) -> None:
    raw = raw_inputs(digits, 5)
    told = subject(bench, digits, "op:0@3,2,5:6")
    assert told.sums is not None
    fed = told.activations(told.codes(raw))
    macs, bias = told.sums.macs, told.sums.bias
    for order in range(len(ORDERS)):
        after = told.sums.after(fed, order, macs.length, told.sums.weights)
        for i in range(len(raw)):
            whole_ = (0, bias, bias + macs.offset * int(told.sums.weights.sum()))[order]
            for k in range(macs.length):
                code = int(raw[i].view(np.int8)[macs.inputs[5][k]])
                whole_ += int(told.sums.weights[k]) * (code + (macs.offset if order < 2 else 0))
                assert after[i, k + 1] == whole_
    last = [told.sums.after(fed, order, macs.length, told.sums.weights)[:, -1] for order in range(3)]
    assert (last[1] == last[2]).all()
    assert (last[0] + bias == last[1]).all()


def test_outputs_are_those_of_the_runtime(bench: Workbench, digits: Target) -> None:
    """The sum with its bias, rescaled by hand in real numbers, is the output that is looked at."""
    raw = raw_inputs(digits, 40)
    told = subject(bench, digits, "op:0@3,2,5:6")
    assert told.sums is not None
    assert digits.model is not None
    codes = told.codes(raw)
    op = digits.model.main.operators[0]
    tensors = digits.model.main.tensors
    scale = tensors[op.inputs[0]].quantization.scale[0] * tensors[op.inputs[1]].quantization.scale  # type: ignore[union-attr]
    out = tensors[op.outputs[0]].quantization
    assert out is not None
    accumulated = told.sums.after(told.activations(codes), 1, told.sums.macs.length, told.sums.weights)[:, -1]
    factor = scale[5 if len(scale) > 1 else 0] / out.scale[0]
    expected = np.clip(np.rint(accumulated * factor) + out.zero_point[0], -128, 127).clip(out.zero_point[0])
    weights = bits(expected.astype(np.int32))
    assert told.outputs.tolist() == [(3 * tensors[op.outputs[0]].shape[2] + 2) * tensors[op.outputs[0]].shape[3] + 5]
    assert (np.abs(weights.astype(int) - told.output_bits(codes)[:, 0]) > 0).mean() < 0.1, "a tie may round otherwise"


def attacked(bench: Workbench, target: Target, **config: object) -> Observation:
    return bench.run(measured_leakage, target, **{"asked": 200, **config})


def controls(seen: Observation) -> tuple[bool, bool]:
    assert seen.positive_control is not None
    assert seen.negative_control is not None
    return seen.positive_control.succeeded, seen.negative_control.succeeded


def test_sums_that_leak_give_weights_away(bench: Workbench, digits: Target) -> None:
    raw = raw_inputs(digits, 3000)
    leak = np.concatenate([np.bitwise_count(raw[:, :64]), bits(sums_of(bench, digits, raw)[:, 1:].copy())], axis=1)
    seen = attacked(bench, with_traces(digits, made(leak, raw, 2.0, Basis.MEASURED)))
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.MEASURED
    assert controls(seen) == (True, True)
    assert seen.facts["speaks_of_weights_H2"] is True
    assert {"max_abs_r", "snr", "max_abs_t", "weights_recovered", "guessing_entropy"} <= {m.name for m in seen.metrics}
    assert all(m.n for m in seen.metrics)
    assert [curve.metric for curve in seen.curves] == ["guessing_entropy", "weights_recovered"]
    assert seen.curves[1].points[-1].y == 1.0
    assert [series.y_label for series in seen.series][:3] == ["|r|", "|r|", "ratio"]
    first = seen.series[0]
    assert [line.name for line in first.lines] == ["input bytes", "sums of products", "inputs exchanged"]
    assert max(first.lines[0].high) > first.thresholds[0] > max(first.lines[2].high)


def test_a_probe_of_the_other_polarity_sees_the_same(bench: Workbench, digits: Target) -> None:
    raw = raw_inputs(digits, 3000)
    leak = np.concatenate([np.bitwise_count(raw[:, :64]), bits(sums_of(bench, digits, raw)[:, 1:].copy())], axis=1)
    for sign in (1, -1):
        seen = attacked(bench, with_traces(digits, made(sign * 3.0 * leak.astype(float), raw, 6.0)))
        assert seen.verdict.kind is VerdictKind.VULNERABLE
        assert seen.facts["polarity"] == sign
        sums_alone = attacked(bench, with_traces(digits, made(sign * leak[:, 64:].astype(float), raw, 0.5)))
        assert sums_alone.facts["polarity"] == sign
        assert sums_alone.facts["speaks_of_weights_H2"] is True, "inputs that do not leak themselves tell no polarity"


@pytest.mark.parametrize("kind", ["byte", "register", "factor"])
def test_inputs_alone_never_pass_for_weights(bench: Workbench, digits: Target, kind: str) -> None:
    raw = raw_inputs(digits, 3000)
    register = raw.view(np.int8).astype(np.int32)
    told = subject(bench, digits)
    assert told.sums is not None
    leak = {"byte": np.bitwise_count(raw), "register": bits(register), "factor": bits(register + told.sums.macs.offset)}
    seen = attacked(bench, with_traces(digits, made(leak[kind], raw, 1.0)))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "inputs are given away (H3)" in seen.verdict.reason
    assert controls(seen) == (True, True)
    assert seen.facts["speaks_of_weights_H2"] is False


def test_silence_counts_only_with_enough_traces(bench: Workbench, digits: Target) -> None:
    verdicts = {}
    for n in (400, 6000):
        seen = attacked(bench, with_traces(digits, made(np.zeros((n, 60)), raw_inputs(digits, n))))
        assert controls(seen) == (True, True)
        verdicts[n] = seen.verdict
        detectable = seen.facts["detectable_correlation"]
        assert f"correlations above {detectable:.3f} would have shown" in seen.verdict.reason
        rank = next(m for m in seen.metrics if m.name == "guessing_entropy").value
        assert 5 < rank < 8, "the rank of chance is 7 bits"
    assert verdicts[400].kind is VerdictKind.INCONCLUSIVE
    assert "too few traces" in verdicts[400].reason
    assert verdicts[6000].kind is VerdictKind.RESISTANT


def test_what_is_called_detectable_is_detected(bench: Workbench, digits: Target) -> None:
    """An input byte with just that correlation is found in about four of five sets."""
    found, n, r = 0, 1500, 0.0
    byte = subject(bench, digits).bytes[3]
    info = TraceInfo(source="made here", basis=Basis.SIMULATED)
    for seed in range(21):
        raw, signal = raw_inputs(digits, n, seed), RNG(seed).standard_normal((n, 40)).astype(np.float32)
        weight = np.bitwise_count(raw[:, byte]).astype(float)
        signal[:, 17] = r * (weight - weight.mean()) / weight.std() + np.sqrt(1 - r * r) * signal[:, 17]
        facts = attacked(bench, with_traces(digits, ArrayTraces(info, signal, raw)), weights=1, asked=0).facts
        if r:
            found += facts["speaks_of_inputs_H3"]
        r = facts["detectable_correlation"]
    assert 11 <= found <= 20, "16 of 20 are expected"


def test_drift_that_goes_with_the_order_of_inputs_counts_for_nothing(bench: Workbench, digits: Target) -> None:
    """The device warms up while inputs become brighter: exchanged inputs show the same, so nothing is concluded."""
    raw = raw_inputs(digits, 8000)
    raw[:4000] &= 0x0F
    signal = np.zeros((8000, 40))
    signal[4000:] += 3
    seen = attacked(bench, with_traces(digits, made(signal, raw, 1.0)))
    assert controls(seen) == (True, False)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "exchanged inputs show as well" in seen.verdict.reason


def test_a_fixed_group_is_found_and_tested(bench: Workbench, digits: Target) -> None:
    raw = raw_inputs(digits, 4000)
    fixed = RNG(3).random(4000) < 0.5
    raw[fixed] = raw[np.flatnonzero(fixed)[0]]
    silent = with_traces(digits, made(np.zeros((4000, 50)), raw))
    leaking = with_traces(digits, made(np.bitwise_count(raw[:, :50]), raw, 6.0))
    told = groups_of(leaking.require_traces().set, subject(bench, digits))
    assert told.fixed is not None
    assert (told.of(subject(bench, digits), raw) == fixed).all()
    for target, alarms in ((silent, False), (leaking, True)):
        seen = attacked(bench, target)
        t = next(m for m in seen.metrics if m.name == "max_abs_t")
        assert "one fixed input" in t.label
        assert t.n == 4000
        assert (t.value > float(t.label.split("threshold ")[1].split(";")[0])) is alarms
        assert seen.effort.traces == int((~fixed).sum()), "correlation goes without the fixed group"


def test_inputs_that_repeat_are_no_fixed_group(bench: Workbench, digits: Target) -> None:
    raw = np.tile(raw_inputs(digits, 50), (40, 1))
    told = groups_of(made(np.zeros((2000, 5)), raw), subject(bench, digits))
    assert told.fixed is None
    assert told.common is not None
    assert "decision" in told.words


def test_a_model_without_int8_layers_has_inputs_all_the_same(bench: Workbench) -> None:
    target = bench.target(float_linear())
    raw = raw_inputs(target, 2000)
    seen = attacked(bench, with_traces(target, made(np.bitwise_count(raw), raw)))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "no layer with int8 weights" in seen.verdict.reason
    assert seen.facts["speaks_of_inputs_H3"] is True
    assert controls(seen) == (True, True)


def test_float_at_the_border_is_the_int8_layer_inside(bench: Workbench, digits: Target) -> None:
    """Bytes of the device's input are those of float32; sums are formed from the codes that they become."""
    wrapped = bench.target(write_model(wrap_float(read_model(digits_model()))))
    raw = raw_inputs(wrapped, 2500)
    assert raw.shape == (2500, 256)
    told = subject(bench, wrapped)
    assert told.sums is not None
    after = told.sums.after(told.activations(told.codes(raw)), 0, 9, told.sums.weights)
    assert (after == sums_of(bench, digits, told.codes(raw).reshape(len(raw), -1).view(np.uint8))).all()
    leak = np.concatenate([np.bitwise_count(raw[:, 2:90]), bits(after[:, 1:].copy())], axis=1)
    seen = attacked(bench, with_traces(wrapped, made(leak, raw, 1.0)))
    assert seen.verdict.kind is VerdictKind.VULNERABLE, seen.verdict
    assert controls(seen) == (True, True)


def test_a_pixel_at_the_border_has_no_sums(bench: Workbench, digits: Target) -> None:
    assert subject(bench, digits, "op:0@0,0,0:1").sums is None
    assert subject(bench, digits, "op:0@4,4,2:3").sums is not None
    raw = raw_inputs(digits, 500)
    seen = attacked(bench, with_traces(digits, made(np.bitwise_count(raw), raw), "op:0@0,0,0:1"))
    assert "reaches over the border" in seen.facts["looked_at"]


def test_a_part_of_long_traces_is_named_by_its_samples(bench: Workbench, digits: Target) -> None:
    raw = raw_inputs(digits, 1200)
    signal = np.zeros((1200, 500))
    signal[:, 321] = 3 * np.bitwise_count(raw[:, 20])
    target = with_traces(digits, made(signal, raw))
    for first, last, found in ((0, 0, True), (300, 400, True), (0, 300, False)):
        seen = attacked(bench, target, first=first, last=last, traces=1000)
        assert seen.facts["speaks_of_inputs_H3"] is found
        if found:
            assert "input byte 20 shows at sample 321" in seen.summary
            assert seen.facts["families"][0]["sample"] == 321
            line = seen.series[0].lines[0]
            assert (line.start, line.samples) == (first, 500 if not last else last - first)
    with pytest.raises(CapabilityMissing, match="no sample is left"):
        attacked(bench, target, first=500)


def test_memory_is_bounded_by_fewer_predictions(bench: Workbench, digits: Target) -> None:
    config = measured_leakage.configure(EffortLevel.THOROUGH)
    for samples in (500, 50_000, 700_000):
        small = fitting(config, samples)
        assert (2 * small.inputs + 6 * small.steps) * 2 * samples <= 1.01 * VALUES
        assert small.inputs >= 8
        assert small.steps >= 4
    raw = raw_inputs(digits, 4)
    wide = np.broadcast_to(np.arange(4, dtype=np.float32)[:, None], (4, 2_000_000))
    info = TraceInfo(source="made here", basis=Basis.SIMULATED)
    seen = look(ArrayTraces(info, wide[:, :9], raw)).survey
    target = replace(digits, traces=GivenTraces(ArrayTraces(info, wide, raw), seen, "", "", "", ""))
    with pytest.raises(CapabilityMissing, match=r"measured-leakage\.first=N"):
        attacked(bench, target)


def test_one_input_in_all_that_is_looked_at(bench: Workbench, digits: Target) -> None:
    raw = raw_inputs(digits, 3000)
    raw[:1500] = raw[0]
    target = with_traces(digits, made(np.bitwise_count(raw), raw))
    with pytest.raises(CapabilityMissing, match="fixed input"):
        attacked(bench, target, traces=1200)
    assert attacked(bench, target, traces=3000).effort.traces == 1500


def test_the_same_traces_give_the_same_evidence(bench: Workbench, digits: Target) -> None:
    raw = raw_inputs(digits, 1000)
    target = with_traces(digits, made(np.bitwise_count(raw), raw, 1.0))
    assert attacked(bench, target) == attacked(bench, target)


# -- real files of every kind, from emulated firmware -----------------------------------------------------------------


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """1,500 traces of the digits' first layer, and their inputs."""
    return simulated(1500, "op:0@4,4,0:1")


def simulated(count: int, window: str) -> tuple[np.ndarray, np.ndarray]:
    pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
    pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")
    from tinymlsec.emulate.cores import CORES
    from tinymlsec.emulate.twin import build_twin
    from tinymlsec.traces.campaign import CampaignOptions, campaign_of
    from tinymlsec.traces.traceset import Noise

    twin = build_twin(digits_model(), CORES["cortex-m4"])
    options = CampaignOptions(window, count, noise=Noise(snr=2.0))
    with campaign_of(twin, digits_model(), options, "digits.tflite") as traces:
        return whole(traces, 500)


def as_npy(folder: Path, data: np.ndarray, raw: np.ndarray) -> tuple[Path, Path | None]:
    (folder / "a.npy").write_bytes(npy(data))
    (folder / "in.npy").write_bytes(npy(raw.view(np.int8).reshape(-1, 1, 8, 8, 1)))
    return folder / "a.npy", folder / "in.npy"


def as_npz(folder: Path, data: np.ndarray, raw: np.ndarray) -> tuple[Path, Path | None]:
    (folder / "a.npz").write_bytes(npz(samples=np.rint(data * 50).astype(np.int16), inputs=raw, window="op:0@4,4,0:1"))
    return folder / "a.npz", None


def as_trs(folder: Path, data: np.ndarray, raw: np.ndarray) -> tuple[Path, Path | None]:
    (folder / "a.trs").write_bytes(trs(data, raw, version=2))
    return folder / "a.trs", None


def as_project(folder: Path, data: np.ndarray, raw: np.ndarray) -> tuple[Path, Path | None]:
    place = folder / "a_data" / "traces"
    place.mkdir(parents=True)
    np.save(place / "x_traces.npy", np.vstack([data, np.zeros((1, data.shape[1]))]))
    np.save(place / "x_textin.npy", raw)
    (place / "x.cfg").write_text(f"[Trace Config]\nformat = native\nprefix = x_\nnumTraces = {len(data)}\n")
    (folder / "a.cwp").write_text("[Trace Management]\ntracefile0 = a_data/traces/x.cfg\nenabled0 = True\n")
    return folder / "a.cwp", None


@pytest.mark.parametrize("export", [as_npy, as_npz, as_trs, as_project])
def test_firmware_falls_in_every_format(
    bench: Workbench, digits: Target, tmp_path: Path, emulated: tuple[np.ndarray, np.ndarray],
    export: Callable[[Path, np.ndarray, np.ndarray], tuple[Path, Path | None]],
) -> None:  # fmt: skip
    path, inputs = export(tmp_path, *emulated)
    window = None if export is as_npz else "op:0@4,4,0:1"
    assert digits.model is not None
    given = load_given_traces(path, inputs, window, digits.model, digits.model_digest)
    seen = attacked(bench, replace(digits, traces=given, device=load_device("stm32l4r5zi")))
    assert seen.verdict.kind is VerdictKind.VULNERABLE, seen.verdict
    assert seen.basis is Basis.MEASURED
    assert controls(seen) == (True, True)
    assert seen.positive_control is not None
    assert "emulated firmware of the same layer" in seen.positive_control.twin
    assert next(m for m in seen.metrics if m.name == "weights_recovered").value == 1.0


def test_a_later_layer_is_attacked_with_what_it_was_fed(bench: Workbench, digits: Target) -> None:
    from tinymlsec.attacks.side_channel._extraction import weighted_layers

    assert digits.model is not None
    later = weighted_layers(digits.model)[1]
    window = f"op:{later.op}@{later.pixel[0]},{later.pixel[1]},0:1"
    data, raw = simulated(3000, window)
    info = TraceInfo(source="emulated", basis=Basis.SIMULATED, window=window)
    seen = attacked(bench, with_traces(digits, ArrayTraces(info, data, raw), window), asked=3000)
    assert seen.verdict.kind is VerdictKind.VULNERABLE, seen.verdict
    assert f"operator {later.op} " in seen.facts["looked_at"]
    assert seen.basis is Basis.SIMULATED


def test_traces_of_other_inputs_show_nothing(
    bench: Workbench, digits: Target, emulated: tuple[np.ndarray, np.ndarray]
) -> None:
    data, raw = emulated
    info = TraceInfo(source="emulated", basis=Basis.SIMULATED)
    mixed = ArrayTraces(info, data, raw[RNG(5).permutation(len(raw))])
    seen = attacked(bench, with_traces(digits, mixed))
    assert seen.verdict.kind in (VerdictKind.INCONCLUSIVE, VerdictKind.RESISTANT)
    assert seen.facts["speaks_of_inputs_H3"] is False
    assert seen.facts["speaks_of_weights_H2"] is False


def test_guesses_are_those_of_a_weight() -> None:
    assert (len(CANDIDATES), int(CANDIDATES[0])) == (GUESSES, -127)
