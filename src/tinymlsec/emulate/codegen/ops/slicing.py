"""Operators that take parts of a tensor: SPLIT, SPLIT_V and STRIDED_SLICE."""

from __future__ import annotations

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import axis_of, same_type
from tinymlsec.emulate.codegen.ops.joining import TYPES
from tinymlsec.emulate.codegen.ops.walks import dense, lower_moves, move, shifted

MOST_DIMENSIONS = 4
"""The runtime's limit for STRIDED_SLICE."""


def split(place: Place) -> Lowered:
    """SPLIT and SPLIT_V: consecutive parts along one axis, as long as the file declares the outputs to be."""
    values, axis_input = (1, 0) if place.op.name == "SPLIT" else (0, 2)
    width, shape = same_type(place, TYPES, [values]), place.input(values).shape
    axis = axis_of(place, int(place.require(axis_input, "axis").reshape(-1)[0]), len(shape))
    parts = [place.output(k).shape for k in range(len(place.op.outputs))]
    rest = (*shape[:axis], *shape[axis + 1 :])
    fits = all(len(p) == len(shape) and (*p[:axis], *p[axis + 1 :]) == rest for p in parts)
    if not fits or sum(part[axis] for part in parts) != shape[axis]:
        raise place.unsupported(f"parts {[list(part) for part in parts]} of {list(shape)} along axis {axis}")
    steps, moves, start = dense(shape), [], 0
    for number, part in enumerate(parts):
        source = shifted(place.source(values), start * steps[axis])
        moves.append((place.target(number), source, move(place, part, steps, dense(part), width)))
        start += part[axis]
    return lower_moves(place, moves)


def strided_slice(place: Place) -> Lowered:
    """STRIDED_SLICE: every so many elements of each axis, with axes of 1 left out on request."""
    width, shape, rank = same_type(place, TYPES, [0]), place.input(0).shape, _rank(place)
    taken = [axis_range(place, axis) for axis in range(rank)]
    kept = [len(r) for axis, r in enumerate(taken) if not _bit(place, "shrink_axis_mask", axis)]
    if tuple(kept) != place.output().shape:
        raise place.unsupported(f"slices of {kept} where {list(place.output().shape)} is declared")
    sizes, steps = [len(r) for r in taken], dense(shape)
    if 0 in sizes:
        return Lowered("")
    start = sum(r.start * step for r, step in zip(taken, steps, strict=True))
    sources = [r.step * step for r, step in zip(taken, steps, strict=True)]
    walk = move(place, sizes, sources, dense(sizes), width)
    return lower_moves(place, [(place.target(), shifted(place.source(0), start), walk)])


def _rank(place: Place) -> int:
    rank = len(place.input(0).shape)
    if rank > MOST_DIMENSIONS or any(place.require(k, "slice").size != rank for k in (1, 2, 3)):
        raise place.unsupported(f"{rank} dimensions with other numbers of bounds, or more than {MOST_DIMENSIONS}")
    if place.option("ellipsis_mask") or place.option("new_axis_mask") or place.option("offset"):
        raise place.unsupported("an ellipsis, a new axis or offsets, which the runtime ignores")
    return rank


def _bit(place: Place, mask: str, axis: int) -> bool:
    return bool(int(place.option(mask)) >> axis & 1)


def axis_range(place: Place, axis: int) -> range:
    """Positions that a slice takes along one axis; the same rules as in `tinymlsec.lift.ops.slicing`.

    Raises:
        UnsupportedModelError: a stride of 0, or an axis to leave out of which no element is taken.
    """
    size = place.input(0).shape[axis]
    begin, end, stride = (int(place.require(k, "slice").reshape(-1)[axis]) for k in (1, 2, 3))
    shrink = _bit(place, "shrink_axis_mask", axis)
    if stride == 0 or (shrink and stride < 0):
        raise place.unsupported(f"stride {stride} along axis {axis}")
    low, high = (0, size) if stride > 0 else (-1, size - 1)
    first, last = (low, high) if stride > 0 else (high, low)
    start = first if _bit(place, "begin_mask", axis) else _inside(begin, size, low, high)
    stop = last if _bit(place, "end_mask", axis) else _inside(end, size, low, high)
    positions = range(start, min(start + 1, size)) if shrink else range(start, stop, stride)
    if shrink and not positions:
        raise place.unsupported(f"element {begin} of axis {axis}, which has {size}")
    return positions


def _inside(index: int, size: int, low: int, high: int) -> int:
    """Counted from the end where negative, then kept between the bounds."""
    return min(max(index + size if index < 0 else index, low), high)


LOWER: dict[str, Lower] = {"SPLIT": split, "SPLIT_V": split, "STRIDED_SLICE": strided_slice}
