"""QUANTIZE and DEQUANTIZE: between real numbers and codes, and between codes of two scales."""

from __future__ import annotations

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import by_types, call, dense_arguments, quantization, ratio, record
from tinymlsec.emulate.codegen.text import c_float
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES

KERNELS = ("quantize",)


def conversion(place: Place, low: int | None = None) -> Lowered:
    """Codes to codes of another scale or type.

    Args:
        place: the operator.
        low: smallest code of the result, where it is not that of its type.
    """
    source, target = place.input(0), place.output()
    (si, zi), (so, zo) = quantization(place, source), quantization(place, target)
    lowest, highest = INTEGER_RANGES[target.dtype]
    factor, shift = ratio(place, si, so)
    fields = {
        "input_zero_point": zi,
        "multiplier": factor,
        "shift": shift,
        "zero_point": zo,
        "low": lowest if low is None else low,
        "high": highest,
    }
    kernel = f"tms_quantize_{source.dtype}_{target.dtype}"
    body = call(kernel, *dense_arguments(place), f"&{place.symbol('p')}")
    return Lowered(body, KERNELS, statics=record(place, "tms_conversion", fields), in_place=_in_place(place))


def _in_place(place: Place) -> tuple[int, ...]:
    return (0,) if place.bytes(place.input(0)) == place.bytes(place.output()) else ()


def from_float(place: Place) -> Lowered:
    """Real numbers to codes."""
    scale, zero_point = quantization(place, place.output())
    if not 0 < scale < float("inf"):
        raise place.unsupported(f"scale {scale} of its output")
    kernel = f"tms_quantize_float_{place.output().dtype}"
    return Lowered(call(kernel, *dense_arguments(place), c_float(scale), zero_point), KERNELS)


def dequantize(place: Place) -> Lowered:
    """Codes to real numbers."""
    scale, zero_point = quantization(place, place.input(0))
    kernel = f"tms_dequantize_{place.input(0).dtype}"
    return Lowered(call(kernel, *dense_arguments(place), c_float(scale), zero_point), KERNELS)


PAIRS = (
    ("int8", "int8"),
    ("int8", "uint8"),
    ("int8", "int16"),
    ("uint8", "int8"),
    ("int16", "int8"),
    ("int16", "int16"),
)
LOWER: dict[str, Lower] = {
    "QUANTIZE": by_types(
        {**dict.fromkeys(PAIRS, conversion), **{("float32", kind): from_float for kind in ("int8", "int16")}}
    ),
    "DEQUANTIZE": by_types({(kind, "float32"): dequantize for kind in ("int8", "uint8", "int16")}),
}
