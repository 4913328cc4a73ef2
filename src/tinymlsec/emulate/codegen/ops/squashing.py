"""SOFTMAX, LOGISTIC and TANH, on int8 and float32."""

from __future__ import annotations

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import (
    LARGEST_SHIFT,
    by_types,
    call,
    dense_arguments,
    quantization,
    record,
)
from tinymlsec.emulate.codegen.text import c_float
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, TableConstants, logistic_constants, softmax_constants

INT8 = ("squash",)
FLOAT = ("float_ops",)
LARGEST_ROW = 4095
"""Elements whose exponentials fit the sum even if all are one."""


def curve(place: Place) -> Lowered:
    """LOGISTIC and TANH on codes; the runtime prescribes the output's scale and never reads it."""
    scale, zero_point = quantization(place, place.input(0))
    if place.op.name == "LOGISTIC" and place.scale(place.output())[1] != -128:
        raise place.unsupported("the zero point of its output is not -128")
    try:
        statics = _record(place, logistic_constants(scale), zero_point)
    except ModelFileError as error:
        raise place.unsupported(str(error)) from None
    body = call(f"tms_{place.op.name.lower()}_int8", *dense_arguments(place), f"&{place.symbol('p')}")
    return Lowered(body, INT8, statics=statics, in_place=(0,))


def softmax(place: Place) -> Lowered:
    """SOFTMAX on int8 with int8 or int16 output, whose scale and zero point the runtime prescribes."""
    rows, classes = _rows(place, LARGEST_ROW)
    output = place.output()
    low, high = INTEGER_RANGES[output.dtype]
    scale, zero_point = place.scale(output)
    if zero_point != low or abs(scale * (high - low + 1) - 1) > (0 if output.dtype == "int8" else 1e-3):
        raise place.unsupported(f"an output of scale {scale:g} from {zero_point}, not 1/{high - low + 1} from {low}")
    try:
        constants = softmax_constants(float(place.option("beta", 1.0)), quantization(place, place.input(0))[0])
    except ModelFileError as error:
        raise place.unsupported(str(error)) from None
    kernel = "tms_softmax_int8" if output.dtype == "int8" else "tms_softmax_int8_int16"
    body = call(kernel, place.target(), place.source(0), rows, classes, f"&{place.symbol('p')}")
    in_place = (0,) if output.dtype == "int8" else ()
    return Lowered(body, INT8, statics=_record(place, constants, 0), in_place=in_place)


def curve_float(place: Place) -> Lowered:
    """LOGISTIC and TANH on real numbers."""
    body = call(f"tms_{place.op.name.lower()}_float", *dense_arguments(place))
    return Lowered(body, FLOAT, in_place=(0,))


def softmax_float(place: Place) -> Lowered:
    """SOFTMAX on real numbers."""
    arguments = (*_rows(place, 2**24), c_float(place.option("beta", 0.0)))
    return Lowered(call("tms_softmax_float", place.target(), place.source(0), *arguments), FLOAT, in_place=(0,))


def _rows(place: Place, most: int) -> tuple[int, int]:
    """(rows, elements of a row)."""
    shape, count = place.input(0).shape, dense_arguments(place)[2]
    if not shape or not 1 <= shape[-1] <= most:
        raise place.unsupported(f"rows of its shape {list(shape)}, not of 1 to {most} elements")
    return count // shape[-1], shape[-1]


def _record(place: Place, constants: TableConstants, zero_point: int) -> str:
    """Beyond a shift of 30 the radius lets no value but 0 pass, which no shift changes."""
    fields = {
        "zero_point": zero_point,
        "multiplier": constants.multiplier,
        "left_shift": min(constants.left_shift, LARGEST_SHIFT),
        "radius": min(constants.radius, 2**15),
    }
    return record(place, "tms_curve", fields)


_REAL = ("float32", "float32")
_CURVE = by_types({("int8", "int8"): curve, _REAL: curve_float})
LOWER: dict[str, Lower] = {
    "SOFTMAX": by_types({("int8", "int8"): softmax, ("int8", "int16"): softmax, _REAL: softmax_float}),
    "LOGISTIC": _CURVE,
    "TANH": _CURVE,
}
