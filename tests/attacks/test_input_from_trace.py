"""Inputs from traces: the arithmetic against NumPy, devices of all styles and cores that fall, and silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from attacks.attack_targets import Workbench, float_linear
from tinymlsec.attacks.side_channel._input_bench import InputBench
from tinymlsec.attacks.side_channel._input_controls import controls, small_convolution
from tinymlsec.attacks.side_channel._input_layer import code_table, first_layer
from tinymlsec.attacks.side_channel._input_pictures import arranged
from tinymlsec.attacks.side_channel._input_points import Known, Term, Word, find
from tinymlsec.attacks.side_channel._input_recovery import Noisy, Recovery
from tinymlsec.attacks.side_channel._input_scores import gain, guess_from, of_guess, of_recovered, uniform_guess
from tinymlsec.attacks.side_channel._input_sums import fixed, sum_costs
from tinymlsec.attacks.side_channel.input_from_trace import input_from_trace
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.examples import digits_model, digits_paths
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.target.data import load_dataset
from tinymlsec.target.device import load_device
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.reader import read_model

RNG = np.random.default_rng
BOARD = "stm32l4r5zi"
LOUD = Noisy(100.0)


def convolution(
    inputs: tuple[int, int, int], taps: tuple[int, int], filters: int, *, stride: int = 1, padding: int = 0
) -> bytes:  # fmt: skip
    """One convolution with random weights."""
    builder, rng = GraphBuilder("convolution"), RNG(3)
    x = builder.input((1, *inputs), scale=0.05, zero_point=-7)
    weights = builder.constant(rng.integers(-127, 128, (filters, *taps, inputs[2])).astype(np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-500, 500, filters).astype(np.int32), scale=0.0005)
    options = {"padding": padding, "stride_w": stride, "stride_h": stride, "dilation_w_factor": 1,
               "dilation_h_factor": 1}  # fmt: skip
    builder.output(builder.op("CONV_2D", [x, weights, bias], scale=0.1, zero_point=5, options=options))
    return builder.tobytes()


def depthwise(multiplier: int = 6) -> bytes:
    """A depthwise first layer over one channel, as speech models have it."""
    builder, rng = GraphBuilder("depthwise"), RNG(4)
    x = builder.input((1, 7, 6, 1), scale=0.05, zero_point=-7)
    weights = builder.constant(rng.integers(-127, 128, (1, 3, 3, multiplier)).astype(np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-500, 500, multiplier).astype(np.int32), scale=0.0005)
    options = {"padding": 0, "stride_w": 2, "stride_h": 2, "depth_multiplier": multiplier, "dilation_w_factor": 1,
               "dilation_h_factor": 1}  # fmt: skip
    builder.output(builder.op("DEPTHWISE_CONV_2D", [x, weights, bias], scale=0.1, zero_point=5, options=options))
    return builder.tobytes()


def dense(*, real: bool = False, depth: int = 18) -> bytes:
    """A dense first layer; with `real` behind a QUANTIZE of a float input."""
    builder, rng = GraphBuilder("dense"), RNG(5)
    if real:
        given = builder.input((1, depth), "float32")
        x = builder.op("QUANTIZE", [given], dtype="int8", scale=0.05, zero_point=-7, options={})
    else:
        x = builder.input((1, depth), scale=0.05, zero_point=-7)
    weights = builder.constant(rng.integers(-127, 128, (16, depth)).astype(np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-500, 500, 16).astype(np.int32), scale=0.0005)
    builder.output(builder.op("FULLY_CONNECTED", [x, weights, bias], scale=0.1, zero_point=5, options={}))
    return builder.tobytes()


MODELS = {
    "valid": lambda: convolution((6, 7, 2), (3, 2), 8, stride=1, padding=1),
    "same": lambda: convolution((7, 6, 1), (3, 4), 8, stride=2),
    "depthwise": depthwise,
    "dense": dense,
}


def twin_of(data: bytes, core: str = "cortex-m4", style: str = "plain") -> Twin:
    return build_twin(data, CORES[core], style=Style(style))


def exact(twin: Twin, noisy: Noisy, *, leakage: str = "hamming_weight", inputs: int = 2, seed: int = 1) -> float:
    """Share of random values that are recovered exactly, of those that enter a product."""
    rng, layer = RNG(seed), first_layer(twin.model)
    secret = rng.integers(-128, 128, (inputs, layer.size))
    with Recovery(twin, layer, Leakage(leakage), 1000, 64, rng) as recovery:
        codes = [recovery.recover(recovery.measured(x), noisy, np.zeros((1, 256)), rng).codes for x in secret]
    return float((np.stack(codes) == secret)[:, layer.covered].mean())


@pytest.mark.parametrize("name", list(MODELS))
def test_windows_are_the_sums_of_the_layer(name: str) -> None:
    """What windows, taps and offset say, summed and requantized, is what the firmware computes."""
    data = MODELS[name]()
    twin = twin_of(data)
    layer, op = first_layer(twin.model), twin.model.main.operators[0]
    codes = RNG(6).integers(-128, 128, layer.size).astype(np.int8)
    tensors = twin.model.main.tensors
    shape = tensors[op.outputs[0]].shape
    sums = np.zeros((shape[1], shape[2], shape[3]) if len(shape) == 4 else (1, 1, shape[1]), np.int64)
    for window in layer.windows:
        factors = codes[window.inputs].astype(np.int64) + layer.offset
        sums[window.pixel][window.channels] = layer.weights[window.channels][:, window.taps] @ factors
    real = np.clip(np.rint((sums + bias_of(twin)) * 0.0005 / 0.1) + 5, -128, 127)
    with twin.start() as started:
        out = started.infer(codes.reshape(1, *tensors[layer.input_tensor].shape[1:]))[0]
    assert np.abs(out.ravel().astype(int) - real.ravel()).max() <= 1, "doubly rounded, so one step at most"


def bias_of(twin: Twin) -> np.ndarray:
    bias = constant(twin.model, twin.model.main.tensors[twin.model.main.operators[0].inputs[2]])
    assert bias is not None
    return bias.astype(np.int64)


@pytest.mark.parametrize("kind", ["weight", "distance", "both"])
@pytest.mark.parametrize("n", [1, 255, 256, 257, 1000])
def test_costs_in_c_equal_numpy(kind: str, n: int) -> None:
    rng = RNG(n)
    before = rng.integers(-(1 << 20), 1 << 20, (3, n)).astype(np.int32)
    factors, guesses = rng.integers(-127, 128, n).astype(np.int32), np.arange(-121, 135, 7, dtype=np.int32)
    rest = rng.normal(16, 9, n)
    after = before[:, None, :] + guesses[None, :, None] * factors[None, None, :]
    weight, distance = (np.bitwise_count(w.view(np.uint32)).astype(float) for w in (after, after ^ before[:, None]))
    seen = {"weight": weight, "distance": distance, "both": weight + distance}[kind]
    whole = fixed(rest)
    expected = (seen**2 - 2 * seen * whole / 64).sum(2)
    assert sum_costs(kind, before, factors, whole, guesses) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_costs_refuse_arrays_of_other_lengths() -> None:
    zeros = np.zeros(5, np.int32)
    with pytest.raises(ValueError, match="differ"):
        sum_costs("weight", np.zeros((1, 5), np.int32), zeros, zeros[:4], zeros)


def test_profiling_finds_words_and_gains() -> None:
    """A trace in which a load meets what was in its register, a product, a sum, and bits against a constant."""
    rng, n = RNG(7), 384
    codes, weights = (
        rng.integers(-128, 128, (n, 3)).astype(np.int32),
        rng.integers(-127, 128, (n, 1, 3)).astype(np.int32),
    )
    known = Known(codes, weights, 12, ((0,), (1,), (2,)))

    def bits(words: np.ndarray) -> np.ndarray:
        return np.bitwise_count(words.astype(np.int32).view(np.uint32)).astype(np.float32)

    sums = np.cumsum((codes + 12) * weights[:, 0], axis=1)
    signal = np.zeros((n, 30), np.float32)
    signal[:, 3] = bits(codes[:, 0])
    signal[:, 5] = 2 * bits((codes[:, 1]) ^ (codes[:, 0] + 12)) + 4
    signal[:, 7] = bits(weights[:, 0, 1] * (codes[:, 1] + 12))
    signal[:, 9] = bits(sums[:, 2])
    signal[:, 11] = bits((codes[:, 2] & 0xFF) ^ 0x5A)
    found = find(signal, known, np.zeros(n, np.int64), np.array([3, 5, 9]), packed=False, mixed=False)
    terms = {spoken.sample: spoken.terms for spoken in found}
    assert terms[3] == (Term(pytest.approx(1.0), Word("X", 0)),)
    assert terms[5] == (Term(pytest.approx(2.0), Word("X", 1), Word("F", 0)),)
    assert terms[7] == (Term(pytest.approx(1.0), Word("P", 1)),)
    assert terms[9] == (Term(pytest.approx(1.0), Word("S", 2)),)
    assert [round(term.gain) for term in terms[11]] == [1, -1, 1, -1, -1, 1, -1, 1], "0x5a, from bit 0 on"


@pytest.mark.parametrize("style", ["plain", "unrolled", "dsp"])
@pytest.mark.parametrize("name", list(MODELS))
def test_every_kernel_gives_its_input_away(name: str, style: str) -> None:
    assert exact(twin_of(MODELS[name](), style=style), LOUD) >= 0.97


@pytest.mark.parametrize("core", ["cortex-m0plus", "rv32imc"])
def test_other_cores_do_as_well(core: str) -> None:
    assert exact(twin_of(MODELS["same"](), core), LOUD) >= 0.97


@pytest.mark.parametrize("leakage", ["hamming_distance", "mixed"])
def test_other_leakage_as_well(leakage: str) -> None:
    assert exact(twin_of(MODELS["same"]()), LOUD, leakage=leakage) >= 0.97


def test_averaged_traces_are_one_trace_with_less_noise() -> None:
    twin = twin_of(MODELS["same"]())
    few, many = (exact(twin, Noisy(0.05, traces), seed=2) for traces in (1, 400))
    assert few < 0.6
    assert many >= 0.97


def test_controls_of_both_kinds() -> None:
    positive, negative = controls(CORES["cortex-m4"], Leakage(), "plain", RNG(8))
    assert positive.succeeded
    assert negative.succeeded
    assert positive.metrics[0].value >= 0.95
    assert negative.metrics[0].value <= 0.05


def test_levels_are_removed_and_nothing_else() -> None:
    """Two inputs that differ in one value differ in the traces of the windows that cover it, and in no other."""
    twin = twin_of(MODELS["valid"]())
    layer = first_layer(twin.model)
    with InputBench(twin, layer, Leakage(), 4, RNG(9)) as bench:
        codes = RNG(10).integers(-128, 128, layer.size).astype(np.int8)
        other = codes.copy()
        other[0] ^= 0x7F
        first, second = bench.traces(codes), bench.traces(other)
    for shape, a, b in zip(bench.shapes, first, second, strict=True):
        touched = (shape.inputs == 0).any(1)
        assert ((a != b).any((1, 2)) == touched).all()


def test_a_guess_from_data_is_a_distribution() -> None:
    rows = RNG(11).normal(20, 4, (300, 5)).round().astype(np.int64).clip(-128, 127)
    guess = guess_from(rows)
    assert np.exp(guess.prior).sum(1) == pytest.approx(1.0)
    assert np.abs(guess.prior.argmax(1) - 128 - 20).max() <= 3
    assert guess.middle == pytest.approx(20, abs=1)
    better, chance = of_guess(rows[:50], guess), of_guess(rows[:50], uniform_guess(5))
    assert better.error.mean() < 5 < chance.error.mean()


def test_scores_and_gain() -> None:
    true = np.array([[0, 10, 20], [5, 5, 9]])
    found = np.array([[0, 10, 23], [5, 5, 9]])
    scores = of_recovered(true, found)
    assert scores.exact.tolist() == [pytest.approx(2 / 3), 1.0]
    assert scores.error.tolist() == [1.0, 0.0]
    assert scores.psnr[0] == pytest.approx(10 * np.log10(255**2 / 3))
    share, interval = gain(scores, of_guess(true, uniform_guess(3)), RNG(12))
    assert share == pytest.approx((10 - 1 + 19 / 3) / (10 + 19 / 3))
    assert interval.low <= share <= interval.high


def test_pictures_fit() -> None:
    assert arranged(np.arange(490), (1, 49, 10, 1)).shape == (49, 10)
    assert arranged(np.arange(96 * 96 * 3), (1, 96, 96, 3)).shape == (48, 48)
    assert arranged(np.arange(640), (1, 640)).shape == (10, 64)


def attacked(bench: Workbench, data: bytes, *, samples: bool = False, **config: Any) -> Observation:
    target = replace(bench.target(data), device=load_device(BOARD))
    if samples:
        assert target.space is not None
        target = replace(target, dataset=digits(target.space))
    return bench.run(input_from_trace, target, **config)


def digits(space: Any) -> Any:
    with digits_paths() as paths:
        return load_dataset(paths.data, space, frames=False)


def metric(seen: Observation, name: str, number: int = 0) -> float:
    return [m for m in seen.metrics if m.name == name][number].value


def test_digits_fall(bench: Workbench) -> None:
    seen = attacked(bench, digits_model(), samples=True, inputs=4, channels=16)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.SIMULATED
    assert metric(seen, "inputs_recovered") >= 0.9
    assert metric(seen, "inputs_recovered") > metric(seen, "inputs_recovered", 1) + 0.2, "beside the guess"
    assert metric(seen, "input_error") < metric(seen, "input_error", 1) / 4
    assert metric(seen, "fidelity") >= 0.75
    assert [p.x for p in seen.curves[0].points] == [1, 3, 10, 30, 100]
    assert len(seen.curves) == 2
    assert len(seen.pictures[0].pictures) == 9
    assert {len(picture.rows) for picture in seen.pictures[0].pictures} == {8}
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded
    assert seen.facts["given"] == ["weights", "an identical build with inputs of their own"]


def test_what_the_attacker_was_given_is_said(bench: Workbench) -> None:
    seen = attacked(bench, digits_model(), samples=True, inputs=3, channels=4, prior="data")
    assert "other inputs of the data" in seen.facts["given"][-1]


def test_in_noise_an_input_stands(bench: Workbench) -> None:
    seen = attacked(bench, digits_model(), samples=True, inputs=4, channels=8, snr=1e-6)
    assert seen.verdict.kind is not VerdictKind.VULNERABLE
    assert metric(seen, "inputs_recovered") < metric(seen, "inputs_recovered", 1)


def test_a_float_input_is_recovered_through_its_codes(bench: Workbench) -> None:
    target = bench.target(dense(real=True))
    assert target.model is not None
    assert target.space is not None
    layer = first_layer(target.model)
    codes = np.arange(-128, 128)

    def ask(data: bytes, inputs: Any) -> Any:
        return bench.victim_of(data).raw(inputs)

    assert layer.op == 1
    assert (code_table(target.model, target.data, layer, codes.astype(np.int8), ask) == codes).all()
    seen = attacked(bench, dense(real=True), inputs=3, snr=100.0)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert metric(seen, "inputs_recovered") >= 0.97


def softmax_first() -> bytes:
    builder = GraphBuilder("softmax first")
    x = builder.input((1, 4), "int8", 0.1, 0)
    builder.output(builder.op("SOFTMAX", [x], scale=1 / 256, zero_point=-128, options={"beta": 1.0}))
    return builder.tobytes()


@pytest.mark.parametrize(("data", "why"), [(float_linear, "int8"), (softmax_first, "sums are not followed")])
def test_what_is_not_covered_is_said(data: Any, why: str) -> None:
    with pytest.raises(CapabilityMissing, match=why):
        first_layer(read_model(data()))


def test_one_channel_at_a_time_is_not_what_dsp_kernels_do() -> None:
    twin = twin_of(convolution((5, 5, 1), (3, 3), 1), style="dsp")
    with pytest.raises(CapabilityMissing, match="one channel"):
        InputBench(twin, first_layer(twin.model), Leakage(), 4, RNG(13))


def test_the_control_twin_is_a_model() -> None:
    assert first_layer(read_model(small_convolution(RNG(14)))).size == 128


def results(seen: Observation) -> Iterator[str]:
    yield seen.summary
    for curve in seen.curves:
        yield f"{curve.title}: {[(p.x, round(p.y, 3)) for p in curve.points]}"


@pytest.mark.slow
def test_digits_acceptance(bench: Workbench) -> None:
    """From one trace at a ratio of 1 at least 95 % of the values of 30 digits; from ten at 0.1 as many; all decisions
    alike at 1. Measured: 99.5 % and 99 %."""
    seen = attacked(bench, digits_model(), samples=True, inputs=30)
    assert metric(seen, "inputs_recovered") >= 0.95, list(results(seen))
    assert metric(seen, "fidelity") == 1.0
    weak = attacked(bench, digits_model(), samples=True, inputs=30, snr=0.1, traces=10)
    assert metric(weak, "inputs_recovered") >= 0.95, list(results(weak))


@pytest.mark.slow
def test_kws_acceptance(bench: Workbench, shared_data: Path) -> None:
    """From one trace at a ratio of 1, and from three at 0.1, at least 99 % of the 490 values of 10 recordings; from one
    at 0.1 at least 80 %. Measured: 100 %, 100 %, 96 %."""
    model = (shared_data / "mlperf_tiny_kws" / "kws_ref_model.tflite").read_bytes()
    target = replace(bench.target(model), device=load_device(BOARD))
    assert target.space is not None
    data = load_dataset(shared_data / "mlperf_tiny_kws" / "kws01.npz", target.space, frames=False)
    for snr, traces, bar in ((1.0, 1, 0.99), (0.1, 3, 0.99), (0.1, 1, 0.8)):
        seen = bench.run(input_from_trace, replace(target, dataset=data), values=4900, snr=snr, traces=traces)
        assert metric(seen, "inputs_recovered") >= bar, list(results(seen))
        assert metric(seen, "fidelity") >= 0.9
