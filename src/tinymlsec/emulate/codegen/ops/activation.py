"""Activations of their own on int8 and float32: RELU, RELU6 and LEAKY_RELU."""

from __future__ import annotations

from functools import partial

import numpy as np

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import (
    REAL_BOUNDS,
    by_types,
    call,
    dense_arguments,
    multiplier,
    quantization,
    ratio,
    record,
)
from tinymlsec.emulate.codegen.ops.quantize import conversion
from tinymlsec.emulate.codegen.text import c_float
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.requant_ops import activation_range, leaky_relu_multiplier

INT8 = ("activation",)
FLOAT = ("float_ops",)
RELU, RELU6 = 1, 3
"""Numbers in the schema."""


def relu(place: Place) -> Lowered:
    """RELU: rescaled to the output's scale, clamped at its zero point."""
    return conversion(place, low=quantization(place, place.output())[1])


def relu6(place: Place) -> Lowered:
    """RELU6: TensorFlow Lite Micro clamps the input's codes on the input's scale and never looks at the output's."""
    try:
        low, high = activation_range(RELU6, "int8", *quantization(place, place.input(0)))
    except ModelFileError as error:
        raise place.unsupported(str(error)) from None
    body = call("tms_clamp_int8", *dense_arguments(place), low, high)
    return Lowered(body, INT8, in_place=(0,))


def leaky_relu(place: Place) -> Lowered:
    """LEAKY_RELU: another multiplier below the zero point, by the magnitude of the slope; then its sign."""
    (si, zi), (so, zo) = quantization(place, place.input(0)), quantization(place, place.output())
    alpha = float(np.float32(place.option("alpha", 0.0)))
    above = ratio(place, si, so)
    below = multiplier(place, leaky_relu_multiplier(si, abs(alpha), so))
    fields = {
        "input_zero_point": zi,
        "multiplier": above[0],
        "shift": above[1],
        "below_multiplier": below[0],
        "below_shift": below[1],
        "below_sign": -1 if alpha < 0 else 1,
        "zero_point": zo,
        "low": -128,
        "high": 127,
    }
    body = call("tms_leaky_int8", *dense_arguments(place), f"&{place.symbol('p')}")
    return Lowered(body, INT8, statics=record(place, "tms_slopes", fields), in_place=(0,))


def clamp_float(number: int, place: Place) -> Lowered:
    """RELU and RELU6 on real numbers."""
    body = call("tms_clamp_float", *dense_arguments(place), *map(c_float, REAL_BOUNDS[number]))
    return Lowered(body, FLOAT, in_place=(0,))


def leaky_float(place: Place) -> Lowered:
    """LEAKY_RELU on real numbers."""
    body = call("tms_leaky_float", *dense_arguments(place), c_float(place.option("alpha", 0.0)))
    return Lowered(body, FLOAT, in_place=(0,))


INTEGER, REAL = ("int8", "int8"), ("float32", "float32")
LOWER: dict[str, Lower] = {
    "RELU": by_types({INTEGER: relu, REAL: partial(clamp_float, RELU)}),
    "RELU6": by_types({INTEGER: relu6, REAL: partial(clamp_float, RELU6)}),
    "LEAKY_RELU": by_types({INTEGER: leaky_relu, REAL: leaky_float}),
}
