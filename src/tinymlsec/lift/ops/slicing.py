"""Operators that take parts of a tensor: SPLIT, SPLIT_V and STRIDED_SLICE."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tinymlsec.lift.op import LiftedOp, Site, State
from tinymlsec.lift.rows import one_axis, rows_of

MOST_DIMENSIONS = 4
"""The runtime's limit for STRIDED_SLICE."""


class Split(LiftedOp):
    """Consecutive parts along one axis, as long as the file declares the outputs to be."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        values, axis_input = (1, 0) if site.op.name == "SPLIT" else (0, 2)
        shape = site.input(values).shape
        axis = one_axis(site, int(site.require(axis_input, "axis").reshape(-1)[0]), len(shape))
        self.values, self.axis = values, axis + 1
        parts = [site.output(k).shape for k in range(len(site.op.outputs))]
        self.sizes = [part[axis] for part in parts]
        if sum(self.sizes) != shape[axis] or any(len(part) != len(shape) for part in parts):
            raise site.unsupported(f"parts of {self.sizes} along an axis of {shape[axis]}")

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to one part for each output."""
        return list(torch.split(inputs[self.values], self.sizes, dim=self.axis))


class StridedSlice(LiftedOp):
    """Every so many elements of each axis, forwards or backwards, with axes of 1 left out on request."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.steps = [axis_range(site, axis) for axis in range(_rank(site))]
        self.shape = [len(r) for axis, r in enumerate(self.steps) if not _bit(site, "shrink_axis_mask", axis)]
        if tuple(self.shape) != site.output().shape:
            raise site.unsupported(f"slices of {self.shape} where {list(site.output().shape)} is declared")

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to (n, *output shape)."""
        value = inputs[0]
        for axis, positions in enumerate(self.steps, start=1):
            value = _along(value, axis, positions)
        return [value.reshape(value.shape[0], *self.shape)]


def _rank(site: Site) -> int:
    rank = len(site.input(0).shape)
    if rank > MOST_DIMENSIONS or any(site.require(k, "slice").size != rank for k in (1, 2, 3)):
        raise site.unsupported(f"{rank} dimensions with other numbers of bounds, or more than {MOST_DIMENSIONS}")
    if site.option("ellipsis_mask") or site.option("new_axis_mask") or site.option("offset"):
        raise site.unsupported("an ellipsis, a new axis or offsets, which the runtime ignores")
    return rank


def _bit(site: Site, mask: str, axis: int) -> bool:
    return bool(int(site.option(mask)) >> axis & 1)


def axis_range(site: Site, axis: int) -> range:
    """Positions that a slice takes along one axis.

    Raises:
        UnsupportedModelError: a stride of 0, or an axis to leave out of which no element is taken.
    """
    size = site.input(0).shape[axis]
    begin, end, stride = (int(site.require(k, "slice").reshape(-1)[axis]) for k in (1, 2, 3))
    shrink = _bit(site, "shrink_axis_mask", axis)
    if stride == 0 or (shrink and stride < 0):
        raise site.unsupported(f"stride {stride} along axis {axis}")
    low, high = (0, size) if stride > 0 else (-1, size - 1)
    first, last = (low, high) if stride > 0 else (high, low)
    start = first if _bit(site, "begin_mask", axis) else _inside(begin, size, low, high)
    stop = last if _bit(site, "end_mask", axis) else _inside(end, size, low, high)
    positions = range(start, min(start + 1, size)) if shrink else range(start, stop, stride)
    if shrink and not positions:
        raise site.unsupported(f"element {begin} of axis {axis}, which has {size}")
    return positions


def _inside(index: int, size: int, low: int, high: int) -> int:
    """Counted from the end where negative, then kept between the bounds."""
    return min(max(index + size if index < 0 else index, low), high)


def _along(value: Tensor, axis: int, positions: range) -> Tensor:
    if positions == range(value.shape[axis]):
        return value
    if not positions:
        return value.narrow(axis, 0, 0)
    low, high = min(positions[0], positions[-1]), max(positions[0], positions[-1])
    taken = value[(slice(None),) * axis + (slice(low, high + 1, abs(positions.step)),)]
    return taken.flip(axis) if positions.step < 0 else taken


TYPES = ("int8", "int16", "int32", "float32")
SUPPORT = (
    *rows_of("SPLIT", TYPES, Split, "any constant axis", position=1),
    *rows_of("SPLIT_V", TYPES, Split, "any constant axis and sizes"),
    *rows_of(
        "STRIDED_SLICE",
        TYPES,
        StridedSlice,
        "constant bounds of up to 4 axes, strides of either sign; masks of begin, end and shrunk axes",
    ),
)
