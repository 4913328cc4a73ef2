"""AVERAGE_POOL_2D and MAX_POOL_2D on int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.ops.common import activation_bounds, only
from tinymlsec.lift.surrogate import window
from tinymlsec.target.tflite.schema import enum_number

LARGEST_WINDOW = 2**16
"""Elements of a window whose sum, with what rounding adds, stays below 2**24 and so is exact in float32."""
SCALE_TOLERANCE = 1e-6
"""Difference of input and output scale that the runtime lets pass; the kernels do not rescale."""


@dataclass(frozen=True)
class Geometry:
    """Where the windows of a pooling lie: (rows, columns) each."""

    size: tuple[int, int]
    stride: tuple[int, int]
    before: tuple[int, int]
    """Padding above and left."""
    after: tuple[int, int]
    """Padding below and right."""

    @classmethod
    def of(cls, site: Site) -> Geometry:
        """The geometry of an operator; its output's declared size decides how far the windows reach."""
        size = int(site.option("filter_height")), int(site.option("filter_width"))
        stride = int(site.option("stride_h")), int(site.option("stride_w"))
        inputs, outputs = site.input(0).shape, site.output().shape
        same = int(site.option("padding")) == enum_number("Padding", "SAME")
        if len(inputs) != 4 or len(outputs) != 4 or min(*size, *stride, *inputs, *outputs) < 1:
            raise site.unsupported(f"windows {size} by steps {stride} on shape {inputs}")
        axes = list(zip(inputs[1:3], outputs[1:3], size, stride, strict=True))
        needed = [max((o - 1) * s + k - i, 0) for i, o, k, s in axes]
        fits = all(o == -(-i // s) for i, o, _, s in axes) if same else not any(needed)
        if not fits:
            raise site.unsupported(f"windows {size} by steps {stride} do not lead from {inputs} to {outputs}")
        before = needed[0] // 2, needed[1] // 2
        return cls(size, stride, before, (needed[0] - before[0], needed[1] - before[1]))

    def padded(self, images: Tensor, value: float) -> Tensor:
        """(n, channels, rows, columns) with its padding filled in."""
        (top, left), (bottom, right) = self.before, self.after
        sides = (left, right, top, bottom)
        return functional.pad(images, sides, value=value) if any(sides) else images

    def sums(self, images: Tensor) -> Tensor:
        """Sum of each window."""
        return functional.avg_pool2d(self.padded(images, 0.0), self.size, self.stride, divisor_override=1)


class _Clamp(torch.autograd.Function):
    """Codes clamped to the fused activation; gradients pass as the surrogate says."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, low: int, high: int) -> Tensor:
        ctx.save_for_backward(window(codes, low, high))
        return codes.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0] * ctx.saved_tensors[0], None, None


class _Quotient(torch.autograd.Function):
    """Sums divided by counts, rounded to nearest, ties away from zero; exact below 2**24."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor, counts: Tensor) -> Tensor:
        ctx.save_for_backward(counts)
        half = torch.floor(counts / 2)
        return torch.trunc((sums + torch.copysign(half, sums)) / counts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0] / ctx.saved_tensors[0], None


class _Pool(LiftedOp):
    """Common to both: (n, d0, rows, columns, channels) is pooled as n * d0 images."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        (si, zi), (so, zo) = site.scale(site.input(0)), site.scale(site.output())
        if abs(si - so) > SCALE_TOLERANCE or zi != zo:
            raise site.unsupported("input and output differ in scale or zero point")
        self.geometry = Geometry.of(site)
        self.bounds = activation_bounds(site)
        self.clamps = self.bounds != (-128, 127)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Codes (n, d0, rows, columns, channels) to codes."""
        x = inputs[0]
        images = x.reshape(-1, *x.shape[2:]).permute(0, 3, 1, 2)
        pooled = self.pool(images).permute(0, 2, 3, 1)
        result = pooled.reshape(*x.shape[:2], *pooled.shape[1:])
        return [_Clamp.apply(result, *self.bounds) if self.clamps else result]  # type: ignore[no-untyped-call]

    def pool(self, images: Tensor) -> Tensor:
        """(n, channels, rows, columns) to the same with fewer rows and columns."""
        raise TypeError(f"{type(self).__name__} does not pool")


class AveragePool(_Pool):
    """AVERAGE_POOL_2D: codes are averaged as they are; padding does not count."""

    counts: Tensor

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        height, width = self.geometry.size
        if height * width > LARGEST_WINDOW:
            raise site.unsupported(f"windows of more than {LARGEST_WINDOW} elements")
        ones = torch.ones(1, 1, *site.input(0).shape[1:3])
        self.register_buffer("counts", self.geometry.sums(ones), persistent=False)

    def pool(self, images: Tensor) -> Tensor:
        """Rounded means."""
        return _Quotient.apply(self.geometry.sums(images), self.counts)  # type: ignore[no-untyped-call,no-any-return]


class MaxPool(_Pool):
    """MAX_POOL_2D."""

    def pool(self, images: Tensor) -> Tensor:
        """Largest codes."""
        g = self.geometry
        return functional.max_pool2d(g.padded(images, float("-inf")), g.size, g.stride)


_OPTIONS = "any window, stride, padding and fused activation; one scale for input and output"
SUPPORT: tuple[Support, ...] = (
    Support("AVERAGE_POOL_2D", "int8", AveragePool, only(("int8",), "int8"), _OPTIONS),
    Support("MAX_POOL_2D", "int8", MaxPool, only(("int8",), "int8"), _OPTIONS),
)
