"""Operators that arrange values anew without changing them: RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor

from tinymlsec.lift.op import LiftedOp, Site, State
from tinymlsec.lift.rows import one_axis, rows_of

MOST_DIMENSIONS = 5
"""The runtime's limit for TRANSPOSE."""


class Reshape(LiftedOp):
    """The same values in the order of the file under the shape that the file declares for the output.

    The runtime takes that shape and not the one at the second input, which may be computed: only a -1 in it is filled
    in from the number of elements.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.shape = _declared(site)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *input shape) to (n, *output shape)."""
        return [inputs[0].reshape(inputs[0].shape[0], *self.shape)]


def _declared(site: Site) -> tuple[int, ...]:
    before, after = site.input(0).shape, site.output().shape
    if site.op.name == "RESHAPE" and len(site.op.inputs) == 1 and after == (0,):
        return ()  # old files write a scalar as [0]
    missing, known = after.count(-1), prod(size for size in after if size != -1)
    whole = known > 0 and prod(before) % known == 0 if missing else prod(before) == known
    if missing > 1 or (min(before, default=0) >= 0 and not whole):
        raise site.unsupported(f"shape {list(before)} cannot become {list(after)}")
    return after


class ExpandDims(Reshape):
    """A further dimension of 1."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        axis = one_axis(site, int(site.require(1, "axis").reshape(-1)[0]), len(self.shape))
        if self.shape[:axis] + self.shape[axis + 1 :] != site.input(0).shape or self.shape[axis] != 1:
            raise site.unsupported(f"axis {axis} does not lead to {list(self.shape)}")


class Transpose(LiftedOp):
    """Axes in another order."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        order = tuple(site.require(1, "order of axes").reshape(-1).tolist())
        if len(order) > MOST_DIMENSIONS or sorted(order) != list(range(len(site.input(0).shape))):
            raise site.unsupported(f"order of axes {list(order)}")
        self.order = (0, *(axis + 1 for axis in order))

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to (n, *shape in the new order)."""
        return [inputs[0].permute(self.order)]


COPIED = ("int8", "uint8", "int16", "int32", "float32")
MOVED = ("int8", "int16", "float32")
SUPPORT = (
    *rows_of(
        "RESHAPE", COPIED, Reshape, "to the declared output shape, as the runtime does; the shape may be computed"
    ),
    *rows_of("SQUEEZE", COPIED, Reshape, "any dimensions of 1"),
    *rows_of("EXPAND_DIMS", MOVED, ExpandDims, "any constant axis"),
    *rows_of("TRANSPOSE", MOVED, Transpose, "any constant order of up to 5 axes"),
)
