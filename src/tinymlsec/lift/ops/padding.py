"""PAD and PADV2: constant paddings; codes are copied, never rescaled."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as functional
from torch import Tensor

from tinymlsec.lift.op import LiftedOp, Site, State
from tinymlsec.lift.rows import rows_of

MOST_DIMENSIONS = 5
"""The runtime's limit."""


class Pad(LiftedOp):
    """PAD fills with the output's zero point (PAD of int16: with 0), PADV2 with a constant."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        shape, output = site.input(0).shape, site.output()
        pairs = site.require(1, "padding").reshape(-1, 2).tolist()
        if len(pairs) != len(shape) or len(shape) > MOST_DIMENSIONS or min(map(min, pairs), default=0) < 0:
            raise site.unsupported(f"paddings {pairs} of shape {shape}")
        if tuple(a + size + b for (a, b), size in zip(pairs, shape, strict=True)) != output.shape:
            raise site.unsupported(f"paddings {pairs} of shape {shape} do not give {output.shape}")
        self.sides = [side for pair in reversed(pairs) for side in pair]
        self.value = _value(site)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Codes (n, *shape) to (n, *padded shape)."""
        return [functional.pad(inputs[0], self.sides, value=self.value)]


def _value(site: Site) -> int:
    scale, zero_point = site.scale(site.output())
    if not site.has(2):
        return zero_point if site.output().dtype == "int8" else 0
    filling = site.require(2, "filling value").reshape(-1)
    if filling.size != 1 or site.input(2).dtype != site.input(0).dtype:
        raise site.unsupported("its filling value is not one number of the input's type")
    if site.scale(site.input(2)) != (scale, zero_point):
        raise site.unsupported("its filling value differs from the output in scale or zero point")
    return int(filling[0])


SUPPORT = (
    *rows_of("PAD", ["int8"], Pad, "constant paddings, up to five dimensions"),
    *rows_of("PADV2", ["int8"], Pad, "constant paddings and filling value, up to five dimensions"),
)
