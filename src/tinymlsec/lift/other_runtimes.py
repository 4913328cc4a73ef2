"""Element-wise arithmetic of LiteRT, where it is not that of TensorFlow Lite Micro.

LiteRT's own kernels round as TensorFlow Lite Micro does, but form some ratios of scales in single precision. XNNPACK
has formulas of its own, and takes an operator only while its ratios lie within bounds; else LiteRT's own kernel runs.
The tests hold all this against LiteRT 2.3 on x86_64 (November 2026).

Integers are int64 arrays of codes minus zero point; scales are single-precision values; results lack the output's zero
point. None stands for a ratio that XNNPACK leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinymlsec.lift.op import Site
from tinymlsec.target.tflite.requant import quantize_multiplier

Codes = NDArray[np.int64]
SUM_RATIOS = (2.0**-10, 2.0**8)
PRODUCT_RATIOS = (2.0**-16, 2.0**8)
CONVERSION_RATIOS = (2.0**-8, 2.0**7)
SUM_BITS = 20
"""The larger multiplier of a sum has so many bits behind the first."""
CONVERSION_BITS = 8
"""Bits behind the point of the multiplier of a conversion."""


def is_xnnpack(site: Site) -> bool:
    """True where the arithmetic of this module is asked for."""
    return site.profile.name == "xnnpack"


def own_multiplier(site: Site, factors: Sequence[float], divisor: float) -> tuple[int, int]:
    """Multiplier and shift of a product of scales over the output's, in the precision that the runtime uses.

    Args:
        site: MUL, RELU or LEAKY_RELU.
        factors: one or two single-precision values.
        divisor: scale of the output.
    """
    kind = np.float64 if site.profile.name == "tflm" else np.float32
    real = kind(np.float32(factors[0]))
    for factor in factors[1:]:
        real = kind(real * kind(np.float32(factor)))
    multiplier, shift = quantize_multiplier(float(real / kind(np.float32(divisor))))
    return int(multiplier), int(shift)


def _ratio(numerator: float, denominator: float) -> float:
    return float(np.float32(numerator) / np.float32(denominator))


def _within(ratio: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= ratio < bounds[1]


def sum_codes(a: Codes, b: Codes, scales: tuple[float, float, float], sign: int) -> Codes | None:
    """a + b or a - b: one rounding at the end, with a shift for the larger of both ratios.

    Args:
        a: codes minus zero point.
        b: as a; broadcast.
        scales: of a, b and the output.
        sign: 1 or -1, of b.
    """
    ratios = [_ratio(scale, scales[2]) for scale in scales[:2]]
    if not all(_within(ratio, SUM_RATIOS) for ratio in ratios):
        return None
    shift = SUM_BITS + 1 - int(np.frexp(max(ratios))[1])
    first, second = (round(ratio * 2.0**shift) for ratio in ratios)
    codes: Codes = (a * first + b * (sign * second) + (1 << (shift - 1))) >> shift
    return codes


def product_codes(a: Codes, b: Codes, scales: tuple[float, float, float]) -> Codes | None:
    """a * b: the product as float32 times the ratio as float32, to the nearest integer, ties to even."""
    ratio = _ratio(float(np.float32(scales[0]) * np.float32(scales[1])), scales[2])
    if not _within(ratio, PRODUCT_RATIOS):
        return None
    codes: Codes = np.rint((a * b).astype(np.float32) * np.float32(ratio)).astype(np.int64)
    return codes


def converted_codes(x: Codes, scales: tuple[float, float], slope: float = 1.0) -> Codes | None:
    """x on another scale, below zero times a slope: 16-bit multipliers with eight bits behind the point.

    Args:
        x: codes minus zero point.
        scales: of the input and the output.
        slope: of LEAKY_RELU; 1 for a conversion.
    """
    above = _ratio(*scales)
    below = float(np.float32(above) * np.float32(slope))
    high = CONVERSION_RATIOS[1]
    if not _within(above, CONVERSION_RATIOS) or abs(below) < CONVERSION_RATIOS[0] or not -high < below < high:
        return None
    factors = np.where(x >= 0, round(above * 2**CONVERSION_BITS), round(below * 2**CONVERSION_BITS))
    codes: Codes = (x * factors + (1 << (CONVERSION_BITS - 1))) >> CONVERSION_BITS
    return codes
