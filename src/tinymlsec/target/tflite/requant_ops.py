"""Requantization constants per operator, as TensorFlow Lite Micro computes them: in double precision throughout.

The last bit of a multiplier decides single output elements, so the precision in which scales are multiplied and divided
matters. Confirmed in the tests against the runtime that this project pins (October 2026), on scales chosen so that
single precision would give other outputs. The kernels' source of August 2026 still divides in single precision in
FULLY_CONNECTED, SUB, RELU and LEAKY_RELU: firmware built from it can differ in single elements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.requant import INT32_MAX, INT32_MIN, Int32Array, Rounding, quantize_multiplier

INTEGER_RANGES: dict[str, tuple[int, int]] = {
    "int4": (-8, 7),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int32": (INT32_MIN, INT32_MAX),
}
"""Smallest and largest value of the integer types that carry quantized values."""

ACTIVATION_BOUNDS: dict[int, tuple[float | None, float | None]] = {
    0: (None, None),  # NONE
    1: (0.0, None),  # RELU
    2: (-1.0, 1.0),  # RELU_N1_TO_1
    3: (0.0, 6.0),  # RELU6
    4: (None, None),  # TANH: the integer kernels do not apply it
    5: (None, None),  # SIGN_BIT: likewise
}
"""Real bounds of the fused activation functions, by their number in the schema."""

SOFTMAX_INTEGER_BITS = 5
LOGISTIC_INTEGER_BITS = 4


@dataclass(frozen=True)
class AddConstants:
    """ADD and SUB: both inputs are shifted left, rescaled to a common scale, added and rescaled to the output."""

    left_shift: int
    input1_multiplier: int
    input1_shift: int
    input2_multiplier: int
    input2_shift: int
    output_multiplier: int
    output_shift: int


@dataclass(frozen=True)
class TableConstants:
    """SOFTMAX, LOGISTIC and TANH: the input is rescaled to fixed point; values beyond the radius saturate."""

    multiplier: int
    left_shift: int
    radius: int
    """Largest magnitude of an input (difference) that is evaluated; SOFTMAX's diff_min is its negative."""


def activation_range(activation: int, dtype: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Integer bounds that a kernel clamps its output to.

    Args:
        activation: number of the fused activation function in the schema (0 NONE, 1 RELU, 2 RELU_N1_TO_1, 3 RELU6).
        dtype: int8, uint8 or int16.
        scale: scale of the output.
        zero_point: zero point of the output.

    Raises:
        ModelFileError: unknown type or activation, or a bound that does not fit 32 bits (the runtime refuses it too).
    """
    if dtype not in INTEGER_RANGES or activation not in ACTIVATION_BOUNDS:
        raise ModelFileError(
            "no activation range for this output",
            found=f"activation {activation}, type {dtype}",
            expected=f"activation 0 to 5, one of {', '.join(INTEGER_RANGES)}",
        )
    lowest, highest = INTEGER_RANGES[dtype]
    lower, upper = ACTIVATION_BOUNDS[activation]
    if lower is not None:
        lowest = max(lowest, _quantize_bound(lower, scale, zero_point))
    if upper is not None:
        highest = min(highest, _quantize_bound(upper, scale, zero_point))
    return lowest, highest


def _quantize_bound(real: float, scale: float, zero_point: int) -> int:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = float(np.float32(real) / np.float32(scale))  # single precision, as the kernel
    if not INT32_MIN <= ratio <= INT32_MAX:
        raise ModelFileError(
            f"the activation bound {real} cannot be quantized",
            found=f"scale {scale}",
            expected="a scale with which the bound fits 32 bits",
        )
    return zero_point + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))


def convolution_multipliers(
    input_scale: float, filter_scales: ArrayLike, output_scale: float, channels: int, rounding: Rounding = "double"
) -> tuple[Int32Array, Int32Array]:
    """CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, and FULLY_CONNECTED with scales per channel.

    Args:
        input_scale: scale of the input.
        filter_scales: (channels,) or (1,).
        output_scale: scale of the output.
        channels: output channels; one filter scale is repeated for all.
        rounding: see `tinymlsec.target.tflite.requant`.

    Returns:
        multiplier and shift, int32 (channels,).
    """
    scales = np.asarray(filter_scales, dtype=np.float32).astype(np.float64).ravel()
    if scales.size not in (1, channels):
        raise ModelFileError("scales of a filter", found=f"{scales.size} scales", expected=f"1 or {channels}")
    real = _double(input_scale) * np.broadcast_to(scales, (channels,)) / _positive(output_scale)
    return quantize_multiplier(real, rounding)


def fully_connected_multiplier(
    input_scale: float, filter_scale: float, output_scale: float, rounding: Rounding = "double"
) -> tuple[int, int]:
    """FULLY_CONNECTED with one filter scale.

    Returns:
        multiplier and shift.
    """
    return _scalar(_double(input_scale) * _double(filter_scale) / _positive(output_scale), rounding)


def multiply_multiplier(
    scale1: float, scale2: float, output_scale: float, rounding: Rounding = "double"
) -> tuple[int, int]:
    """MUL: multiplier and shift."""
    return _scalar(_double(scale1) * _double(scale2) / _positive(output_scale), rounding)


def rescale_multiplier(input_scale: float, output_scale: float, rounding: Rounding = "double") -> tuple[int, int]:
    """QUANTIZE from integers, MEAN, SUM, RELU, and LEAKY_RELU where the input is not negative: multiplier and shift."""
    return _scalar(_double(input_scale) / _positive(output_scale), rounding)


def leaky_relu_multiplier(
    input_scale: float, alpha: float, output_scale: float, rounding: Rounding = "double"
) -> tuple[int, int]:
    """LEAKY_RELU where the input is negative: multiplier and shift of ``input_scale * alpha / output_scale``."""
    return _scalar(_double(input_scale) * _double(alpha) / _positive(output_scale), rounding)


def add_constants(
    scale1: float, scale2: float, output_scale: float, dtype: str = "int8", rounding: Rounding = "double"
) -> AddConstants:
    """ADD and SUB (which subtracts the second product). The common scale is twice the larger input scale.

    Args:
        scale1: scale of the first input.
        scale2: scale of the second input.
        output_scale: scale of the output.
        dtype: int8 or int16, of all three.
        rounding: see `tinymlsec.target.tflite.requant`.

    Raises:
        ModelFileError: a multiplier of one or more, at which the runtime aborts.
    """
    left_shift = _left_shift(dtype)
    twice = 2 * max(_positive(scale1), _positive(scale2))
    reals = (_double(scale1) / twice, _double(scale2) / twice, twice / (2.0**left_shift * _positive(output_scale)))
    return _add_constants(left_shift, reals, rounding)


def _left_shift(dtype: str) -> int:
    """Bits of head room that int8 (20) and int16 (15) values leave in 32 bits."""
    return 15 if dtype == "int16" else 20


def _add_constants(left_shift: int, reals: tuple[float, float, float], rounding: Rounding) -> AddConstants:
    if not all(0.0 < real < 1.0 for real in reals):
        raise ModelFileError(
            "the scales of an addition cannot be brought to one",
            found="multipliers " + ", ".join(f"{real:g}" for real in reals),
            expected="every multiplier between 0 and 1",
            next_step="read the scales of both inputs and of the output",
        )
    multiplier, shift = quantize_multiplier(reals, rounding)
    m, s = multiplier.tolist(), shift.tolist()
    return AddConstants(left_shift, m[0], s[0], m[1], s[1], m[2], s[2])


def softmax_constants(beta: float, input_scale: float, rounding: Rounding = "double") -> TableConstants:
    """SOFTMAX on int8: the difference to the row's maximum in fixed point with five integer bits.

    Raises:
        ModelFileError: ``beta * scale`` so small that the multiplier is not above one; the runtime aborts.
    """
    largest = 2.0**30 - 1 if rounding == "single" else 2.0**31 - 1
    real = min(_double(beta) * _double(input_scale) * 2.0 ** (31 - SOFTMAX_INTEGER_BITS), largest)
    if not real > 1.0:
        raise ModelFileError("SOFTMAX cannot rescale its input", found=f"multiplier {real:g}", expected="more than 1")
    multiplier, shift = _scalar(real, rounding)
    return TableConstants(multiplier, shift, _radius(SOFTMAX_INTEGER_BITS, shift))


def logistic_constants(input_scale: float) -> TableConstants:
    """LOGISTIC and TANH on int8: the input in fixed point with four integer bits.

    Raises:
        ModelFileError: a scale outside of what a shift of 0 to 62 can express.
    """
    multiplier, shift = _scalar(_positive(input_scale) * 2.0 ** (31 - LOGISTIC_INTEGER_BITS), "double")
    return TableConstants(multiplier, shift, _radius(LOGISTIC_INTEGER_BITS, shift))


def _radius(integer_bits: int, left_shift: int) -> int:
    if not 0 <= left_shift <= 62:
        raise ModelFileError("an input scale is out of range", found=f"shift {left_shift}", expected="0 to 62")
    return math.floor(((1 << integer_bits) - 1) * 2.0 ** (31 - integer_bits - left_shift))


def _double(scale: float) -> float:
    """Scales are stored in single precision; a kernel widens that value, not the decimal number meant."""
    return float(np.float32(scale))


def _positive(scale: float) -> float:
    value = _double(scale)
    if not (value > 0.0 and math.isfinite(value)):
        raise ModelFileError("a scale cannot be used", found=str(scale), expected="finite and greater than zero")
    return value


def _scalar(real: float, rounding: Rounding) -> tuple[int, int]:
    multiplier, shift = quantize_multiplier(real, rounding)
    return int(multiplier), int(shift)


def quantize_bias(bias: ArrayLike, input_scale: float, filter_scales: ArrayLike) -> NDArray[np.int32]:
    """Real biases as the int32 values a kernel adds to its accumulator (scale: input times filter).

    Args:
        bias: real numbers, (channels,).
        input_scale: scale of the input.
        filter_scales: (channels,) or (1,).
    """
    scale = _positive(input_scale) * np.asarray(filter_scales, dtype=np.float32).astype(np.float64)
    rounded = np.rint(np.asarray(bias, dtype=np.float64) / scale)
    return np.clip(rounded, INT32_MIN, INT32_MAX).astype(np.int32)
