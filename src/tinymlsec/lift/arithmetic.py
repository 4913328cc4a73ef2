"""Fixed-point arithmetic of the runtimes in PyTorch: int64 tensors that hold int32 values, nothing rounded unnoticed.

The same definitions in NumPy, with their sources, are in `tinymlsec.target.tflite.requant`; tests hold the two equal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tinymlsec.lift.surrogate import window
from tinymlsec.target.tflite.requant import INT32_MAX, Rounding


def high_mul(a: Tensor, b: Tensor) -> Tensor:
    """Saturating rounding doubling high product of int32 values held in int64."""
    return ((a * b + (1 << 30)) >> 31).clamp_max(INT32_MAX)


def divide_by_power(values: Tensor, exponent: Tensor) -> Tensor:
    """Right shift, rounding to nearest, ties away from zero; exponent int64 in 0..31, broadcast."""
    mask = (torch.ones_like(exponent) << exponent) - 1
    threshold = (mask >> 1) + (values < 0)
    return (values >> exponent) + ((values & mask) > threshold)


def multiply(values: Tensor, multiplier: Tensor, shift: Tensor, rounding: Rounding) -> Tensor:
    """A quantized multiplier applied to int32 accumulators, exactly as the runtime of that rounding does it.

    Args:
        values: int64 holding int32, any shape.
        multiplier: int64 from `requant.quantize_multiplier`, broadcast.
        shift: int64, -31 to 30, broadcast.
        rounding: double (TFLM), double_up (ruy) or single (XNNPACK).

    Returns:
        int64 before the zero point is added.
    """
    if rounding == "single":
        return _shift_up(values * multiplier, 31 - shift)
    shifted = _wrap(values << shift.clamp_min(0)) if bool((shift > 0).any()) else values
    high, right = high_mul(shifted, multiplier), (-shift).clamp_min(0)
    return _shift_up(high, right) if rounding == "double_up" else divide_by_power(high, right)


def _shift_up(values: Tensor, right: Tensor) -> Tensor:
    return (values + ((torch.ones_like(right) << right) >> 1)) >> right


def _wrap(values: Tensor) -> Tensor:
    return ((values + 2**31) & 0xFFFFFFFF) - 2**31


def wrap(sums: Tensor) -> Tensor:
    """Sums as 32 bits hold them: what does not fit wraps around. Straight-through; float64 or int64 integers."""
    exact = sums.detach().to(torch.int64)
    return sums + (_wrap(exact) - exact)


class Requantize(torch.autograd.Function):
    """Accumulators to output codes: exact forward, straight-through (or smoothed) backward."""

    @staticmethod
    def forward(
        ctx: Any,
        accumulator: Tensor,
        multiplier: Tensor,
        shift: Tensor,
        real: Tensor,
        zero_point: int,
        low: int,
        high: int,
        rounding: Rounding,
    ) -> Tensor:
        """See `requantize`."""
        codes = multiply(accumulator.to(torch.int64), multiplier, shift, rounding) + zero_point
        ctx.save_for_backward(window(codes, low, high), real)
        return codes.clamp_(low, high).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of scaling by the real multiplier, where the output was not clamped."""
        passes, real = ctx.saved_tensors
        return (gradients[0] * passes * real, *[None] * 7)


def requantize(
    accumulator: Tensor,
    multiplier: Tensor,
    shift: Tensor,
    real: Tensor,
    zero_point: int,
    bounds: tuple[int, int],
    rounding: Rounding,
) -> Tensor:
    """Output codes of an accumulator.

    Args:
        accumulator: float32 or float64 holding exact integers (or int64), any shape.
        multiplier: int64, broadcast.
        shift: int64, broadcast.
        real: float, the real multiplier that the two stand for, broadcast; scales the gradient.
        zero_point: of the output.
        bounds: smallest and largest code (the fused activation).
        rounding: of the profile.

    Returns:
        float32 codes, the broadcast shape.
    """
    codes: Tensor = Requantize.apply(  # type: ignore[no-untyped-call]
        accumulator, multiplier, shift, real, zero_point, *bounds, rounding
    )
    return codes
