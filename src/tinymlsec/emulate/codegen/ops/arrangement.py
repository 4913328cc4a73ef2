"""Operators that arrange values anew without changing them: RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, SHAPE."""

from __future__ import annotations

from math import prod

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import axis_of, call, same_type
from tinymlsec.emulate.codegen.ops.walks import MOVES, dense, lower_moves, move
from tinymlsec.emulate.codegen.text import c_int

COPIED = ("int8", "uint8", "int16", "int32", "float32")
MOVED = ("int8", "int16", "float32")
MOST_DIMENSIONS = 5
"""The runtime's limit for TRANSPOSE."""


def reshape(place: Place) -> Lowered:
    """RESHAPE and SQUEEZE: the same values in the order of the file; without code where memory can be shared."""
    same_type(place, COPIED, [0])
    return _same_values(place)


def expand_dims(place: Place) -> Lowered:
    """EXPAND_DIMS: a further dimension of 1."""
    same_type(place, MOVED, [0])
    before, after = place.input(0).shape, place.output().shape
    axis = axis_of(place, int(place.require(1, "axis").reshape(-1)[0]), len(after))
    if after[:axis] + after[axis + 1 :] != before or after[axis] != 1:
        raise place.unsupported(f"axis {axis} does not lead to {list(after)}")
    return _same_values(place)


def _same_values(place: Place) -> Lowered:
    before, after = place.input(0).shape, place.output().shape
    scalar = len(place.op.inputs) == 1 and after == (0,) and prod(before) == 1  # old files write a scalar as [0]
    if min((*before, *after), default=0) < 0 or (prod(before) != prod(after) and not scalar):
        raise place.unsupported(f"shape {list(before)} cannot become {list(after)}")
    body = call("tms_copy", place.target(), place.source(0), place.bytes(place.input(0)))
    return Lowered(body, MOVES, alias=0)


def transpose(place: Place) -> Lowered:
    """TRANSPOSE: axes in another order."""
    width, shape = same_type(place, MOVED, [0]), place.input(0).shape
    order = [int(axis) for axis in place.require(1, "order of axes").reshape(-1)]
    if len(order) > MOST_DIMENSIONS or sorted(order) != list(range(len(shape))):
        raise place.unsupported(f"order of axes {order}")
    sizes = [shape[axis] for axis in order]
    if tuple(sizes) != place.output().shape:
        raise place.unsupported(f"order {order} of {list(shape)} does not give {list(place.output().shape)}")
    steps = dense(shape)
    walk = move(place, sizes, [steps[axis] for axis in order], dense(sizes), width)
    return lower_moves(place, [(place.target(), place.source(0), walk)])


def shape_of(place: Place) -> Lowered:
    """SHAPE: known when the C is written."""
    shape = place.input(0).shape
    if place.input(0).dtype not in COPIED or place.output().dtype != "int32" or place.output().shape != (len(shape),):
        raise place.unsupported(f"types {place.types()}, or an output of shape {list(place.output().shape)}")
    return Lowered("".join(f"{place.target()}[{k}] = {c_int(size)};\n" for k, size in enumerate(shape)))


LOWER: dict[str, Lower] = {
    "RESHAPE": reshape,
    "SQUEEZE": reshape,
    "EXPAND_DIMS": expand_dims,
    "TRANSPOSE": transpose,
    "SHAPE": shape_of,
}
