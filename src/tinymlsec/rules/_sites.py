"""Operators of a model as rules look at them: options, inputs and constants that answer None instead of failing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.records import Location
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph, Tensor
from tinymlsec.target.tflite.op_options import options_table

MAX_CONSTANT = 65_536
"""Elements of a constant that steers an operator which rules look at; real ones have fewer than ten, indices more."""

WORK_FLOOR, WORK_FACTOR = 1 << 22, 16
"""Bytes that rules of this kind may read: four megabytes, and each byte of the file sixteen times."""


class Work:
    """Values that rules may still look at in one file.

    Thousands of operators can share one large constant, so that a small file asks for hours of comparing. Honest files
    are looked at once a rule. What is beyond counts as unknown.
    """

    def __init__(self, file_bytes: int) -> None:
        self.left = WORK_FLOOR + WORK_FACTOR * file_bytes

    def take(self, count: int) -> bool:
        """Whether that many more values may be looked at."""
        self.left -= count
        return self.left >= 0


@dataclass(frozen=True)
class Site:
    """One operator and where it stands."""

    model: Model
    graph: Subgraph
    op: Operator
    work: Work

    @property
    def key(self) -> tuple[int, int]:
        """(subgraph, operator), as in `ModelFile.noted`."""
        return self.graph.index, self.op.index

    @property
    def title(self) -> str:
        """For messages."""
        return f"operator {self.op.index} ({self.op.label[:80]})"

    def has_options(self) -> bool:
        """Whether it has the options table of its operator; what it lacks runtimes take as zero."""
        return self.op.options_type == options_table(self.op.name)

    def option(self, name: str) -> int | None:
        """An integer option; None without the operator's options table."""
        value = self.op.options.get(name)
        return int(value) if isinstance(value, int) and self.has_options() else None

    def tensor(self, position: int) -> Tensor | None:
        """An input; None where it is absent."""
        inputs = self.op.inputs
        return self._at(inputs[position]) if position < len(inputs) else None

    def output(self, position: int = 0) -> Tensor | None:
        """An output; None where there is none."""
        outputs = self.op.outputs
        return self._at(outputs[position]) if position < len(outputs) else None

    def _at(self, index: int) -> Tensor | None:
        return self.graph.tensors[index] if 0 <= index < len(self.graph.tensors) else None

    def shape(self, position: int) -> tuple[int, ...] | None:
        """Declared shape of an input."""
        tensor = self.tensor(position)
        return None if tensor is None else tensor.shape

    def values(self, position: int, most: int = MAX_CONSTANT) -> NDArray[Any] | None:
        """Values of a constant input in a row; None where it is computed, absent, damaged or longer than `most`."""
        tensor = self.tensor(position)
        return None if tensor is None else constant_values(self.model, tensor, self.work, most)

    def ints(self, position: int, most: int = MAX_CONSTANT) -> NDArray[np.int64] | None:
        """As `values`, of an integer tensor."""
        array = self.values(position, most)
        return array.astype(np.int64) if array is not None and array.dtype.kind in "iu" else None

    def is_constant(self, position: int) -> bool:
        """Whether an input has bytes in the file."""
        tensor = self.tensor(position)
        return tensor is not None and len(self.model.buffers[tensor.buffer].data) > 0

    def where(self, position: int | None = None, element: int | None = None) -> Location:
        """The operator's place; with a position the input tensor's, with an element that value's byte in the file."""
        tensor = None if position is None else self.tensor(position)
        offset = self.op.offset
        if tensor is not None and position is not None:
            offset = tensor.offset
            if element is not None:
                offset = self._element(tensor, element)
        return Location(
            file_offset=offset,
            subgraph=subgraph_of(self.model, self.graph),
            op=self.op.index,
            tensor=None if tensor is None else tensor.index,
        )

    def _element(self, tensor: Tensor, element: int) -> int | None:
        buffer = self.model.buffers[tensor.buffer]
        count = max(int(np.prod(tensor.shape, dtype=np.int64)), 1)
        return tensor.offset if buffer.offset is None else buffer.offset + element * (len(buffer.data) // count)


def subgraph_of(model: Model, graph: Subgraph) -> int | None:
    """`Location.subgraph`: None where the model has only one."""
    return graph.index if len(model.subgraphs) > 1 else None


def tensor_location(model: Model, graph: Subgraph, tensor: Tensor) -> Location:
    """Place of a tensor's table."""
    return Location(file_offset=tensor.offset, subgraph=subgraph_of(model, graph), tensor=tensor.index)


def constant_values(model: Model, tensor: Tensor, work: Work, most: int = MAX_CONSTANT) -> NDArray[Any] | None:
    """Values of a constant tensor in a row; None where it is computed, damaged, longer than `most` or too much work."""
    held = len(model.buffers[tensor.buffer].data)
    if not held or len(tensor.shape) > 8 or held > 8 * most or not work.take(held):
        return None
    try:
        array = constant(model, tensor)
    except ModelFileError:
        return None
    return None if array is None or array.size > most else array.reshape(-1)


def sites(file: ModelFile, *names: str) -> Iterator[Site]:
    """Operators of a model by builtin name, in file order; all of them without a name.

    Operators that an earlier family has named are left out.
    """
    index = _index(file)
    chosen = [site for name in names for site in index.get(name, ())] if names else index[""]
    yield from (site for site in chosen if site.key not in file.noted)


def site_of(file: ModelFile, graph: Subgraph, op: Operator) -> Site:
    """One operator of a file that was read."""
    assert file.model is not None
    return Site(file.model, graph, op, work_of(file))


def work_of(file: ModelFile) -> Work:
    """What is left of the file's work."""
    work: Work = file.memo.setdefault("sites.work", Work(len(file.data)))
    return work


def _index(file: ModelFile) -> dict[str, list[Site]]:
    if "sites" not in file.memo:
        found: dict[str, list[Site]] = {"": []}
        for graph in file.model.subgraphs if file.model is not None else ():
            for op in graph.operators:
                site = site_of(file, graph, op)
                found.setdefault(op.name, []).append(site)
                found[""].append(site)
        file.memo["sites"] = found
    index: dict[str, list[Site]] = file.memo["sites"]
    return index
