"""Operators that join tensors: CONCATENATION and PACK."""

from __future__ import annotations

from collections.abc import Sequence

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import axis_of, same_type
from tinymlsec.emulate.codegen.ops.walks import dense, lower_moves, move, shifted

TYPES = ("int8", "int16", "int32", "float32")
MOST_INPUTS = 10
"""The runtime's limit for CONCATENATION."""


def concatenation(place: Place) -> Lowered:
    """CONCATENATION: inputs one after the other along one axis; codes are copied, never rescaled."""
    positions = range(len(place.op.inputs))
    if not 1 <= len(positions) <= MOST_INPUTS or place.option("fused_activation_function"):
        raise place.unsupported(f"{len(positions)} inputs, or a fused activation")
    width, output = same_type(place, TYPES, positions), place.output()
    if output.dtype == "int8" and any(place.scale(place.input(k)) != place.scale(output) for k in positions):
        raise place.unsupported("an input with another scale or zero point than the output, which the runtime refuses")
    axis = axis_of(place, int(place.option("axis")), len(output.shape))
    shapes = [place.input(k).shape for k in positions]
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in (*shapes, output.shape)}
    if len(others) != 1 or sum(shape[axis] for shape in shapes) != output.shape[axis]:
        raise place.unsupported(f"shapes {[list(shape) for shape in shapes]} do not give {list(output.shape)}")
    return _joined(place, shapes, axis, width)


def pack(place: Place) -> Lowered:
    """PACK: inputs of one shape stacked along a new axis."""
    positions = range(len(place.op.inputs))
    width, output = same_type(place, TYPES, positions), place.output().shape
    axis = axis_of(place, int(place.option("axis")), len(output))
    shapes = {place.input(k).shape for k in positions}
    if shapes != {output[:axis] + output[axis + 1 :]} or output[axis] != len(positions):
        raise place.unsupported(f"inputs of {sorted(map(list, shapes))} do not give {list(output)}")
    one = (*output[:axis], 1, *output[axis + 1 :])
    return _joined(place, [one] * len(positions), axis, width)


def _joined(place: Place, shapes: Sequence[tuple[int, ...]], axis: int, width: int) -> Lowered:
    """Each input, seen as one of these shapes, behind the one before it along the axis."""
    steps, moves, start = dense(place.output().shape), [], 0
    for number, shape in enumerate(shapes):
        target = shifted(place.target(), start * steps[axis])
        moves.append((target, place.source(number), move(place, shape, dense(shape), steps, width)))
        start += shape[axis]
    return lower_moves(place, moves)


LOWER: dict[str, Lower] = {"CONCATENATION": concatenation, "PACK": pack}
