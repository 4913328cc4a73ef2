"""Operators that join tensors: CONCATENATION and PACK."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tinymlsec.lift.op import LiftedOp, Site, State
from tinymlsec.lift.rows import one_axis, rows_of

MOST_INPUTS = 10
"""The runtime's limit for CONCATENATION."""


class Concatenation(LiftedOp):
    """Inputs one after the other along one axis."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        _check_inputs(site)
        self.axis = one_axis(site, int(site.option("axis")), len(site.output().shape)) + 1

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) each to (n, *shape with the sum of the sizes along the axis)."""
        return [torch.cat(_same_count(inputs), dim=self.axis)]


def _check_inputs(site: Site) -> None:
    """The runtime copies codes and never rescales them; it refuses what would need that, and so does this."""
    if site.option("fused_activation_function"):
        raise site.unsupported("a fused activation, which the runtime refuses")
    if len(site.op.inputs) > MOST_INPUTS:
        raise site.unsupported(f"{len(site.op.inputs)} inputs, and the runtime takes {MOST_INPUTS}")
    inputs = [site.input(position) for position in range(len(site.op.inputs))]
    if any(tensor.dtype != site.output().dtype or len(tensor.shape) != len(site.output().shape) for tensor in inputs):
        raise site.unsupported("inputs of several types or ranks")
    if site.output().dtype == "int8" and any(site.scale(tensor) != site.scale(site.output()) for tensor in inputs):
        raise site.unsupported("an input with another scale or zero point than the output, which the runtime refuses")


class Pack(LiftedOp):
    """Inputs of one shape stacked along a new axis."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        shapes = {site.input(position).shape for position in range(len(site.op.inputs))}
        if len(shapes) != 1 or len(site.output().shape) != len(site.input(0).shape) + 1:
            raise site.unsupported("inputs of several shapes, or an output of another rank")
        self.axis = one_axis(site, int(site.option("axis")), len(site.output().shape)) + 1

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) each to (n, *shape with the number of inputs at the axis)."""
        return [torch.stack(_same_count(inputs), dim=self.axis)]


def _same_count(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Constants and first states have one sample; they are repeated, without copying, for all."""
    count = max(value.shape[0] for value in inputs)
    return [value.expand(count, *value.shape[1:]) for value in inputs]


TYPES = ("int8", "int16", "int32", "float32")
SUPPORT = (
    *rows_of("CONCATENATION", TYPES, Concatenation, "any axis, up to 10 inputs; int8: equal scales and zero points"),
    *rows_of("PACK", TYPES, Pack, "any axis"),
)
