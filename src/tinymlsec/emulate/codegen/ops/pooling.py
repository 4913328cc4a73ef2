"""AVERAGE_POOL_2D and MAX_POOL_2D, on int8 and float32."""

from __future__ import annotations

from math import prod

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import by_types, call, quantization, real_bounds, record
from tinymlsec.target.tflite.schema import enum_number

KERNELS = ("pool",)
SCALE_TOLERANCE = 1e-6
"""Difference of input and output scale that the runtime lets pass; the kernels do not rescale."""
LARGEST_WINDOW = 2**23
"""Elements of a window whose sum of codes stays within 32 bits."""


def lower_int8(place: Place) -> Lowered:
    """On codes, which are averaged as they are."""
    (si, zi), (so, zo) = quantization(place, place.input(0)), quantization(place, place.output())
    if abs(si - so) > SCALE_TOLERANCE or zi != zo:
        raise place.unsupported("input and output differ in scale or zero point")
    low, high = place.activation_bounds()
    return _lowered(place, "int8", f"{low}, {high}")


def lower_float(place: Place) -> Lowered:
    """On real numbers."""
    return _lowered(place, "float", real_bounds(place))


def _lowered(place: Place, kind: str, bounds: str) -> Lowered:
    which = "average" if place.op.name == "AVERAGE_POOL_2D" else "max"
    statics = record(place, "tms_pool", geometry(place))
    body = call(f"tms_{which}_pool_{kind}", place.target(), place.source(0), f"&{place.symbol('p')}", bounds)
    return Lowered(body, KERNELS, statics=statics)


def geometry(place: Place) -> dict[str, int]:
    """Fields of the record tms_pool; the output's declared size decides how far the windows reach.

    Raises:
        UnsupportedModelError: windows that do not lead from the input's shape to the output's.
    """
    size = int(place.option("filter_height")), int(place.option("filter_width"))
    stride = int(place.option("stride_h")), int(place.option("stride_w"))
    inputs, outputs = place.input(0).shape, place.output().shape
    same = int(place.option("padding")) == enum_number("Padding", "SAME")
    if len(inputs) != 4 or len(outputs) != 4 or min(*size, *stride, *inputs, *outputs) < 1:
        raise place.unsupported(f"windows {size} by steps {stride} on shape {inputs}")
    axes = list(zip(inputs[1:3], outputs[1:3], size, stride, strict=True))
    needed = [max((o - 1) * s + k - i, 0) for i, o, k, s in axes]
    fits = all(o == -(-i // s) for i, o, _, s in axes) if same else not any(needed)
    if not fits or inputs[0] != outputs[0] or inputs[3] != outputs[3] or prod(size) > LARGEST_WINDOW:
        raise place.unsupported(f"windows {size} by steps {stride} do not lead from {inputs} to {outputs}")
    return {
        "batches": inputs[0],
        "height": inputs[1],
        "width": inputs[2],
        "channels": inputs[3],
        "out_height": outputs[1],
        "out_width": outputs[2],
        "window_height": size[0],
        "window_width": size[1],
        "stride_height": stride[0],
        "stride_width": stride[1],
        "top": needed[0] // 2,
        "left": needed[1] // 2,
    }


_ROWS = by_types({("int8", "int8"): lower_int8, ("float32", "float32"): lower_float})
LOWER: dict[str, Lower] = {"AVERAGE_POOL_2D": _ROWS, "MAX_POOL_2D": _ROWS}
