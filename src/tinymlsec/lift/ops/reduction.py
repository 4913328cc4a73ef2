"""MEAN on int8: an integer sum, requantized by a multiplier that has the division in it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from tinymlsec.lift.arithmetic import requantize
from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.rows import one_axis
from tinymlsec.lift.ops.common import only
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


class Mean(LiftedOp):
    """MEAN over constant axes."""

    multiplier: Tensor
    shift: Tensor
    real: Tensor

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
        (si, self.input_zero_point), (so, self.zero_point) = site.scale(site.input(0)), site.scale(site.output())
        self.rounding, self.bounds = site.profile.rounding, INTEGER_RANGES[site.output().dtype]
        multiplier, shift = mean_multiplier(*rescale_multiplier(si, so, self.rounding), self.count)
        self.register_buffer("multiplier", torch.tensor(multiplier), persistent=False)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)
        self.register_buffer("real", torch.tensor(si / so / self.count), persistent=False)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Codes (n, *input shape) to codes (n, *output shape)."""
        exact = torch.float32 if self.count <= EXACT_IN_FLOAT32 else torch.float64
        axes = [axis + 1 for axis in self.axes]
        total = (
            (inputs[0] - self.input_zero_point).sum(axes, dtype=exact) if axes else inputs[0] - self.input_zero_point
        )
        constants = (self.multiplier, self.shift, self.real)
        means = requantize(total, *constants, self.zero_point, self.bounds, self.rounding)
        return [means.reshape(-1, *self.shape)]


SUPPORT: tuple[Support, ...] = (
    Support("MEAN", "int8", Mean, only(("int8", "int32"), "int8"), "constant axes, with or without keep_dims"),
)
