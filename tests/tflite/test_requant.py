"""Requantization arithmetic against a slow reference in plain Python integers and fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.quantize import quantize_symmetric, range_parameters
from tinymlsec.target.tflite.requant import (
    Rounding,
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
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
    logistic_constants,
    multiply_multiplier,
    quantize_bias,
    rescale_multiplier,
    softmax_constants,
)

LOW, HIGH = -(2**31), 2**31 - 1
EDGES = [LOW, LOW + 1, -(2**30) - 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30 - 1, 2**30, 2**30 + 1, HIGH - 1, HIGH]


def c_divide(a: int, b: int) -> int:
    """Division of C: towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def slow_high_mul(a: int, b: int) -> int:
    if a == b == LOW:
        return HIGH
    nudge = 2**30 if a * b >= 0 else 1 - 2**30
    return c_divide(a * b + nudge, 2**31)


def slow_divide(x: int, exponent: int) -> int:
    """Nearest, ties away from zero."""
    share = Fraction(abs(x), 2**exponent)
    size = int(share + Fraction(1, 2))
    return size if x >= 0 else -size


def slow_multiply(x: int, multiplier: int, shift: int, rounding: str) -> int:
    if rounding == "single":
        return int((Fraction(x * multiplier, 2 ** (31 - shift)) + Fraction(1, 2)).__floor__())
    high = slow_high_mul(wrap(x * 2 ** max(shift, 0)), multiplier)
    if rounding == "double":
        return slow_divide(high, max(-shift, 0))
    return int((Fraction(high, 2 ** max(-shift, 0)) + Fraction(1, 2)).__floor__())


def slow_quantize(real: float) -> tuple[int, int]:
    """By exact fractions: the mantissa in [0.5, 1) times 2**31, rounded half away from zero."""
    if real == 0:
        return 0, 0
    exact, shift = abs(Fraction(real)), 0
    while exact >= 1:
        exact, shift = exact / 2, shift + 1
    while exact < Fraction(1, 2):
        exact, shift = exact * 2, shift - 1
    fixed = int(exact * 2**31 + Fraction(1, 2))
    if fixed == 2**31:
        fixed, shift = 2**30, shift + 1
    if shift < -31:
        return 0, 0
    return (fixed if real > 0 else -fixed), shift


@pytest.mark.parametrize("seed", range(3))
def test_quantize_multiplier_equals_exact_fractions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reals = np.ldexp(rng.uniform(0.5, 1.0, 200), rng.integers(-34, 31, 200)) * rng.choice([1, 1, -1], 200)
    multiplier, shift = quantize_multiplier(reals)
    assert list(zip(multiplier.tolist(), shift.tolist(), strict=True)) == [slow_quantize(real) for real in reals]


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (1.0 - 2.0**-40, (2**30, 1)),  # the mantissa rounds up to one
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),  # flushed
        (np.nextafter(2.0**-32, 0), (2**30, -31)),  # the carry brings it back into range
        (5e-324, (0, 0)),
        (-0.75, (-3 * 2**29, 0)),
        (2.0**31, (2**30, 32)),
    ],
)
def test_quantize_multiplier_at_edges(real: float, expected: tuple[int, int]) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert (int(multiplier), int(shift)) == expected
    assert multiplier.dtype == np.int32 == shift.dtype


def test_single_rounding_saturates_large_multipliers() -> None:
    multiplier, shift = quantize_multiplier([2.0**31, 2.0**29], "single")
    assert multiplier.tolist() == [HIGH, 2**30]
    assert shift.tolist() == [30, 30]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_quantize_multiplier_refuses_what_the_runtime_aborts_on(bad: float) -> None:
    with pytest.raises(ModelFileError, match="not a finite number"):
        quantize_multiplier([0.5, bad])


def test_high_mul_and_division_at_every_pair_of_edges() -> None:
    a, b = np.meshgrid(EDGES, EDGES)
    fast = saturating_rounding_doubling_high_mul(a, b)
    assert fast.tolist() == [
        [slow_high_mul(x, y) for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)
    ]
    x, e = np.meshgrid(EDGES, np.arange(32))
    slow = [[slow_divide(int(v), int(n)) for v, n in zip(*rows, strict=True)] for rows in zip(x, e, strict=True)]
    assert rounding_divide_by_power_of_two(x, e).tolist() == slow


@pytest.mark.parametrize("rounding", ["double", "double_up", "single"])
def test_multiply_equals_plain_integers(rounding: Rounding) -> None:
    rng = np.random.default_rng(7)
    values = np.concatenate([EDGES, rng.integers(LOW, HIGH, 300), rng.integers(-5000, 5000, 300)])
    multiplier = rng.integers(2**30, 2**31, values.size)
    shift = rng.integers(-31, 31 if rounding == "single" else 8, values.size)
    fast = multiply_by_quantized_multiplier(values, multiplier, shift, rounding)
    cases = zip(values.tolist(), multiplier.tolist(), shift.tolist(), strict=True)
    assert fast.tolist() == [slow_multiply(x, m, s, rounding) for x, m, s in cases]


def test_the_three_roundings_differ_on_ties() -> None:
    by = {r: multiply_by_quantized_multiplier([-1, 1, -3], 2**30, 0, r).tolist() for r in ("double", "single")}
    assert by == {"double": [0, 1, -1], "single": [0, 1, -1]}
    # A value of -2 becomes -1, and a quarter of it -0.5: away from zero, or up.
    quarter = {r: multiply_by_quantized_multiplier([-4, 4], 2**30, -2, r).tolist() for r in ("double", "double_up")}
    assert quarter == {"double": [-1, 1], "double_up": [0, 1]}


def test_multipliers_broadcast_over_channels() -> None:
    out = multiply_by_quantized_multiplier(np.full((2, 3), 1000), [2**30, 2**30, 2**30], [0, -1, 1])
    assert out.tolist() == [[500, 250, 1000]] * 2


def test_wide_multiply_equals_plain_integers() -> None:
    rng = np.random.default_rng(9)
    values = rng.integers(-(2**40), 2**40, 300)
    multiplier, shift = rng.integers(2**30, 2**31, 300), rng.integers(-31, -9, 300)
    multiplier[:3] = 0x7FFF0000, 0x7FFEFFFF, HIGH
    slow = []
    for x, m, s in zip(values.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        reduced = (m + 2**15) >> 16 if m < 0x7FFF0000 else 0x7FFF
        slow.append(int((Fraction(x * reduced, 2 ** (15 - s)) + Fraction(1, 2)).__floor__()))
    assert multiply_wide_by_quantized_multiplier(values, multiplier, shift).tolist() == slow


@pytest.mark.parametrize(
    ("activation", "dtype", "scale", "zero_point", "expected"),
    [
        (0, "int8", 0.1, 3, (-128, 127)),
        (1, "int8", 0.1, 3, (3, 127)),
        (1, "int8", 0.1, -128, (-128, 127)),
        (3, "int8", 0.1, -10, (-10, 50)),
        (3, "int8", 0.01, 0, (0, 127)),
        (2, "int8", 0.1, 0, (-10, 10)),
        (2, "int8", 0.4, 0, (-3, 3)),  # 2.5 rounds away from zero
        (3, "uint8", 0.1, 10, (10, 70)),
        (2, "int16", 0.001, 5, (-995, 1005)),
        (4, "int8", 0.1, 0, (-128, 127)),
    ],
)
def test_activation_range(
    activation: int, dtype: str, scale: float, zero_point: int, expected: tuple[int, int]
) -> None:
    assert activation_range(activation, dtype, scale, zero_point) == expected


@pytest.mark.parametrize(
    ("activation", "dtype", "scale"),
    [(3, "int8", 0.0), (3, "int8", 1e-38), (3, "int8", np.nan), (9, "int8", 0.1), (0, "float32", 0.1)],
)
def test_activation_range_refuses(activation: int, dtype: str, scale: float) -> None:
    with pytest.raises(ModelFileError):
        activation_range(activation, dtype, scale, 0)


def test_operator_multipliers_are_products_of_widened_scales() -> None:
    a, b, c = (float(np.float32(v)) for v in (0.017, 0.0031, 0.083))
    assert fully_connected_multiplier(0.017, 0.0031, 0.083) == slow_quantize(a * b / c)
    assert multiply_multiplier(0.017, 0.0031, 0.083) == slow_quantize(a * b / c)
    assert rescale_multiplier(0.017, 0.083) == slow_quantize(a / c)
    assert leaky_relu_multiplier(0.017, -0.0031, 0.083) == slow_quantize(-a * b / c)
    multiplier, shift = convolution_multipliers(0.017, np.array([0.0031], np.float32), 0.083, 3)
    assert list(zip(multiplier.tolist(), shift.tolist(), strict=True)) == [slow_quantize(a * b / c)] * 3


def test_add_constants_by_hand() -> None:
    constants = add_constants(0.25, 0.5, 1.0)
    assert (constants.left_shift, constants.input1_multiplier, constants.input1_shift) == (20, 2**30, -1)
    assert (constants.input2_multiplier, constants.input2_shift) == (2**30, 0)
    assert (constants.output_multiplier, constants.output_shift) == (2**30, -19)
    assert add_constants(0.25, 0.5, 1.0, "int16").left_shift == 15


@pytest.mark.parametrize("scales", [(0.0, 0.1, 0.1), (0.1, -1.0, 0.1), (0.1, 0.1, 0.0), (0.1, 0.1, 1e-9)])
def test_add_constants_refuse_what_the_runtime_aborts_on(scales: tuple[float, float, float]) -> None:
    with pytest.raises(ModelFileError):
        add_constants(*scales)


def test_number_of_filter_scales_must_fit() -> None:
    with pytest.raises(ModelFileError, match="scales of a filter"):
        convolution_multipliers(0.1, np.ones(2, np.float32), 0.1, 3)


@pytest.mark.parametrize("scale", [0.003, 0.0471, 0.5, 7.0])
def test_table_constants_cover_the_fixed_point_range(scale: float) -> None:
    softmax, logistic = softmax_constants(1.0, scale), logistic_constants(scale)
    for constants, bits in ((softmax, 5), (logistic, 4)):
        rescaled = Fraction(constants.multiplier, 2**31) * 2**constants.left_shift
        exact = min(Fraction(float(np.float32(scale))) * 2 ** (31 - bits), Fraction(2**31))
        assert abs(rescaled / exact - 1) < Fraction(1, 2**29)
        limit = (2**bits - 1) * 2 ** (31 - bits)
        assert constants.radius * 2**constants.left_shift <= limit < (constants.radius + 1) * 2**constants.left_shift


def test_softmax_caps_large_scales_and_refuses_tiny_ones() -> None:
    assert softmax_constants(1.0, 1000.0).left_shift == 31
    assert softmax_constants(1.0, 1000.0, "single").left_shift == 30
    with pytest.raises(ModelFileError, match="SOFTMAX"):
        softmax_constants(0.0, 0.1)


def test_quantize_bias_rounds_and_saturates() -> None:
    assert quantize_bias([1.0, -0.25, 1e9], 0.5, [0.5, 0.5, 1e-6]).tolist() == [4, -1, HIGH]


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 5.0), (-2.0, -0.5), (0.0, 0.0)])
def test_range_parameters_cover_the_range_and_keep_zero(low: float, high: float) -> None:
    scale, zero_point = range_parameters(low, high)
    assert -128 <= zero_point <= 127
    assert scale * (-128 - zero_point) <= low + scale
    assert scale * (127 - zero_point) >= high - scale


def test_quantize_symmetric_per_axis() -> None:
    weights = np.array([[1.0, -0.5], [0.1, 0.05]])
    integers, scales = quantize_symmetric(weights, axis=0)
    assert integers.tolist() == [[127, -64], [127, 64]]
    assert scales.shape == (2,)
    assert quantize_symmetric(weights)[0].tolist() == [[127, -64], [13, 6]]
