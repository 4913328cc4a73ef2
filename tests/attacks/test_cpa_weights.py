"""Weights from traces: the arithmetic against NumPy, a device that falls, and traces from which nothing can be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from attacks.attack_targets import Workbench
from tinymlsec.attacks.side_channel import _costs
from tinymlsec.attacks.side_channel._chain import recover, recover_bias
from tinymlsec.attacks.side_channel._costs import sums_over_traces
from tinymlsec.attacks.side_channel._features import FEATURES, bits, loaded_word
from tinymlsec.attacks.side_channel._macs import macs_of
from tinymlsec.attacks.side_channel._points import Point, profile
from tinymlsec.attacks.side_channel._weights_output import output_codes
from tinymlsec.attacks.side_channel.cpa_weights import cpa_weights
from tinymlsec.emulate import toolchain
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.twin import build_twin
from tinymlsec.evidence import Observation
from tinymlsec.examples import digits_model
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.target.device import load_device
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model

RNG = np.random.default_rng


def convolution(name: str, stride: int, padding: int, dilation: int = 1) -> Model:
    """One int8 convolution on a 9 x 8 image of 3 channels."""
    rng = RNG(1)
    builder = GraphBuilder(name)
    x = builder.input((1, 9, 8, 3), scale=0.1, zero_point=7)
    shape = (1, 3, 2, 6) if name == "DEPTHWISE_CONV_2D" else (5, 3, 2, 3)
    channels = shape[3] if name == "DEPTHWISE_CONV_2D" else shape[0]
    weights = builder.constant(rng.integers(-127, 128, shape).astype(np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-99, 99, channels).astype(np.int32), scale=0.001)
    options = {
        "stride_h": stride, "stride_w": stride, "padding": padding, "dilation_h_factor": dilation,
        "dilation_w_factor": dilation, "fused_activation_function": 0,
    }  # fmt: skip
    if name == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = 2
    builder.output(builder.op(name, [x, weights, bias], scale=0.3, zero_point=-4, options=options))
    return read_model(builder.tobytes())


def slow_sum(model: Model, image: np.ndarray, pixel: tuple[int, int], channel: int) -> int | None:
    """The sum of one output by four loops, None where a tap lies outside."""
    op, tensors = model.main.operators[0], model.main.tensors
    weights = constant(model, tensors[op.inputs[1]])
    assert weights is not None
    (_, height, width, depth), out = tensors[op.inputs[0]].shape, tensors[op.outputs[0]].shape
    zero = int(tensors[op.inputs[0]].quantization.zero_point[0])  # type: ignore[union-attr]
    k_h, k_w = weights.shape[1:3]
    stride, dilation = int(op.options["stride_h"]), int(op.options["dilation_h_factor"])  # type: ignore[arg-type]
    starts = []
    for place, size, count, taps in ((pixel[0], height, out[1], k_h), (pixel[1], width, out[2], k_w)):
        reach = (taps - 1) * dilation + 1
        pad = max((count - 1) * stride + reach - size, 0) // 2 if op.options["padding"] == 0 else 0
        starts.append(place * stride - pad)
    total = 0
    for i in range(k_h):
        for j in range(k_w):
            y, x = starts[0] + i * dilation, starts[1] + j * dilation
            if not (0 <= y < height and 0 <= x < width):
                return None
            if op.name == "DEPTHWISE_CONV_2D":
                total += (int(image[y, x, channel // 2]) - zero) * int(weights[0, i, j, channel])
            else:
                total += sum((int(image[y, x, c]) - zero) * int(weights[channel, i, j, c]) for c in range(depth))
    return total


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 0, 1), (2, 1, 1), (1, 1, 2), (1, 0, 2)])
def test_products_of_a_pixel_make_its_sum(name: str, stride: int, padding: int, dilation: int) -> None:
    model = convolution(name, stride, padding, dilation)
    macs = macs_of(model, model.main.operators[0])
    image = RNG(2).integers(-128, 128, (1, 9, 8, 3)).astype(np.int8)
    weights = constant(model, model.main.tensors[macs.weight_tensor])
    assert weights is not None
    out = model.main.tensors[model.main.outputs[0]].shape
    inside = {(y, x) for y in range(out[1]) for x in range(out[2]) if slow_sum(model, image[0], (y, x), 0) is not None}
    assert set(macs.pixels) == inside
    for pixel in macs.pixels:
        there = macs.moved(pixel)
        for channel in range(macs.channels):
            products = there.factors(image, channel)[0] * weights.ravel()[there.weights[channel]]
            assert products.sum() == slow_sum(model, image[0], pixel, channel)


def slow_bits(value: int) -> int:
    return bin(value & 0xFFFFFFFF).count("1")


def test_features_are_counts_of_bits() -> None:
    rng = RNG(3)
    after, before = (rng.integers(-(1 << 20), 1 << 20, 50).astype(np.int32) for _ in range(2))
    single, pair = (rng.integers(-127, 128, (50, width)).astype(np.int32) for width in (1, 2))
    expected = {
        "hw_sum": [slow_bits(int(a)) for a in after],
        "hd_sum": [slow_bits(int(a) ^ int(b)) for a, b in zip(after, before, strict=True)],
        "hw_hd_sum": [slow_bits(int(a)) + slow_bits(int(a) ^ int(b)) for a, b in zip(after, before, strict=True)],
        "hw_product": [slow_bits(int(a) - int(b)) for a, b in zip(after, before, strict=True)],
        "hw_weight": [slow_bits(int(w)) for w in single[:, 0]],
    }
    for name, feature in FEATURES.items():
        assert feature(after, before, loaded_word(single)).tolist() == expected[name]
    widened = [slow_bits(int(a) & 0xFFFF) + slow_bits(int(b) & 0xFFFF) for a, b in pair]
    assert bits(loaded_word(pair)).tolist() == widened


def test_groups_follow_the_inner_loops() -> None:
    model = convolution("CONV_2D", 1, 0)
    macs = macs_of(model, model.main.operators[0])
    assert macs.run == 6, "two taps of three channels lie side by side"
    assert macs.groups("plain") == tuple((k,) for k in range(18))
    assert macs.groups("dsp")[:5] == ((0, 2), (1, 3), (4,), (5,), (6, 8))
    assert sorted(k for group in macs.groups("dsp") for k in group) == list(range(18))
    depthwise = convolution("DEPTHWISE_CONV_2D", 1, 0)
    assert all(len(group) == 1 for group in macs_of(depthwise, depthwise.main.operators[0]).groups("dsp"))


def leaking(n: int, k: int, sigma: float, seed: int) -> tuple[dict[int, np.ndarray], np.ndarray, np.ndarray, list]:
    """Traces of a made-up accumulator that shows the weight of each sum at sample i."""
    rng = RNG(seed)
    weights = rng.integers(-127, 128, k).astype(np.int32)
    factors = rng.integers(-200, 56, (n, k)).astype(np.int32)
    sums = np.cumsum(factors * weights, axis=1, dtype=np.int32)
    clean = bits(np.ascontiguousarray(sums)).astype(np.float32)
    traces = {i: 2 * clean[:, i] + 5 + sigma * rng.standard_normal(n).astype(np.float32) for i in range(k)}
    points = [[Point(i, "hw_sum", 2.0, 5.0, 0.0, 1.0)] for i in range(k)]
    return traces, factors, weights, points


def test_a_chain_is_read_from_its_sums() -> None:
    traces, factors, weights, points = leaking(800, 24, 8.0, 4)
    chain = recover(traces, factors, points, 8.0, 16)
    assert (chain.weights == weights).all()
    assert (chain.sums == (factors * weights).sum(1)).all()
    assert chain.margin > 5


def test_powers_of_two_are_told_apart_later() -> None:
    """The first weight and its double look alike in the first sum; one path alone is not enough."""
    traces, factors, weights, points = leaking(800, 12, 2.0, 5)
    weights = weights.copy()
    weights[0] = 29
    sums = np.cumsum(factors * weights, axis=1, dtype=np.int32)
    traces = {i: 2 * bits(np.ascontiguousarray(sums[:, i])).astype(np.float32) + 5 for i in range(12)}
    assert (recover(traces, factors, points, 2.0, 16).weights == weights).all()


def test_a_factor_of_zero_is_blind() -> None:
    _, factors, weights, points = leaking(500, 8, 1.0, 6)
    factors = factors.copy()
    factors[:, 3] = 0
    sums = np.cumsum(factors * weights, axis=1, dtype=np.int32)
    traces = {i: 2 * bits(np.ascontiguousarray(sums[:, i])).astype(np.float32) + 5 for i in range(8)}
    chain = recover(traces, factors, points, 1.0, 16)
    assert chain.blind.tolist() == [i == 3 for i in range(8)]
    assert (chain.weights == weights)[~chain.blind].all()


def test_noise_alone_gives_no_weights() -> None:
    rng = RNG(7)
    hits = 0
    for seed in range(10):
        _, factors, weights, points = leaking(400, 16, 1.0, seed)
        traces = {i: 16 + 8 * rng.standard_normal(400).astype(np.float32) for i in range(16)}
        hits += int((recover(traces, factors, points, 8.0, 8).weights == weights).sum())
    assert hits <= 8, "160 weights, one in 255 by luck"


def test_a_bias_is_what_was_added() -> None:
    rng = RNG(8)
    sums = rng.integers(-60_000, 60_000, 1000).astype(np.int32)
    for bias in (-70_000, -1, 0, 12_345):
        trace = bits(sums + np.int32(bias)).astype(np.float32) + rng.standard_normal(1000).astype(np.float32)
        found, _ = recover_bias({9: trace}, sums, [Point(9, "hw_sum", 1.0, 0.0, 0.0, 1.0)], 1.0, 1 << 17)
        assert found == bias


def test_codes_of_sums_are_what_the_device_stores() -> None:
    """The last layer's input and output as the emulated firmware has them."""
    model = convolution("CONV_2D", 1, 0)
    macs = macs_of(model, model.main.operators[0])
    twin = build_twin(model, CORES["cortex-m4"])
    images = RNG(11).integers(-128, 128, (4, 1, 9, 8, 3)).astype(np.int8)
    with twin.start() as started:
        stored = started.infer(images)[0]
    weights, bias = (constant(model, model.main.tensors[t]) for t in (macs.weight_tensor, macs.bias_tensor))  # type: ignore[index]
    assert weights is not None
    assert bias is not None
    y, x = macs.pixel
    for channel in range(macs.channels):
        products = macs.factors(images, channel) * weights.ravel()[macs.weights[channel]]
        sums = products.sum(1, dtype=np.int32) + np.int32(bias.ravel()[channel])
        assert (output_codes(model, 0, channel, sums) == stored[:, 0, y, x, channel]).all()


def test_profiling_finds_sample_feature_gain_and_level() -> None:
    rng = RNG(9)
    n, k = 400, 6
    factors, weights = rng.integers(-200, 56, (n, k)).astype(np.int32), np.zeros((n, k), np.int32)
    for block in range(0, n, 10):
        weights[block : block + 10] = rng.integers(-127, 128, k)
    sums = np.cumsum(factors * weights, axis=1, dtype=np.int32)
    before = np.concatenate([np.zeros((n, 1), np.int32), sums[:, :-1]], axis=1)
    signal = rng.standard_normal((n, 40)).astype(np.float32)
    for i in range(k):
        signal[:, 3 + 5 * i] = bits(np.ascontiguousarray(weights[:, i])) + 11
        signal[:, 5 + 5 * i] = 3.0 * bits(np.ascontiguousarray(sums[:, i] ^ before[:, i])) - 2
    found = profile(signal, factors, weights, None, [(i,) for i in range(k)])
    for i, step in enumerate(found.steps):
        points = {point.feature: point for point in step}
        assert points["hw_weight"].sample == 3 + 5 * i
        assert points["hw_weight"].level == pytest.approx(11, abs=1e-3)
        distance = next(point for point in step if point.feature != "hw_weight")
        assert distance.sample == 5 + 5 * i
        assert distance.gain == pytest.approx(3.0, abs=1e-3)


def attacked(bench: Workbench, **config: object) -> Observation:
    target = replace(bench.target(digits_model()), device=load_device("stm32l4r5zi"))
    return bench.run(cpa_weights, target, **config)


def test_a_device_falls(bench: Workbench) -> None:
    seen = attacked(bench, traces=600, layers=2, channels=1)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.SIMULATED
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded
    assert seen.metrics[0].value > 0.95
    assert [point.x for point in seen.curves[0].points] == [60, 180, 600]
    entropy = seen.curves[1]
    assert entropy.metric == "guessing_entropy"
    assert [point.x for point in entropy.points] == sorted(point.x for point in entropy.points)
    assert entropy.points[-1].y < 1.5 < 3 < entropy.points[0].y, (
        "bits: the weight is known at the end, and was not before"
    )
    right, wrong = seen.series[0].lines
    assert max(right.high) > max(wrong.high), "the right guess stands out of the best wrong one"
    assert max(right.high) > seen.series[0].thresholds[0]


@pytest.mark.parametrize("style", ["plain", pytest.param("unrolled", marks=pytest.mark.slow)])
def test_a_device_falls_without_an_identical_build(bench: Workbench, style: str) -> None:
    seen = attacked(bench, traces=600, layers=1, channels=2, pixels=1, attacker="non_profiled", style=style)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded
    assert seen.metrics[0].value > 0.9
    assert "non-profiled" in seen.metrics[0].label
    assert "an identical build" not in seen.facts["given"]
    assert {row["feature"] for row in seen.facts["layers"]} == {"hw_sum"}


@pytest.mark.slow
@pytest.mark.parametrize(("leakage", "feature"), [("hamming_distance", "hd_sum"), ("mixed", "hw_hd_sum")])
def test_the_leakage_model_is_chosen_by_measurement(bench: Workbench, leakage: str, feature: str) -> None:
    seen = attacked(bench, traces=600, layers=1, channels=2, pixels=1, attacker="non_profiled", leakage=leakage)
    assert {row["feature"] for row in seen.facts["layers"]} == {feature}
    assert seen.metrics[0].value > 0.9


def test_a_device_in_noise_stands_for_now(bench: Workbench) -> None:
    seen = attacked(bench, traces=200, layers=1, channels=1, snr=1e-5)
    assert seen.verdict.kind in (VerdictKind.INCONCLUSIVE, VerdictKind.RESISTANT)
    assert seen.metrics[0].value < 0.2


@pytest.mark.slow
def test_digits_are_cloned(bench: Workbench) -> None:
    seen = attacked(bench, traces=1000, clone=True, pixels=4)
    labels = next(m for m in seen.metrics if m.label == "largest output")
    assert labels.n == 200
    assert labels.value >= 0.99
    assert seen.artifacts[0].name == "clone.tflite"


def costs_by_hand(
    feature: str, sums: np.ndarray, factors: np.ndarray, guesses: np.ndarray, rest: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same with whole arrays in NumPy."""
    before = (sums[:, None, :] + starts[None, :, None]).astype(np.int32)
    after = (before + (guesses @ factors.T)[None]).astype(np.int32)
    word = loaded_word(guesses)[None, :, None]
    seen = FEATURES[feature](after, before, word).astype(np.float64)
    seen = np.broadcast_to(seen, after.shape)
    return seen.sum(2), (seen**2).sum(2), (seen * rest).sum(2)


@pytest.mark.parametrize("feature", list(FEATURES))
@pytest.mark.parametrize(("n", "each"), [(1, 1), (255, 2), (256, 1), (257, 2), (1000, 1), (1000, 2)])
def test_costs_in_c_equal_numpy(feature: str, n: int, each: int) -> None:
    rng = RNG(n)
    sums = rng.integers(-(1 << 31), 1 << 31, (3, n)).astype(np.int32)
    factors, guesses = (rng.integers(-127, 128, (rows, each)).astype(np.int32) for rows in (n, 9))
    rest = rng.normal(0, 40, n).astype(np.float32)
    starts = rng.integers(-(1 << 20), 1 << 20, 9).astype(np.int32)
    for ours, slow in zip(
        sums_over_traces(feature, sums, factors, guesses, rest, starts),
        costs_by_hand(feature, sums, factors, guesses, rest, starts), strict=True,
    ):  # fmt: skip
        assert ours == pytest.approx(slow, rel=1e-5, abs=0.1)


def test_costs_are_the_same_on_every_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: lanes are added up in one order, whatever vectors there are."""
    if not toolchain.wide_vectors():
        pytest.skip("this processor has no wider vectors")
    rng, made = RNG(3), []
    sums, rest = rng.integers(-(1 << 20), 1 << 20, (2, 777)).astype(np.int32), rng.normal(0, 9, 777).astype(np.float32)
    factors, guesses = (rng.integers(-127, 128, (rows, 2)).astype(np.int32) for rows in (777, 40))
    for flags in (toolchain.wide_vectors(), ()):
        _costs._library.cache_clear()
        monkeypatch.setattr(toolchain, "wide_vectors", lambda flags=flags: flags)
        made.append(np.array(sums_over_traces("hw_hd_sum", sums, factors, guesses, rest)))
    _costs._library.cache_clear()
    assert (made[0] == made[1]).all()


def test_costs_refuse_arrays_of_other_lengths() -> None:
    with pytest.raises(ValueError, match="differ"):
        sums_over_traces(
            "hw_sum", np.zeros((1, 5), np.int32), np.zeros((4, 1), np.int32), np.zeros((2, 1), np.int32), np.zeros(5)
        )


def test_pairs_are_read_together() -> None:
    """Two products an addition, as the DSP extension adds them."""
    rng = RNG(12)
    weights, factors = rng.integers(-127, 128, 8).astype(np.int32), rng.integers(-200, 56, (900, 8)).astype(np.int32)
    groups = [(0, 2), (1, 3), (4, 6), (5, 7)]
    sums = np.cumsum([(factors[:, list(g)] * weights[list(g)]).sum(1) for g in groups], axis=0).astype(np.int32)
    traces = {i: bits(np.ascontiguousarray(row)) + 4 * rng.standard_normal(900) for i, row in enumerate(sums)}
    traces |= {9 + i: np.full(900, bits(loaded_word(weights[None, list(g)]))[0]) + 4 * rng.standard_normal(900)
               for i, g in enumerate(groups)}  # fmt: skip
    steps = [[Point(i, "hw_sum", 1.0, 0.0, 0.0, 1.0), Point(9 + i, "hw_weight", 1.0, 0.0, 0.0, 1.0)] for i in range(4)]
    seen = {sample: values.astype(np.float32) for sample, values in traces.items()}
    assert (recover(seen, factors, steps, 4.0, 8, groups).weights == weights).all()


@pytest.mark.slow
def test_a_device_with_the_dsp_extension_falls(bench: Workbench) -> None:
    seen = attacked(bench, traces=1000, layers=2, channels=1, style="dsp")
    assert seen.verdict.kind is VerdictKind.VULNERABLE
