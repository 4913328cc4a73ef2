"""exp, reciprocal, logistic and tanh in 32-bit fixed point, as the runtime's SOFTMAX, LOGISTIC and TANH compute them.

A value with k integer bits is an int32 that stands for value * 2**(31 - k); all tensors here are int64 holding int32.
The scheme is that of gemmlowp (B. Jacob and P. Warden, "gemmlowp: a small self-contained low-precision GEMM library",
2015): exp by a Taylor polynomial on a quarter and one factor per higher bit, 1 / (1 + x) by Newton's method.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tinymlsec.lift.arithmetic import divide_by_power, high_mul
from tinymlsec.target.tflite.requant import INT32_MAX, INT32_MIN

ONE = INT32_MAX
"""The largest value below one with no integer bits; it stands for one."""
NEWTON_STEPS = 3


def fixed(real: float, integer_bits: int = 0) -> int:
    """The nearest fixed-point number.

    >>> fixed(0.25), fixed(1.0, 2)
    (536870912, 536870912)
    """
    return round(real * 2.0 ** (31 - integer_bits))


EIGHTH, THIRD, EXP_OF_MINUS_EIGHTH = fixed(1 / 8), fixed(1 / 3), fixed(math.exp(-1 / 8))
FACTORS = tuple((exponent, fixed(math.exp(-(2.0**exponent)))) for exponent in range(-2, 5))
"""(e, exp(-2**e)): what a set bit of weight 2**e multiplies the result by."""
START, SLOPE = fixed(48 / 17, 2), fixed(-32 / 17, 2)
"""The straight line that Newton's method for a reciprocal on [1/2, 1] starts from, with two integer bits."""


def saturate(values: Tensor) -> Tensor:
    """Values clamped to 32 bits."""
    return values.clamp(INT32_MIN, INT32_MAX)


def times(values: Tensor, factor: Tensor | int) -> Tensor:
    """Product of fixed-point numbers; the integer bits of both add up."""
    other = factor if isinstance(factor, Tensor) else torch.tensor(factor)
    return high_mul(values, other)


def halved(values: Tensor, exponent: int) -> Tensor:
    """Rounding division by a power of two, ties away from zero."""
    return divide_by_power(values, torch.tensor(exponent))


def exp_on_negative(values: Tensor, integer_bits: int) -> Tensor:
    """exp of values of zero or less.

    Args:
        values: int64 with `integer_bits` integer bits, at most 0.
        integer_bits: 4 or 5.

    Returns:
        int64 with no integer bits; exp(0) is `ONE`.
    """
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    low = (values & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_on_quarter(saturate(low << integer_bits))
    rest = low - values
    for exponent, factor in FACTORS:
        if exponent < integer_bits:
            result = torch.where((rest & (1 << (fraction + exponent))) != 0, times(result, factor), result)
    return torch.where(values == 0, ONE, result)


def _exp_on_quarter(values: Tensor) -> Tensor:
    """Taylor polynomial of degree four around -1/8, for [-1/4, 0)."""
    x = values + EIGHTH
    x2 = times(x, x)
    x3, x4 = times(x2, x), times(x2, x2)
    tail = halved(times(halved(x4, 2) + x3, THIRD) + x2, 1)
    return EXP_OF_MINUS_EIGHTH + times(x + tail, EXP_OF_MINUS_EIGHTH)


def _reciprocal_of_half(values: Tensor) -> Tensor:
    """2 / (1 + x) for x in [0, 1] with no integer bits; two integer bits in the result."""
    half = (values + ONE + 1) >> 1
    x = START + times(half, SLOPE)
    for _ in range(NEWTON_STEPS):
        error = (1 << 29) - times(half, x)
        x = x + saturate(times(x, error) << 2)
    return x


def one_over_one_plus(values: Tensor) -> Tensor:
    """1 / (1 + x) for x in [0, 1]; no integer bits on either side."""
    return saturate(_reciprocal_of_half(values) << 1)


def reciprocal(sums: Tensor, integer_bits: int) -> tuple[Tensor, Tensor]:
    """1 / x of positive values as a mantissa and a power of two.

    Args:
        sums: int64, positive, with `integer_bits` integer bits.
        integer_bits: of sums.

    Returns:
        mantissa (no integer bits) and bits over unit: ``1 / x = mantissa * 2**-bits``.
    """
    zeros = 31 - torch.frexp(sums.to(torch.float64)).exponent.to(torch.int64) + 1
    return one_over_one_plus((sums << zeros) - (1 << 31)), integer_bits - zeros


def logistic(values: Tensor, integer_bits: int = 4) -> Tensor:
    """1 / (1 + exp(-x)), no integer bits in the result.

    Args:
        values: int64 with `integer_bits` integer bits.
        integer_bits: of values.
    """
    positive = one_over_one_plus(exp_on_negative(-values.abs(), integer_bits))
    result = torch.where(values > 0, positive, ONE - positive)
    return torch.where(values == 0, 1 << 30, result)


def tanh(values: Tensor, integer_bits: int = 4) -> Tensor:
    """tanh(x), no integer bits in the result. Arguments as for `logistic`."""
    # Twice the value is the same integer with one more integer bit.
    exponential = exp_on_negative(-values.abs(), integer_bits + 1)
    magnitude = saturate((_reciprocal_of_half(exponential) - (1 << 29)) << 2)
    return torch.where(values < 0, -magnitude, torch.where(values == 0, 0, magnitude))
