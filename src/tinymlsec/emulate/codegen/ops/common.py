"""What the families of operators share: choice by types, scales that C can hold, constant records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.text import c_float, c_int
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.graph import Tensor
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, rescale_multiplier

LARGEST_SHIFT = 30
"""To the left; 32-bit arithmetic has no more, and the runtime's result is undefined beyond."""
REAL_LIMIT = float.fromhex("0x1.fffffep+127")
"""The largest float32, at which the runtime clamps where there is no activation."""
REAL_BOUNDS: dict[int, tuple[float, float]] = {
    0: (-REAL_LIMIT, REAL_LIMIT),
    1: (0.0, REAL_LIMIT),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}
"""Fused activations on float32 by their number in the schema."""


def by_types(rows: Mapping[tuple[str, str], Lower], position: int = 0) -> Lower:
    """A lowering that goes by the types of one input and of the first output.

    Args:
        rows: by (input type, output type).
        position: the input.
    """

    def lower(place: Place) -> Lowered:
        types = place.input(position).dtype, place.output().dtype
        if types not in rows:
            raise place.unsupported(f"types {types[0]} -> {types[1]}")
        return rows[types](place)

    return lower


def same_type(place: Place, types: Sequence[str], inputs: Sequence[int], what: str = "values") -> int:
    """Bytes of an element that all these inputs and all outputs have.

    Raises:
        UnsupportedModelError: they differ, or the type is not among those covered.
    """
    found = [place.input(k).dtype for k in inputs] + [place.graph.tensors[t].dtype for t in place.op.outputs]
    if len(set(found)) != 1 or found[0] not in types:
        raise place.unsupported(f"{what} of type {', '.join(dict.fromkeys(found))}")
    return {"int8": 1, "uint8": 1, "int16": 2}.get(found[0], 4)


def quantization(place: Place, tensor: Tensor) -> tuple[float, int]:
    """Per-tensor scale and zero point of a tensor.

    Raises:
        UnsupportedModelError: it has none, or a zero point that its type has no code for.
    """
    scale, zero_point = place.scale(tensor)
    low, high = INTEGER_RANGES[tensor.dtype]
    if not low <= zero_point <= high:
        raise place.unsupported(f"zero point {zero_point} of {tensor.dtype} tensor {tensor.index}")
    return scale, zero_point


def multiplier(place: Place, constants: tuple[int, int]) -> tuple[int, int]:
    """A multiplier and its shift, which must be one that 32-bit arithmetic has.

    Raises:
        UnsupportedModelError: a shift of more than 30 bits to the left.
    """
    if constants[1] > LARGEST_SHIFT:
        raise place.unsupported(f"scales so far apart that its sums are shifted by {constants[1]} bits")
    return constants


def ratio(place: Place, scale: float, output_scale: float) -> tuple[int, int]:
    """Multiplier and shift of ``scale / output_scale``.

    Raises:
        UnsupportedModelError: see `multiplier`; also scales that are not finite and greater than zero.
    """
    try:
        return multiplier(place, rescale_multiplier(scale, output_scale))
    except ModelFileError as error:
        raise place.unsupported(str(error)) from None


def real_bounds(place: Place) -> str:
    """The two C arguments that a float32 kernel clamps its output to.

    Raises:
        UnsupportedModelError: a fused activation that the runtime does not compute here.
    """
    number = int(place.option("fused_activation_function"))
    if number not in REAL_BOUNDS:
        raise place.unsupported(f"fused activation {number}")
    return ", ".join(map(c_float, REAL_BOUNDS[number]))


def record(place: Place, ctype: str, value: Any, kind: str = "p") -> str:
    """A constant record at file scope under the name ``tms_p_<nnn>``; a list makes it an array.

    Args:
        place: the operator.
        ctype: C type of the record.
        value: fields by name; numbers, lists of numbers, or records likewise.
        kind: what stands for the p in the name.
    """
    count = f"[{len(value)}]" if isinstance(value, list) else ""
    return f"static const {ctype} {place.symbol(kind)}{count} = {_initializer(value, 0)};\n"


def _initializer(value: Any, depth: int) -> str:
    if isinstance(value, float):
        return c_float(value)
    if isinstance(value, Mapping):
        lines = (f"{'    ' * (depth + 1)}.{name} = {_initializer(part, depth + 1)},\n" for name, part in value.items())
        return "{\n" + "".join(lines) + "    " * depth + "}"
    if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        lines = (f"{'    ' * (depth + 1)}{_initializer(part, depth + 1)},\n" for part in value)
        return "{\n" + "".join(lines) + "    " * depth + "}"
    if isinstance(value, Sequence):
        return "{" + ", ".join(_initializer(part, depth) for part in value) + "}"
    return c_int(int(value))


def call(kernel: str, *arguments: object) -> str:
    """A call as a statement."""
    return f"{kernel}({', '.join(map(str, arguments))});\n"


def axis_of(place: Place, axis: int, rank: int) -> int:
    """An axis of the file as a number of 0 or more.

    Raises:
        UnsupportedModelError: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise place.unsupported(f"axis {axis} of {rank} dimensions")
    return axis % rank


def dense_arguments(place: Place) -> tuple[str, str, int]:
    """(output, input, number of elements), which is the same for both.

    Raises:
        UnsupportedModelError: it is not.
    """
    count = place.elements(place.input(0))
    if count != place.elements(place.output()):
        raise place.unsupported(f"{count} elements in and {place.elements(place.output())} out")
    return place.target(), place.source(0), count
