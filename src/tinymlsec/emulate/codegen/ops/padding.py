"""PAD and PADV2 on int8 and float32: constant paddings; codes are copied, never rescaled."""

from __future__ import annotations

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import call, same_type
from tinymlsec.emulate.codegen.ops.walks import dense, lower_moves, move, shifted
from tinymlsec.emulate.codegen.text import c_float

MOST_DIMENSIONS = {"int8": 5, "float32": 4}
"""The runtime's limits."""


def pad(place: Place) -> Lowered:
    """The output is filled, then the input is moved into its middle."""
    width, shape, output = same_type(place, tuple(MOST_DIMENSIONS), [0]), place.input(0).shape, place.output()
    pairs = [(int(a), int(b)) for a, b in place.require(1, "paddings").reshape(-1, 2)]
    if len(pairs) != len(shape) or len(shape) > MOST_DIMENSIONS[output.dtype] or min(map(min, pairs), default=0) < 0:
        raise place.unsupported(f"paddings {pairs} of shape {list(shape)}")
    if tuple(a + size + b for (a, b), size in zip(pairs, shape, strict=True)) != output.shape:
        raise place.unsupported(f"paddings {pairs} of shape {list(shape)} do not give {list(output.shape)}")
    kind, value = ("int8", str(_code(place))) if output.dtype == "int8" else ("float", c_float(_real(place)))
    steps = dense(output.shape)
    start = sum(before * step for (before, _), step in zip(pairs, steps, strict=True))
    fill = call(f"tms_fill_{kind}", place.target(), value, place.elements(output))
    walk = move(place, shape, dense(shape), steps, width)
    return lower_moves(place, [(shifted(place.target(), start), place.source(0), walk)], fill)


def _code(place: Place) -> int:
    """PAD fills with the code of 0, PADV2 with a constant on the output's scale."""
    scale, zero_point = place.scale(place.output())
    if not place.has(2):
        if not -128 <= zero_point <= 127:
            raise place.unsupported(f"zero point {zero_point}")
        return zero_point
    filling = place.require(2, "filling value").reshape(-1)
    if filling.size != 1 or place.input(2).dtype != "int8" or place.scale(place.input(2)) != (scale, zero_point):
        raise place.unsupported("its filling value is not one number of the output's type, scale and zero point")
    return int(filling[0])


def _real(place: Place) -> float:
    if not place.has(2):
        return 0.0
    filling = place.require(2, "filling value").reshape(-1)
    if filling.size != 1 or place.input(2).dtype != "float32":
        raise place.unsupported("its filling value is not one real number")
    return float(filling[0])


LOWER: dict[str, Lower] = {"PAD": pad, "PADV2": pad}
