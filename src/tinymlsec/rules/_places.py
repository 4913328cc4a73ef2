"""Where things of a model file lie, as locations of findings, and short words for them."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.errors import ModelFileError
from tinymlsec.records import Location
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph, Tensor


def model_of(file: ModelFile) -> Model:
    """The graph of a file that was read; rules outside of STRUCT and IDX are only given such files."""
    assert file.model is not None
    return file.model


def operators(file: ModelFile) -> Iterator[tuple[Subgraph, Operator]]:
    """Every operator with its subgraph, in file order."""
    for graph in model_of(file).subgraphs:
        for op in graph.operators:
            yield graph, op


def at_operator(model: Model, graph: Subgraph, op: Operator, tensor: int | None = None) -> Location:
    """The operator's table in the file."""
    return Location(file_offset=op.offset, subgraph=_number(model, graph), op=op.index, tensor=tensor)


def at_tensor(model: Model, graph: Subgraph, tensor: Tensor) -> Location:
    """The tensor's table in the file."""
    return Location(file_offset=tensor.offset, subgraph=_number(model, graph), tensor=tensor.index)


def at_buffer(model: Model, index: int, within: int = 0, tensor: int | None = None) -> Location:
    """A byte of a constant; of the file's start where the buffer is empty."""
    offset = model.buffers[index].offset
    return Location(file_offset=None if offset is None else offset + within, tensor=tensor)


def _number(model: Model, graph: Subgraph) -> int | None:
    return graph.index if len(model.subgraphs) > 1 else None


def op_words(op: Operator) -> str:
    """Such as ``operator 3 (CONV_2D)``."""
    return f"operator {op.index} ({op.label[:40]})"


def tensor_words(tensor: Tensor) -> str:
    """Such as ``tensor 7 ("dense/bias")``."""
    return f'tensor {tensor.index} ("{tensor.name[:60]}")' if tensor.name else f"tensor {tensor.index}"


def refusal(error: ModelFileError | None, rule_id: str) -> Iterator[Hit]:
    """The reader's own words, where it refused the file for what this rule is about."""
    if error is None or error.rule != rule_id:
        return
    said = [f"{error.message[:1].upper()}{error.message[1:]}."]
    if error.found is not None:
        said.append(f"Found: {error.found}.")
    if error.expected is not None:
        said.append(f"Expected: {error.expected}.")
    yield Hit(" ".join(said), Location(file_offset=error.offset))
