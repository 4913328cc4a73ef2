"""Requantization constants against the real runtime, with scales at which a wrong precision shows in the outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.real_runtime import needs_runtime, run_models
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.requant import (
    Int64Array,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from tinymlsec.target.tflite.requant_ops import (
    activation_range,
    add_constants,
    convolution_multipliers,
    fully_connected_multiplier,
    leaky_relu_multiplier,
    multiply_multiplier,
    rescale_multiplier,
    softmax_constants,
)

pytestmark = needs_runtime
BYTES = np.arange(-128, 128)
LEFT, RIGHT = (axis.ravel() for axis in np.meshgrid(BYTES, BYTES))


@dataclass
class Case:
    """A one-operator model, its inputs and the output we expect."""

    model: bytes
    inputs: list[NDArray[np.int8]]
    expected: Int64Array


def single(value: float) -> float:
    return float(np.float32(value))


def row(values: NDArray[np.int64]) -> NDArray[np.int8]:
    return values.astype(np.int8)[None]


def check(cases: list[Case], folder: Path) -> None:
    outputs = run_models([(case.model, list(case.inputs), 1) for case in cases], folder)
    for case, (output,) in zip(cases, outputs, strict=True):
        np.testing.assert_array_equal(output.ravel().astype(np.int64), case.expected.ravel())


def one_op(
    name: str, scales: list[float], points: list[int], output: tuple[float, int], size: int, **options: float | str
) -> bytes:
    builder = GraphBuilder()
    inputs = [builder.input((1, size), "int8", s, z) for s, z in zip(scales, points, strict=True)]
    builder.output(builder.op(name, inputs, scale=output[0], zero_point=output[1], options=options))
    return builder.tobytes()


def tie_scales(rng: np.random.Generator) -> tuple[float, float]:
    """(input, output) scales whose ratio times a small integer is all but k + 1/2: rounding of the ratio decides."""
    output = single(rng.uniform(0.05, 0.3))
    return single(output * (rng.integers(1, 100) + 0.5) / rng.integers(3, 120)), output


def telling(make: Callable[[np.random.Generator], tuple[Case, Int64Array]], count: int) -> list[Case]:
    """Cases whose expected output differs from the one that single precision would give."""
    rng, cases = np.random.default_rng(3), []
    while len(cases) < count:
        case, otherwise = make(rng)
        if not np.array_equal(case.expected, otherwise):
            cases.append(case)
    return cases


def relu_case(rng: np.random.Generator) -> tuple[Case, Int64Array]:
    scale, output = tie_scales(rng)

    def expected(multiplier: tuple[int, int]) -> Int64Array:
        return np.clip(multiply_by_quantized_multiplier(BYTES, *multiplier), 0, 127)

    ratio = quantize_multiplier(float(np.float32(scale) / np.float32(output)))
    case = Case(
        one_op("RELU", [scale], [0], (output, 0), 256), [row(BYTES)], expected(rescale_multiplier(scale, output))
    )
    return case, expected((int(ratio[0]), int(ratio[1])))


def leaky_case(rng: np.random.Generator) -> tuple[Case, Int64Array]:
    ratio, output = tie_scales(rng)
    scale = single(rng.uniform(0.05, 0.3))
    alpha, values = single(ratio / scale), BYTES[:128]

    def expected(multiplier: tuple[int, int]) -> Int64Array:
        return np.clip(multiply_by_quantized_multiplier(values, *multiplier), -128, 127)

    model = one_op("LEAKY_RELU", [scale], [0], (output, 0), 128, alpha=alpha)
    narrow = quantize_multiplier(float(np.float32(scale) * np.float32(alpha) / np.float32(output)))
    case = Case(model, [row(values)], expected(leaky_relu_multiplier(scale, alpha, output)))
    return case, expected((int(narrow[0]), int(narrow[1])))


def mul_case(rng: np.random.Generator) -> tuple[Case, Int64Array]:
    ratio, output = tie_scales(rng)
    scale = single(rng.uniform(0.05, 0.3))
    other = single(ratio / scale / 97)

    def expected(multiplier: tuple[int, int]) -> Int64Array:
        return np.clip(multiply_by_quantized_multiplier(LEFT * RIGHT, *multiplier), -128, 127)

    narrow = quantize_multiplier(float(np.float32(scale) * np.float32(other) / np.float32(output)))
    model = one_op("MUL", [scale, other], [0, 0], (output, 0), LEFT.size)
    case = Case(model, [row(LEFT), row(RIGHT)], expected(multiply_multiplier(scale, other, output)))
    return case, expected((int(narrow[0]), int(narrow[1])))


def add(
    name: str, scales: list[float], points: list[int], output: tuple[float, int], constants: object = None
) -> Int64Array:
    c = constants or add_constants(scales[0], scales[1], output[0])
    first = multiply_by_quantized_multiplier((LEFT - points[0]) << c.left_shift, c.input1_multiplier, c.input1_shift)
    second = multiply_by_quantized_multiplier((RIGHT - points[1]) << c.left_shift, c.input2_multiplier, c.input2_shift)
    total = first + (second if name == "ADD" else -second)
    return multiply_by_quantized_multiplier(total, c.output_multiplier, c.output_shift) + output[1]


def test_relu_leaky_relu_and_mul_where_single_precision_would_differ(tmp_path: Path) -> None:
    check([*telling(relu_case, 4), *telling(leaky_case, 4), *telling(mul_case, 3)], tmp_path)


@pytest.mark.parametrize("name", ["ADD", "SUB"])
@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
def test_add_and_sub(name: str, activation: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    cases = []
    for _ in range(3):
        first, output = tie_scales(rng)
        scales, points = [first, single(first * rng.integers(1, 9) / 8)], rng.integers(-20, 20, 3).tolist()
        low, high = activation_range(
            ["NONE", "RELU", "RELU_N1_TO_1", "RELU6"].index(activation), "int8", output, points[2]
        )
        expected = np.clip(add(name, scales, points[:2], (output, points[2])), low, high)
        model = one_op(name, scales, points[:2], (output, points[2]), LEFT.size, fused_activation_function=activation)
        cases.append(Case(model, [row(LEFT), row(RIGHT)], expected))
    check(cases, tmp_path)


def test_activation_bounds_are_quantized_in_single_precision(tmp_path: Path) -> None:
    """Scales at which 6 / scale lies just below k + 1/2, and on it once rounded to single precision."""
    rng, cases = np.random.default_rng(2), []
    while len(cases) < 5:
        steps = int(rng.integers(20, 120))
        scale = single(6 / (steps + 0.5))
        _, high = activation_range(3, "int8", scale, 0)
        if high == int(np.floor(6 / scale + 0.5)):
            continue
        builder = GraphBuilder()
        inputs = [builder.input((1, 1), "int8", 1.3 * scale) for _ in range(2)]
        builder.output(builder.op("ADD", inputs, scale=scale, options={"fused_activation_function": "RELU6"}))
        largest = np.full((1, 1), 127, np.int8)
        cases.append(Case(builder.tobytes(), [largest, largest], np.array([high])))
    check(cases, tmp_path)


def test_fully_connected_multiplies_scales_in_double_precision(tmp_path: Path) -> None:
    """Biases are chosen as accumulators at which a single-precision product of the scales would round differently."""
    rng, cases = np.random.default_rng(1), []
    while len(cases) < 4:
        si, sw, so = (single(v) for v in rng.uniform([1e-4, 1e-4, 0.5], [1e-3, 1e-3, 2.0]))
        wide, narrow = (
            fully_connected_multiplier(si, sw, so),
            quantize_multiplier(float(np.float32(si) * np.float32(sw)) / so),
        )
        near = np.round((np.arange(60, 127) + 0.5) / (si * sw / so))[:, None] + np.arange(-80, 81, 4)
        accumulators = near[np.abs(near) < 2**31 - 1].astype(np.int64)
        ours = multiply_by_quantized_multiplier(accumulators, *wide)
        differ = ours != multiply_by_quantized_multiplier(accumulators, *narrow)
        if not differ.any():
            continue
        biases = accumulators[differ][:64]
        builder = GraphBuilder()
        x = builder.input((1, 1), "int8", si)
        weights = builder.constant(np.zeros((biases.size, 1), np.int8), sw)
        bias = builder.constant(biases.astype(np.int32), si * sw)
        builder.output(builder.op("FULLY_CONNECTED", [x, weights, bias], scale=so))
        cases.append(Case(builder.tobytes(), [np.zeros((1, 1), np.int8)], ours[differ][:64]))
    check(cases, tmp_path)


def test_convolution_per_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    scales = rng.uniform(0.001, 0.2, 40).astype(np.float32)
    weights = rng.integers(-127, 128, (40, 1, 1, 1)).astype(np.int8)
    bias = rng.integers(-2000, 2000, 40).astype(np.int32)
    builder = GraphBuilder()
    x = builder.input((1, 16, 16, 1), "int8", 0.043, 7)
    kernel = builder.constant(weights, scales, dimension=0)
    offsets = builder.constant(bias, 0.043 * scales.astype(np.float64), dimension=0)
    y = builder.op(
        "CONV_2D",
        [x, kernel, offsets],
        scale=0.31,
        zero_point=-9,
        options={"padding": "VALID", "stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU6"},
    )
    builder.output(y)
    accumulators = (BYTES[:, None] - 7) * weights.reshape(-1).astype(np.int64) + bias
    multiplier, shift = convolution_multipliers(0.043, scales, 0.31, 40)
    low, high = activation_range(3, "int8", 0.31, -9)
    expected = np.clip(multiply_by_quantized_multiplier(accumulators, multiplier, shift) - 9, low, high)
    check([Case(builder.tobytes(), [BYTES.astype(np.int8).reshape(1, 16, 16, 1)], expected)], tmp_path)


@pytest.mark.parametrize("ratio", [0.013, 0.5, 1.0, 2.7])
def test_quantize_between_integer_scales(ratio: float, tmp_path: Path) -> None:
    scale = 0.11
    expected = multiply_by_quantized_multiplier(BYTES - 5, *rescale_multiplier(scale * ratio, scale)) - 3
    model = one_op("QUANTIZE", [scale * ratio], [5], (scale, -3), 256)
    check([Case(model, [row(BYTES)], np.clip(expected, -128, 127))], tmp_path)


def exp_on_negative_values(a: int) -> int:
    """exp of a fixed-point number with 5 integer bits in [-32, 0), as a fraction of 2**31 (gemmlowp)."""
    mul = lambda x, y: int(saturating_rounding_doubling_high_mul(x, y))  # noqa: E731
    half = lambda x, e: int(rounding_divide_by_power_of_two(x, e))  # noqa: E731
    if a == 0:
        return 2**31 - 1
    quarter = (a & (2**24 - 1)) - 2**24
    x = (quarter << 5) + 2**28
    square = mul(x, x)
    tail = half(mul(half(mul(square, square), 2) + mul(square, x), 715827883) + square, 1)
    result = 1895147668 + mul(1895147668, x + tail)
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for bit, factor in enumerate(factors):
        if (quarter - a) >> (24 + bit) & 1:
            result = mul(result, factor)
    return result


@pytest.mark.parametrize(("scale", "beta"), [(0.0471, 1.0), (0.3, 1.0), (0.11, 2.5), (30.0, 1.0)])
def test_softmax_constants_give_the_runtime_s_probabilities(scale: float, beta: float, tmp_path: Path) -> None:
    """Within one step: the normalization by a reciprocal is not repeated here, only what the constants decide."""
    constants = softmax_constants(beta, scale)
    logits = np.array([[10, 3, -7, -60, -128, 9]])
    raw = []
    for difference in (logits - logits.max()).ravel().tolist():
        rescaled = int(multiply_by_quantized_multiplier(difference, constants.multiplier, constants.left_shift))
        raw.append(exp_on_negative_values(rescaled) if difference >= -constants.radius else 0)
    expected = np.clip(np.round(np.array(raw) / sum(raw) * 256) - 128, -128, 127)
    builder = GraphBuilder()
    x = builder.input((1, 6), "int8", scale, 4)
    builder.output(builder.op("SOFTMAX", [x], scale=1 / 256, zero_point=-128, options={"beta": beta}))
    ((output,),) = run_models([(builder.tobytes(), [logits.astype(np.int8)], 1)], tmp_path)
    assert np.abs(output.ravel() - expected).max() <= 1
