"""ADD, SUB and MUL with broadcasting, on int8 and float32."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import (
    by_types,
    call,
    multiplier,
    quantization,
    real_bounds,
    record,
    same_type,
)
from tinymlsec.emulate.codegen.ops.walks import broadcast, walk
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.requant_ops import add_constants, multiply_multiplier

INT8 = ("elementwise",)
FLOAT = ("float_ops",)
MOST_DIMENSIONS = 4
"""To which the runtime broadcasts on float32."""


def lower_sum(place: Place) -> Lowered:
    """ADD and SUB: both operands are brought to a common scale, then their sum to the output's."""
    (s1, z1), (s2, z2), (so, zo) = _quantizations(place)
    try:
        c = asdict(add_constants(s1, s2, so))
    except ModelFileError as error:
        raise place.unsupported(str(error)) from None
    low, high = place.activation_bounds()
    fields = {
        "walk": _walk(place),
        "a": _operand(z1, c["input1_multiplier"], c["input1_shift"]),
        "b": _operand(z2, c["input2_multiplier"], c["input2_shift"]),
        "left_shift": c["left_shift"],
        "output": _operand(zo, c["output_multiplier"], c["output_shift"]),
        "low": low,
        "high": high,
    }
    kernel = "tms_add_int8" if place.op.name == "ADD" else "tms_sub_int8"
    return _lowered(place, kernel, record(place, "tms_sum", fields))


def lower_product(place: Place) -> Lowered:
    """MUL: the product of both operands, requantized once."""
    (s1, z1), (s2, z2), (so, zo) = _quantizations(place)
    try:
        constants = multiplier(place, multiply_multiplier(s1, s2, so))
    except ModelFileError as error:
        raise place.unsupported(str(error)) from None
    low, high = place.activation_bounds()
    fields = {
        "walk": _walk(place),
        "a_zero_point": z1,
        "b_zero_point": z2,
        "output": _operand(zo, *constants),
        "low": low,
        "high": high,
    }
    return _lowered(place, "tms_mul_int8", record(place, "tms_product", fields))


def lower_float(kernel: str, place: Place) -> Lowered:
    """Either on float32."""
    same_type(place, ("float32",), [0, 1], "operands")
    if len(place.output().shape) > MOST_DIMENSIONS and place.input(0).shape != place.input(1).shape:
        raise place.unsupported(f"broadcasting over {len(place.output().shape)} dimensions")
    sources = place.source(0), place.source(1)
    body = call(kernel, place.target(), *sources, f"&{place.symbol('p')}", real_bounds(place))
    return Lowered(body, FLOAT, statics=record(place, "tms_walk", _walk(place)), in_place=_dense_operands(place))


def _lowered(place: Place, kernel: str, statics: str) -> Lowered:
    same_type(place, ("int8",), [0, 1], "operands")
    body = call(kernel, place.target(), place.source(0), place.source(1), f"&{place.symbol('p')}")
    return Lowered(body, INT8, statics=statics, in_place=_dense_operands(place))


def _quantizations(place: Place) -> tuple[tuple[float, int], tuple[float, int], tuple[float, int]]:
    same_type(place, ("int8",), [0, 1], "operands")
    first, second = quantization(place, place.input(0)), quantization(place, place.input(1))
    return first, second, quantization(place, place.output())


def _operand(zero_point: int, factor: int, shift: int) -> dict[str, int]:
    return {"zero_point": zero_point, "multiplier": factor, "shift": shift}


def _walk(place: Place) -> dict[str, list[int]]:
    shape = place.output().shape
    first, second = (broadcast(place, place.input(k).shape, shape) for k in (0, 1))
    return walk(place, list(zip(shape, first, second, strict=True)))


def _dense_operands(place: Place) -> tuple[int, ...]:
    """Operands that are not broadcast: the result may be written over them."""
    return tuple(k for k in (0, 1) if place.elements(place.input(k)) == place.elements(place.output()))


INTEGER, REAL = ("int8", "int8"), ("float32", "float32")
LOWER: dict[str, Lower] = {
    "ADD": by_types({INTEGER: lower_sum, REAL: partial(lower_float, "tms_add_float")}),
    "SUB": by_types({INTEGER: lower_sum, REAL: partial(lower_float, "tms_sub_float")}),
    "MUL": by_types({INTEGER: lower_product, REAL: partial(lower_float, "tms_mul_float")}),
}
