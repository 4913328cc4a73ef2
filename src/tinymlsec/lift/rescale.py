"""Requantization at the end of a layer: sums to output codes, per channel, exact, and fast.

The runtime's fixed-point arithmetic is a staircase that never falls. So is ``floor(sum * real + offset)`` in float64:
each step of it is one correctly rounded operation, and rounding keeps order. Two such staircases are the same where
they rise at the same places, and there are at most 255 places per channel. All of them are computed in integers and
compared when a layer is built (`proven`); a layer where one differs uses the runtime's arithmetic in int64 instead, at
a tenth of the speed.

The offset is one half plus what the first of the two roundings of ``double`` and ``double_up`` can add: half a unit of
the 31-bit product, ``2**-(right + 1)`` after a right shift of ``right`` bits. Ties of ``double`` go away from zero, so
below zero it is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from tinymlsec.lift.arithmetic import multiply
from tinymlsec.lift.profiles import SumRounding
from tinymlsec.lift.surrogate import current_surrogate, window
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier

BLOCK = 1 << 16
"""Values that are rescaled together: half a megabyte of float64."""
DEEP = 20
"""Right shifts up to here leave room for exact thresholds in 64 bits."""
WIDEST = 2**31
"""Sums stay below it in magnitude: the device has 32 bits for them."""


class Rescale(nn.Module):
    """Sums to codes.

    Args:
        multiplier: int32, one or (channels,).
        shift: as multiplier.
        real: float64, the ratio of scales that the two stand for; scales the gradient.
        zero_point: of the output.
        bounds: smallest and largest code.
        rounding: of the profile.
    """

    multiplier: Tensor
    shift: Tensor
    real: Tensor
    factor: Tensor
    offset: Tensor
    lean: Tensor

    def __init__(
        self,
        multiplier: ArrayLike,
        shift: ArrayLike,
        real: ArrayLike,
        zero_point: int,
        bounds: tuple[int, int],
        rounding: SumRounding,
    ) -> None:
        super().__init__()
        self.zero_point, self.bounds, self.rounding = zero_point, bounds, rounding
        m, s = np.array(multiplier, dtype=np.int64), np.array(shift, dtype=np.int64)
        self._constant("multiplier", m)
        self._constant("shift", s)
        self._constant("real", np.array(real, dtype=np.float32))
        self._constant("factor", m * np.exp2(s - 31.0))
        self._set_offsets(s)
        self.left = int(s.max(initial=0))
        self.proven = rounding == "float32" or proven(self, m, s)
        self.fast = self.proven and self.left == 0

    def _constant(self, name: str, values: NDArray[Any]) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)), persistent=False)

    def _set_offsets(self, shift: NDArray[np.int64]) -> None:
        """Offset of the staircase, and the lean: what is added above zero and subtracted below."""
        first = np.where(shift < 0, np.exp2(np.minimum(shift, 0) - 1.0), 0.0)
        lean = first if self.rounding in ("double", "double_up") else np.zeros_like(first)
        low, high = (bound - self.zero_point for bound in self.bounds)
        one_sided = self.rounding != "double" or low >= 0 or high <= 0
        side = -1.0 if self.rounding == "double" and high <= 0 else 1.0
        self.two_sided = not one_sided and bool(lean.any())
        self._constant("offset", self.zero_point + 0.5 + (0.0 * lean if self.two_sided else side * lean))
        self._constant("lean", lean)

    def prepare(self, largest: float) -> None:
        """Take note that sums do not exceed this magnitude: a left shift that stays in 32 bits does not wrap."""
        self.fast = self.proven and largest * 2.0**self.left < WIDEST

    def forward(self, sums: Tensor) -> Tensor:
        """Codes of sums: (..., channels) float32 or float64 holding integers gives float32 of the same shape.

        Without gradients the codes are written over float32 sums, so that no fresh memory has to be touched.
        """
        codes: Tensor = _Rescaled.apply(sums, self)  # type: ignore[no-untyped-call]
        return codes

    def steps(self, sums: Tensor) -> Tensor:
        """Codes before they are clamped, float32 (which may round those beyond 2**24, far outside of the bounds)."""
        if self.rounding == "float32":
            return (sums.to(torch.float32) * self.real).round_().add_(self.zero_point)
        if not self.fast:
            return (self._exact(sums.to(torch.int64)) + self.zero_point).to(torch.float32)
        sums = sums.contiguous()
        owned = sums.dtype is torch.float32 and not sums.requires_grad
        steps = sums if owned else torch.empty_like(sums, dtype=torch.float32)
        for part, into in zip(_blocks(sums.detach()), _blocks(steps), strict=True):
            into.copy_(self.staircase(part))
        return steps

    def _exact(self, sums: Tensor) -> Tensor:
        assert self.rounding != "float32"
        return multiply(sums, self.multiplier, self.shift, self.rounding)

    def staircase(self, sums: Tensor) -> Tensor:
        """The codes before they are clamped in float64."""
        values = sums.to(torch.float64, copy=True).mul_(self.factor)
        if self.two_sided:
            values.add_(torch.copysign(self.lean, values))
        return values.add_(self.offset).floor_()


def _blocks(values: Tensor) -> Sequence[Tensor]:
    """Rows of channels in pieces whose float64 copy stays in the cache; views."""
    width = max(values.shape[-1], 1)
    return torch.split(values.view(-1, width), max(BLOCK // width, 1))


class _Rescaled(torch.autograd.Function):
    """Exact forward, straight-through (or smoothed) backward."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor, rescale: Rescale) -> Tensor:
        steps = rescale.steps(sums)
        ctx.rescale, ctx.smooth, ctx.kind = rescale, current_surrogate() == "smooth", sums.dtype
        if not ctx.needs_input_grad[0]:
            return steps.clamp_(*rescale.bounds)
        ctx.save_for_backward(window(steps, *rescale.bounds) if ctx.smooth else steps)
        return steps.clamp(*rescale.bounds)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (saved,), rescale = ctx.saved_tensors, ctx.rescale
        if ctx.smooth:
            return (gradients[0] * saved * rescale.real).to(ctx.kind), None
        return passed(gradients[0], saved, *rescale.bounds).mul_(rescale.real).to(ctx.kind), None


def passed(gradient: Tensor, steps: Tensor, low: int, high: int) -> Tensor:
    """The gradient where codes were not clamped, zero elsewhere; one pass, where a mask would take ten times as long.

    Args:
        gradient: float32, any shape.
        steps: float32, whole numbers: the codes before they were clamped.
        low: smallest code.
        high: largest code.
    """
    kept: Tensor = torch.ops.aten.hardtanh_backward(gradient, steps, low - 0.5, high + 0.5)
    return kept


def thresholds(
    multiplier: NDArray[np.int64], shift: NDArray[np.int64], rounding: SumRounding, levels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Smallest sums whose rescaled value reaches each level; exact integer arithmetic of any width.

    Args:
        multiplier: (channels,), greater than zero.
        shift: int64 (channels,), -31 to 24.
        rounding: double, double_up or single.
        levels: (k,) values before the zero point is added, at most 2**10 in magnitude.

    Returns:
        (k, channels); beyond the reach of any sum held at `WIDEST` or its negative.
    """
    deep = shift < -DEEP
    rise = _rise(multiplier, np.maximum(shift, -DEEP), rounding, levels[:, None])
    if deep.any():  # integers of any width, element by element
        columns = (
            multiplier[deep].astype(object),
            shift[deep].astype(object),
            rounding,
            levels[:, None].astype(object),
        )
        rise[:, deep] = np.clip(_rise(*columns), -WIDEST, WIDEST).astype(np.int64)
    held: NDArray[np.int64] = np.clip(rise, -WIDEST, WIDEST)
    return held


def _rise(multiplier: NDArray[Any], shift: NDArray[Any], rounding: SumRounding, level: NDArray[Any]) -> NDArray[Any]:
    """See `thresholds`; in the number type of the arrays."""
    one = np.array(1).astype(level.dtype)
    right, factor = np.maximum(-shift, 0), multiplier * (one << np.maximum(shift, 0))
    if rounding == "single":
        whole = level * (one << (31 + right)) - (one << (30 + right))
    else:
        tie_lost = ((level <= 0) & (shift < 0)).astype(level.dtype) * int(rounding == "double")
        high = level * (one << right) - ((one << right) >> 1) + tie_lost
        whole = high * (1 << 31) - (1 << 30)
    rise: NDArray[Any] = -((-whole) // factor)
    return rise


def proven(rescale: Rescale, multiplier: NDArray[np.int64], shift: NDArray[np.int64]) -> bool:
    """True where the staircase in float64 rises exactly where the runtime's arithmetic does, in every channel.

    The places come from `thresholds`, and are themselves checked against the runtime's arithmetic.
    """
    m, s = np.atleast_1d(multiplier), np.atleast_1d(shift)
    if (m < 0).any() or (s > 24).any():
        return False
    live = m > 0  # a multiplier of zero gives the zero point, whatever the sum
    low, high = (bound - rescale.zero_point for bound in rescale.bounds)
    levels = np.arange(low + 1, high + 1, dtype=np.int64)
    rise = thresholds(np.where(live, m, 2**30), s, rescale.rounding, levels)
    return all(
        bool((_agrees(rescale, rise - back, levels[:, None], m, s, reached=back == 0) | ~live).all()) for back in (0, 1)
    )


def _agrees(
    rescale: Rescale,
    sums: NDArray[np.int64],
    levels: NDArray[np.int64],
    m: NDArray[np.int64],
    s: NDArray[np.int64],
    *,
    reached: bool,
) -> NDArray[np.bool_]:
    assert rescale.rounding != "float32"
    reachable = (np.abs(sums) << np.maximum(s, 0)) < WIDEST
    exact = multiply_by_quantized_multiplier(np.where(reachable, sums, 0), m, s, rescale.rounding) >= levels
    fast = rescale.staircase(torch.from_numpy(sums)).numpy() - rescale.zero_point >= levels
    agrees: NDArray[np.bool_] = ((exact == reached) & (fast == reached)) | ~reachable
    return agrees
