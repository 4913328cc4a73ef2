"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED on int8: integer sums, then one rescaling a channel.

Float32 is handed on to `float_weighted`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.codegen.geometry import Geometry, geometry, groups
from tinymlsec.emulate.codegen.lowering import Lowered, Place, Table
from tinymlsec.emulate.codegen.ops.common import LARGEST_SHIFT
from tinymlsec.emulate.codegen.ops.float_weighted import float_dense, float_windowed, is_float
from tinymlsec.emulate.codegen.text import c_int
from tinymlsec.target.tflite.graph import Tensor
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, convolution_multipliers


def _convolution(place: Place) -> Lowered:
    g, weights = geometry(place), place.require(1, "weight")
    group_in, group_out = groups(place, g, weights)
    if is_float(place):
        return float_windowed(place, "conv", g, weights)
    fields = f"    .g = {g.initializer},\n    .group_in = {group_in}, .group_out = {group_out},\n"
    return _windowed(place, "conv", g, weights, fields)


def _depthwise(place: Place) -> Lowered:
    g, weights = geometry(place, depthwise=True), place.require(1, "weight")
    if weights.shape[0] != 1 or g.in_c == 0 or g.out_c % g.in_c:
        raise place.unsupported(f"weights {list(weights.shape)} for {g.in_c} input channels")
    if is_float(place):
        return float_windowed(place, "depthwise", g, weights)
    fields = f"    .g = {g.initializer},\n    .multiplier = {g.out_c // g.in_c},\n"
    return _windowed(place, "depthwise", g, weights, fields)


def _windowed(place: Place, kind: str, g: Geometry, weights: NDArray[Any], fields: str) -> Lowered:
    _require_int8(place)
    parameters = place.symbol("p")
    return Lowered(
        body="",
        kernels=(kind,),
        tables=_tables(place, weights, g.out_c),
        statics=_record(place, kind, fields, g.out_c),
        pixel=f"tms_{kind}_pixel(&{parameters}, {place.source(0)}, {place.target()}, y, x, c0, c1);",
        pixels=(g.images * g.out_h, g.out_w, g.out_c),
    )


def _dense(place: Place) -> Lowered:
    weights = place.require(1, "weight")
    if weights.ndim != 2:
        raise place.unsupported(f"weights of {weights.ndim} dimensions")
    if int(place.option("weights_format")) != 0:
        raise place.unsupported("its weights are shuffled")
    units, depth = weights.shape
    rows = place.elements(place.input(0)) // max(depth, 1)
    if rows * depth != place.elements(place.input(0)) or rows * units != place.elements(place.output()):
        raise place.unsupported(f"weights {list(weights.shape)} for input {list(place.input(0).shape)}")
    if is_float(place):
        return float_dense(place, weights, rows)
    _require_int8(place)
    quantization = place.input(1).quantization
    single = quantization is not None and not quantization.per_channel
    offset = -_zero_point(place, place.input(1)) if single else 0
    fields = f"    .depth = {depth}, .units = {units}, .weights_offset = {offset},\n"
    return Lowered(
        body="",
        kernels=("dense",),
        tables=_tables(place, weights, units),
        statics=_record(place, "dense", fields, units),
        pixel=f"(void)x;\ntms_dense_row(&{place.symbol('p')}, {place.source(0)}, {place.target()}, y, c0, c1);",
        pixels=(rows, 1, units),
    )


def _require_int8(place: Place) -> None:
    inputs, outputs = place.types()
    if (*inputs[:2], *outputs) != ("int8",) * 3 or inputs[2:] not in ((), ("",), ("int32",)):
        raise place.unsupported("types " + ", ".join(filter(None, (*inputs, *outputs))))


def _zero_point(place: Place, tensor: Tensor) -> int:
    zero_point, (low, high) = place.scale(tensor)[1], INTEGER_RANGES["int8"]
    if not low <= zero_point <= high:
        raise place.unsupported(f"zero point {zero_point} of tensor {tensor.index}")
    return zero_point


def _tables(place: Place, weights: NDArray[Any], channels: int) -> tuple[Table, ...]:
    """Weights, bias, multipliers and shifts."""
    scales = place.scales(place.input(1))
    if scales.size not in (1, channels):
        raise place.unsupported(f"{scales.size} scales for {channels} channels")
    factors = place.scale(place.input(0))[0], scales, place.scale(place.output())[0]
    multiplier, shift = convolution_multipliers(*factors, scales.size)
    if int(shift.max(initial=0)) > LARGEST_SHIFT:
        raise place.unsupported(f"scales so far apart that its sums are shifted by {int(shift.max())} bits")
    shape = "x".join(map(str, weights.shape))
    tables = [
        Table(place.symbol("w"), "int8_t", weights, f"Weights {shape} of operator {place.op.index}"),
        Table(place.symbol("m"), "int32_t", multiplier, "Multipliers of its sums, in units of 2^-31"),
        Table(place.symbol("s"), "int8_t", shift.astype(np.int8), "Shifts of its sums, to the left where positive"),
    ]
    if place.has(2):
        bias = place.require(2, "bias")
        if bias.size != channels:
            raise place.unsupported(f"{bias.size} biases for {channels} channels")
        tables.append(Table(place.symbol("b"), "int32_t", bias, "Bias"))
    return tuple(tables)


def _record(place: Place, kind: str, fields: str, channels: int) -> str:
    """The parameters of a layer, as C."""
    low, high = place.activation_bounds()
    bias = place.symbol("b") if place.has(2) else "0"
    step = int(place.scales(place.input(1)).size == channels and channels > 1)
    requantize = (
        f".bias = {bias}, .multiplier = {place.symbol('m')}, .shift = {place.symbol('s')}, .step = {step},\n"
        f"          .offset = {_zero_point(place, place.output())}, .low = {c_int(low)}, .high = {c_int(high)}"
    )
    return (
        f"static const tms_{kind} {place.symbol('p')} = {{\n{fields}"
        f"    .offset = {-_zero_point(place, place.input(0))}, .weights = {place.symbol('w')},\n"
        f"    .r = {{{requantize}}},\n}};"
    )


LOWER = {"CONV_2D": _convolution, "DEPTHWISE_CONV_2D": _depthwise, "FULLY_CONNECTED": _dense}
