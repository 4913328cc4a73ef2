"""MEAN over constant axes, on int8 and float32."""

from __future__ import annotations

from math import prod

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import axis_of, by_types, call, quantization, ratio, record
from tinymlsec.emulate.codegen.ops.walks import dense, walk

KERNELS = ("mean",)
LARGEST_COUNT = 2**22
"""Elements beyond which the 32-bit sum of codes could overflow."""


def lower_int8(place: Place) -> Lowered:
    """An integer sum, requantized by a multiplier that has the division in it."""
    count, statics = _axes(place)
    (si, zi), (so, zo) = quantization(place, place.input(0)), quantization(place, place.output())
    multiplier, shift = mean_multiplier(*ratio(place, si, so), count)
    fields = {"input_zero_point": zi, "multiplier": multiplier, "shift": shift, "zero_point": zo}
    name = place.symbol("mean")
    statics += record(place, "tms_mean", fields, "mean")
    body = call("tms_mean_int8", place.target(), place.source(0), f"&{place.symbol('p')}", f"&{name}")
    return Lowered(body, KERNELS, statics=statics)


def lower_float(place: Place) -> Lowered:
    """A sum in the order of the input, and a division."""
    _, statics = _axes(place)
    body = call("tms_mean_float", place.target(), place.source(0), f"&{place.symbol('p')}")
    return Lowered(body, KERNELS, statics=statics)


def mean_multiplier(multiplier: int, shift: int, count: int) -> tuple[int, int]:
    """A multiplier and shift that divide by a count as well, as the runtime computes them.

    Args:
        multiplier: of the ratio of scales.
        shift: likewise.
        count: elements that a mean runs over.
    """
    up = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << up) // count, shift - up


def _axes(place: Place) -> tuple[int, str]:
    """Elements that the mean runs over, and the record tms_axes."""
    shape = place.input(0).shape
    given = [int(axis) for axis in place.require(1, "axes").reshape(-1)]
    axes = {axis_of(place, axis, len(shape)) for axis in given}
    steps = dense(shape)
    kept, reduced = (
        [(size, step, 0) for k, (size, step) in enumerate(zip(shape, steps, strict=True)) if (k in axes) == inside]
        for inside in (False, True)
    )
    count = prod(size for size, _, _ in reduced)
    if not 1 <= count <= LARGEST_COUNT or prod(size for size, _, _ in kept) != place.elements(place.output()):
        raise place.unsupported(f"a mean over axes {given} of shape {list(shape)} to {list(place.output().shape)}")
    return count, record(place, "tms_axes", {"kept": walk(place, kept), "reduced": walk(place, reduced)})


LOWER: dict[str, Lower] = {
    "MEAN": by_types({("int8", "int8"): lower_int8, ("float32", "float32"): lower_float}),
}
