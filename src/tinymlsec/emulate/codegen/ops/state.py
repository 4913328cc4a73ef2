"""State that outlives an inference: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE and CALL_ONCE.

Which variable a handle stands for is fixed by the file, so handles take no code and no memory.
"""

from __future__ import annotations

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.emulate.codegen.ops.common import call
from tinymlsec.emulate.codegen.ops.walks import MOVES
from tinymlsec.target.tflite.graph import Tensor

TYPES = ("int8", "int16", "int32", "float32")


def var_handle(place: Place) -> Lowered:
    """VAR_HANDLE: nothing; what the handle stands for is read from the file by the operators that use it."""
    return Lowered("")


def read_variable(place: Place) -> Lowered:
    """READ_VARIABLE: a copy, since the variable may be assigned while its old value is still needed."""
    size = _size(place, place.output())
    return Lowered(call("tms_copy", place.target(), place.variable().pointer, size), MOVES)


def assign_variable(place: Place) -> Lowered:
    """ASSIGN_VARIABLE: replaces the variable's value."""
    size = _size(place, place.input(1))
    return Lowered(call("tms_copy", place.variable().pointer, place.source(1), size), MOVES)


def _size(place: Place, tensor: Tensor) -> int:
    if tensor.dtype not in TYPES or place.bytes(tensor) != place.variable().bytes:
        raise place.unsupported(f"{place.bytes(tensor)} bytes of {tensor.dtype} and {place.variable().bytes} to hold")
    return place.bytes(tensor)


def call_once(place: Place) -> Lowered:
    """CALL_ONCE: nothing here; the generator runs the subgraph before the first inference."""
    number = int(place.option("init_subgraph_index"))
    before = place.graph.operators[: place.op.index]
    if place.graph.index != 0 or not 0 < number < len(place.model.subgraphs):
        raise place.unsupported(f"subgraph {number} called from subgraph {place.graph.index}")
    if any(op.name in ("READ_VARIABLE", "ASSIGN_VARIABLE") for op in before):
        raise place.unsupported("variables are used before they are initialized")
    return Lowered("")


LOWER: dict[str, Lower] = {
    "VAR_HANDLE": var_handle,
    "READ_VARIABLE": read_variable,
    "ASSIGN_VARIABLE": assign_variable,
    "CALL_ONCE": call_once,
}
