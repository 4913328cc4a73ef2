"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED on float32, to which `weighted` hands what is not int8."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from tinymlsec.emulate.codegen.geometry import Geometry, groups
from tinymlsec.emulate.codegen.lowering import Lowered, Place, Table
from tinymlsec.emulate.codegen.ops.common import real_bounds

KERNELS = ("float_weighted",)


def float_windowed(place: Place, kind: str, g: Geometry, weights: NDArray[Any]) -> Lowered:
    """A convolution.

    Args:
        place: the operator.
        kind: conv or depthwise.
        g: its window.
        weights: as the file has them.
    """
    if kind == "conv":
        group_in, group_out = groups(place, g, weights)
        own = f".group_in = {group_in}, .group_out = {group_out}"
    else:
        own = f".multiplier = {g.out_c // g.in_c}"
    fields = f"    .g = {g.initializer},\n    {own},\n"
    call = f"tms_float_{kind}_pixel(&{place.symbol('p')}, {place.source(0)}, {place.target()}, y, x, c0, c1);"
    return _lowered(place, kind, fields, weights, call, (g.images * g.out_h, g.out_w, g.out_c))


def float_dense(place: Place, weights: NDArray[Any], rows: int) -> Lowered:
    """Rows times a matrix."""
    units, depth = weights.shape
    fields = f"    .depth = {depth}, .units = {units},\n"
    call = f"(void)x;\ntms_float_dense_row(&{place.symbol('p')}, {place.source(0)}, {place.target()}, y, c0, c1);"
    return _lowered(place, "dense", fields, weights, call, (rows, 1, units))


def is_float(place: Place) -> bool:
    """True where all values are float32."""
    inputs, outputs = place.types()
    return {*inputs, *outputs} - {""} == {"float32"}


def _lowered(
    place: Place, kind: str, fields: str, weights: NDArray[Any], call: str, pixels: tuple[int, int, int]
) -> Lowered:
    low, high = real_bounds(place).split(", ")
    shape = "x".join(map(str, weights.shape))
    tables = [Table(place.symbol("w"), "float", weights, f"Weights {shape} of operator {place.op.index}")]
    if place.has(2):
        bias = place.require(2, "bias")
        if bias.size != pixels[2]:
            raise place.unsupported(f"{bias.size} biases for {pixels[2]} channels")
        tables.append(Table(place.symbol("b"), "float", bias, "Bias"))
    names = f".weights = {place.symbol('w')}, .bias = {place.symbol('b') if place.has(2) else '0'}"
    statics = (
        f"static const tms_float_{kind} {place.symbol('p')} = {{\n{fields}"
        f"    .s = {{{names}, .low = {low}, .high = {high}}},\n}};"
    )
    return Lowered("", KERNELS, tuple(tables), statics, call, pixels=pixels)
