"""SOFTMAX on int8 in fixed point, as devices without a floating-point unit compute it.

Method and constants are those of gemmlowp (B. Jacob, P. Warden, 2015-2017): exp(a) for a in (-1/4, 0] by a polynomial
around -1/8, larger magnitudes by one multiplication per bit, and the reciprocal of the sum by three Newton-Raphson
steps. A fixed-point number with i integer bits is an int32 value times 2**(i - 31); everything is held in int64 here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.tflite.requant import INT32_MAX, INT32_MIN
from tinymlsec.target.tflite.requant import rounding_divide_by_power_of_two as divide
from tinymlsec.target.tflite.requant import saturating_rounding_doubling_high_mul as multiply
from tinymlsec.target.tflite.requant_ops import SOFTMAX_INTEGER_BITS, softmax_constants

Fixed = NDArray[np.int64]

_SUM_BITS = 12
"""Integer bits of the sum of exponentials: room for 4096 classes."""

_EXP_OF_BIT = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242}
"""exp(-2**bit) with 0 integer bits."""

_EXP_MINUS_EIGHTH = 1895147668
_THIRD = 715827883
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540


def softmax(codes: NDArray[np.int8], scale: float) -> NDArray[np.int8]:
    """Probabilities as codes at scale 1/256, zero point -128.

    Args:
        codes: logits (n, classes).
        scale: of the logits.
    """
    constants = softmax_constants(1.0, scale)
    wide = codes.astype(np.int64)
    below = wide - wide.max(1, keepdims=True)
    counted = below >= -constants.radius
    shares = _exp_of_negative(multiply(np.where(counted, below, 0) << constants.left_shift, constants.multiplier))
    total = np.where(counted, divide(shares, _SUM_BITS), 0).sum(1, keepdims=True)
    leading_zeros = 31 - np.floor(np.log2(total)).astype(np.int64)  # exact: a double holds every int32 value
    inverse = _inverse_of_one_plus((total << leading_zeros) - (1 << 31))
    output = divide(multiply(inverse, shares), _SUM_BITS - leading_zeros + 31 - 8) - 128
    return np.where(counted, np.clip(output, -128, 127), -128).astype(np.int8)


def _exp_of_negative(a: Fixed) -> Fixed:
    """exp(a) with 0 integer bits, for a <= 0 with SOFTMAX_INTEGER_BITS integer bits."""
    fraction_bits = 31 - SOFTMAX_INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    in_quarter = (a & (quarter - 1)) - quarter
    result = _exp_of_quarter(in_quarter << SOFTMAX_INTEGER_BITS)
    remainder = in_quarter - a
    for bit, factor in _EXP_OF_BIT.items():
        result = np.where(remainder & (1 << (fraction_bits + bit)), multiply(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def _exp_of_quarter(a: Fixed) -> Fixed:
    """exp(a) for a in [-1/4, 0) with 0 integer bits: a fourth-order polynomial around -1/8."""
    x = a + (1 << 28)
    square = multiply(x, x)
    cube, fourth = multiply(square, x), multiply(square, square)
    tail = divide(multiply(divide(fourth, 2) + cube, _THIRD) + square, 1)
    return _saturate(_EXP_MINUS_EIGHTH + multiply(_EXP_MINUS_EIGHTH, x + tail))


def _inverse_of_one_plus(a: Fixed) -> Fixed:
    """1 / (1 + a) for a in [0, 1), both with 0 integer bits."""
    half = (a + INT32_MAX + 1) >> 1
    x = _48_OVER_17 + multiply(half, _MINUS_32_OVER_17)
    for _ in range(3):
        missing = (1 << 29) - multiply(half, x)
        x = x + _saturate(multiply(x, missing) << 2)
    return _saturate(x << 1)


def _saturate(values: Fixed) -> Fixed:
    return np.clip(values, INT32_MIN, INT32_MAX)
