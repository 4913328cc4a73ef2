"""State that outlives an inference: which variables a model has, how large they are, what they start from."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.emulate.codegen.lowering import Variable
from tinymlsec.errors import UnsupportedModelError
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph, Tensor
from tinymlsec.target.tflite.schema import byte_size

Key = tuple[str, str]
"""Container and shared name."""


def handles(graph: Subgraph) -> dict[int, Key]:
    """Which variable each handle of a subgraph stands for, by the tensor that holds it."""
    return {op.outputs[0]: _key(op) for op in graph.operators if op.name == "VAR_HANDLE" and op.outputs}


def variables(model: Model) -> dict[Key, Variable]:
    """All variables that an operator reads or assigns, in the order of the file.

    Before it is assigned, every byte of a variable is the zero point of the first tensor that the file assigns to it,
    as in the runtime.

    Raises:
        UnsupportedModelError: tensors of two sizes go in and out of one variable, or it is read and never assigned.
    """
    found: dict[Key, Variable] = {}
    for key, tensor, assigned in _uses(model):
        size = byte_size(tensor.dtype, _elements(tensor))
        known = found.get(key)
        if size is None or (known is not None and known.bytes != size):
            raise _refuse(key, "holds tensors of two sizes, or of no fixed size")
        if known is None or (assigned and known.fill < 0):
            pointer = known.pointer if known is not None else f"tms_v{len(found)}"
            found[key] = Variable(pointer, size, _fill(tensor) if assigned else -1, key[1])
    for key, variable in found.items():
        if variable.fill < 0:
            raise _refuse(key, "is read and never assigned")
    return found


def _uses(model: Model) -> Iterator[tuple[Key, Tensor, bool]]:
    for graph in model.subgraphs:
        known = handles(graph)
        for op in graph.operators:
            if op.name == "ASSIGN_VARIABLE" and len(op.inputs) == 2 and op.inputs[0] in known and op.inputs[1] >= 0:
                yield known[op.inputs[0]], graph.tensors[op.inputs[1]], True
            if op.name == "READ_VARIABLE" and len(op.inputs) == 1 and op.inputs[0] in known and op.outputs:
                yield known[op.inputs[0]], graph.tensors[op.outputs[0]], False


def _key(op: Operator) -> Key:
    return str(op.options.get("container") or ""), str(op.options.get("shared_name") or "")


def _elements(tensor: Tensor) -> int:
    count = 1
    for dimension in tensor.shape:
        count *= max(dimension, 0)
    return count


def _fill(tensor: Tensor) -> int:
    q = tensor.quantization
    return int(q.zero_point[0]) & 0xFF if q is not None and q.zero_point.size else 0


def _refuse(key: Key, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"no C is generated for variable {key[1][:80]}: it {why}",
        next_step="attacks that only ask the runtime still work; those on generated firmware do not",
    )
