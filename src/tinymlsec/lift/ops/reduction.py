"""MEAN on int8: an integer sum, requantized by a multiplier that has the division in it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.ops.common import only
from tinymlsec.lift.other_runtimes import is_xnnpack
from tinymlsec.lift.profiles import SumRounding
from tinymlsec.lift.rescale import Rescale
from tinymlsec.lift.rows import one_axis
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, rescale_multiplier

EXACT_IN_FLOAT32 = 2**15
"""Elements a mean may run over with the sum of codes minus zero point staying exact in float32."""
LARGEST_COUNT = 2**22
"""Elements beyond which the device's 32-bit sum could overflow."""


def mean_multiplier(multiplier: int, shift: int, count: int) -> tuple[int, int]:
    """A multiplier and shift that divide by a count as well.

    Args:
        multiplier: from `rescale_multiplier`.
        shift: likewise.
        count: elements that a mean runs over.
    """
    up = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << up) // count, shift - up


class _ZeroPointFirst(Rescale):
    """XNNPACK's end of a mean: the zero point is added before rounding, which turns ties the other way if it is odd."""

    def steps(self, sums: Tensor) -> Tensor:
        """Codes before they are clamped."""
        return (sums.to(torch.float32) * self.real).add_(self.zero_point).round_()


_RUNTIMES: dict[bool, tuple[type[Rescale], SumRounding]] = {
    False: (Rescale, "double"),
    True: (_ZeroPointFirst, "float32"),
}


class Mean(LiftedOp):
    """MEAN over constant axes."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        shape, axes = site.input(0).shape, site.require(1, "axes").reshape(-1).tolist()
        self.axes = tuple(sorted({one_axis(site, axis, len(shape)) for axis in axes}))
        self.count, self.shape = prod(shape[axis] for axis in self.axes), site.output().shape
        if not 1 <= self.count <= LARGEST_COUNT:
            raise site.unsupported(f"a mean over {self.count} elements")
        kept = prod(size for axis, size in enumerate(shape) if axis not in self.axes)
        if kept != prod(self.shape):
            raise site.unsupported(f"axes {self.axes} of shape {shape} do not give {self.shape}")
        (si, self.input_zero_point), (so, zo) = site.scale(site.input(0)), site.scale(site.output())
        multiplier, shift = mean_multiplier(*rescale_multiplier(si, so), self.count)
        bounds, real = INTEGER_RANGES[site.output().dtype], si / so / self.count
        kind, rounding = _RUNTIMES[is_xnnpack(site)]
        self.rescale = kind(multiplier, shift, real, zo, bounds, rounding)
        self.rescale.prepare(self.count * 255.0)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Codes (n, *input shape) to codes (n, *output shape)."""
        exact = torch.float32 if self.count <= EXACT_IN_FLOAT32 else torch.float64
        axes = [axis + 1 for axis in self.axes]
        total = inputs[0] - self.input_zero_point
        if axes:
            total = total.sum(axes, dtype=exact)
        return [self.rescale(total).reshape(-1, *self.shape)]


SUPPORT: tuple[Support, ...] = (
    Support("MEAN", "int8", Mean, only(("int8", "int32"), "int8"), "constant axes, with or without keep_dims"),
)
