"""Fixed-point requantization: how a real multiplier becomes an integer and a shift, and how the product is rounded.

A quantized kernel ends with ``accumulator * real`` where ``real`` is a ratio of scales. Without a floating-point unit
this becomes ``accumulator * multiplier * 2**(shift - 31)`` with a 31-bit multiplier. Three ways to round that product
are in use, and they give different integers for the same file:

- ``double``: TensorFlow Lite Micro. The high half of the doubled product is rounded (ties towards plus infinity), then
  the right shift is rounded again (ties away from zero). Source: P. Warden and others, gemmlowp's fixed-point notes.
- ``double_up``: ruy on x86. As above, but ties of the second step go towards plus infinity.
- ``single``: XNNPACK. One rounding of the whole product, ties towards plus infinity.

Everything here works on int64 arrays that hold int32 values, so no intermediate result can overflow unnoticed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymlsec.errors import ModelFileError

Rounding = Literal["double", "double_up", "single"]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1
SMALLEST_SHIFT = -31
"""Below this every bit would be shifted out; the runtime stores a multiplier of zero instead."""
LARGEST_SINGLE_SHIFT = 30
"""The single-rounding product needs at least one bit to round; larger ratios saturate."""


def quantize_multiplier(real: ArrayLike, rounding: Rounding = "double") -> tuple[Int32Array, Int32Array]:
    """Turns real multipliers into 31-bit integers and shifts: ``real ~ multiplier * 2**(shift - 31)``.

    Args:
        real: float64, any shape; ratios of scales. Negative values occur (a negative slope of LEAKY_RELU).
        rounding: the arithmetic that will use the result. Only ``single`` limits the shift to 30, by saturation.

    Returns:
        multiplier: int32, same shape, its magnitude in [2**30, 2**31) or 0.
        shift: int32, same shape, at least -31; positive means left. Magnitudes below 2**-32 become (0, 0).

    Raises:
        ModelFileError: a value is not finite; the runtime would abort.
    """
    values = np.asarray(real, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ModelFileError(
            "a requantization multiplier is not a finite number",
            found=str(values[~np.isfinite(values)].ravel()[0]),
            expected="scales that are finite and greater than zero",
            next_step="read the scales of the operator's tensors",
        )
    mantissa, exponent = np.frexp(values)
    fixed = _round_half_away(mantissa * 2.0**31).astype(np.int64)
    shift = exponent.astype(np.int64)
    carried = fixed == 2**31  # 0.99999... rounded up to 1.0
    fixed = np.where(carried, 2**30, fixed)
    shift = np.where(carried, shift + 1, shift)
    flushed = (shift < SMALLEST_SHIFT) | (fixed == 0)
    fixed = np.where(flushed, 0, fixed)
    shift = np.where(flushed, 0, shift)
    if rounding == "single":
        saturated = shift > LARGEST_SINGLE_SHIFT
        fixed = np.where(saturated, INT32_MAX, fixed)
        shift = np.where(saturated, LARGEST_SINGLE_SHIFT, shift)
    return fixed.astype(np.int32), shift.astype(np.int32)


def multiply_by_quantized_multiplier(
    values: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, rounding: Rounding = "double"
) -> Int64Array:
    """Applies a quantized multiplier to int32 accumulators exactly as the runtime does.

    Args:
        values: integers in the range of int32, any shape.
        multiplier: from `quantize_multiplier`; broadcast against values (per-channel: shape of the last axis).
        shift: as multiplier; -31 to 30.
        rounding: see the module.

    Returns:
        int64, broadcast shape, before the output zero point is added.
    """
    x = np.asarray(values, dtype=np.int64)
    m = np.asarray(multiplier, dtype=np.int64)
    s = np.asarray(shift, dtype=np.int64)
    if rounding == "single":
        return _rounding_shift_up(x * m, 31 - s)
    # The left shift happens in 32 bits on the device: what does not fit wraps, it does not saturate.
    high = saturating_rounding_doubling_high_mul(_wrap_int32(x << np.maximum(s, 0)), m)
    right = np.maximum(-s, 0)
    return _rounding_shift_up(high, right) if rounding == "double_up" else rounding_divide_by_power_of_two(high, right)


def multiply_wide_by_quantized_multiplier(values: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Int64Array:
    """The variant for 64-bit accumulators (int16 activations): the multiplier is first reduced to 15 bits.

    Args:
        values: integers in [-2**47, 2**47).
        multiplier: not negative, from `quantize_multiplier`.
        shift: -31 to 7.

    Returns:
        int64 holding int32 values (the runtime keeps the low 32 bits).
    """
    m = np.asarray(multiplier, dtype=np.int64)
    reduced = np.where(m < 0x7FFF0000, (m + 0x8000) >> 16, 0x7FFF)
    product = np.asarray(values, dtype=np.int64) * reduced
    return _wrap_int32(_rounding_shift_up(product, 15 - np.asarray(shift, dtype=np.int64)))


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> Int64Array:
    """The high 32 bits of twice the product of two int32 values, rounded; the one overflow saturates.

    Args:
        a: integers in the range of int32.
        b: as a; broadcast.

    Returns:
        int64 holding int32 values. ``INT32_MIN * INT32_MIN`` gives ``INT32_MAX``.
    """
    product = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    high: Int64Array = np.minimum((product + (1 << 30)) >> 31, INT32_MAX)
    return high


def rounding_divide_by_power_of_two(values: ArrayLike, exponent: ArrayLike) -> Int64Array:
    """Divides by ``2**exponent``, rounding to nearest and ties away from zero.

    Args:
        values: integers in the range of int32.
        exponent: 0 to 31; broadcast.
    """
    x = np.asarray(values, dtype=np.int64)
    e = np.asarray(exponent, dtype=np.int64)
    mask = (np.int64(1) << e) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> e) + ((x & mask) > threshold)


def _rounding_shift_up(values: Int64Array, right: Int64Array) -> Int64Array:
    """Right shift, rounding to nearest and ties towards plus infinity; a shift of zero changes nothing."""
    half = (np.int64(1) << right) >> 1
    return (values + half) >> right


def _wrap_int32(values: Int64Array) -> Int64Array:
    return ((values + 2**31) & 0xFFFFFFFF) - 2**31


def _round_half_away(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """C's ``round``. The addition is exact for the magnitudes used here (zero, or at least 2**30)."""
    return np.trunc(values + np.copysign(0.5, values))
