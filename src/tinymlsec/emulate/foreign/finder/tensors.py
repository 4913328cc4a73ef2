"""Finds the table of tensors that an interpreter keeps in RAM: rows of (data, dimensions, type), one per tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.foreign.finder.blob import Blob
from tinymlsec.emulate.foreign.finder.memory import WORD, Block, Memory
from tinymlsec.emulate.foreign.finder.runs import runs
from tinymlsec.target.tflite.graph import Tensor
from tinymlsec.target.tflite.schema import byte_size

ROW_WORDS = 3
MAX_CANDIDATES = 256
"""Most places in RAM that are compared with the model in full."""

RUNTIME_TYPES = {
    "float32": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "string": 5,
    "bool": 6,
    "int16": 7,
    "complex64": 8,
    "int8": 9,
    "float16": 10,
    "float64": 11,
    "complex128": 12,
    "uint64": 13,
    "resource": 14,
    "variant": 15,
    "uint32": 16,
    "uint16": 17,
    "int4": 18,
}
"""The runtime's own numbers of types, which are not those of the file's schema."""
_LARGEST_TYPE = 31


@dataclass(frozen=True)
class PlacedTensor:
    """A tensor of the model in memory."""

    index: int
    name: str
    address: int
    """Of its data; 0 where the runtime gave it none."""
    bytes: int
    constant: bool


@dataclass(frozen=True)
class TensorTable:
    """Where the interpreter keeps its tensors."""

    address: int
    tensors: tuple[PlacedTensor, ...]
    agree: int
    """Tensors whose type, dimensions and (for constants) data are those of the model."""

    @property
    def complete(self) -> bool:
        """Every tensor agrees with the model."""
        return self.agree == len(self.tensors)


@dataclass(frozen=True)
class Arena:
    """The part of RAM that computed tensors share."""

    address: int
    end: int

    @property
    def bytes(self) -> int:
        """From the first to the last byte of a tensor."""
        return self.end - self.address


def find_tensors(memory: Memory, blob: Blob, subgraph: int = 0) -> TensorTable | None:
    """The table of a model's tensors, or None.

    Every run of rows that is long enough is compared with the model at each of its places; the one that agrees in most
    tensors wins, and at least three of four must agree: a table of something else fits by chance in very few.

    Args:
        memory: RAM as it is after start-up.
        blob: the model.
        subgraph: which of its graphs.
    """
    tensors = blob.model.subgraphs[subgraph].tensors
    if not tensors:
        return None
    best: TensorTable | None = None
    for block, place in _candidates(memory, len(tensors)):
        table = _compare(memory, block, place, blob, tensors)
        if best is None or table.agree > best.agree:
            best = table
    return best if best is not None and 4 * best.agree >= 3 * len(tensors) else None


def find_arena(table: TensorTable, memory: Memory) -> Arena | None:
    """The range of addresses of computed tensors in RAM. What the interpreter keeps beside them is not in it."""
    inside = [t for t in table.tensors if not t.constant and any(b.address <= t.address < b.end for b in memory.ram)]
    if not inside:
        return None
    return Arena(min(t.address for t in inside), max(t.address + t.bytes for t in inside))


def _candidates(memory: Memory, count: int) -> Iterator[tuple[Block, int]]:
    """(block, first word) of every place where `count` rows of the right form follow each other.

    Exact lengths come first: a longer run is the table with more rows beside it that fit by chance.
    """
    found = [
        (rows - count, block, first + ROW_WORDS * shift)
        for block in memory.ram
        for first, rows in runs(_row_starts(memory, block.words), ROW_WORDS, count)
        for shift in range(min(rows - count + 1, MAX_CANDIDATES))
    ]
    found.sort(key=lambda entry: (entry[0], entry[1].address, entry[2]))
    for _, block, place in found[:MAX_CANDIDATES]:
        yield block, place


def _row_starts(memory: Memory, words: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which words a row can start at: data may be missing (0), dimensions never are, the type is a small number.

    Only the type's lowest byte is looked at: compilers for bare metal give such an enumeration one byte.
    """
    count = len(words) - ROW_WORDS + 1
    if count <= 0:
        return np.zeros(0, np.bool_)
    pointer = memory.is_pointer(words)
    kind = words[2 : 2 + count] & np.uint32(0xFF)
    data = pointer[:count] | (words[:count] == 0)
    dims = pointer[1 : 1 + count] & ((words[1 : 1 + count] & 3) == 0)
    good: NDArray[np.bool_] = data & dims & (kind >= 1) & (kind <= _LARGEST_TYPE)
    return good


def _compare(memory: Memory, block: Block, place: int, blob: Blob, tensors: tuple[Tensor, ...]) -> TensorTable:
    rows = block.words[place : place + ROW_WORDS * len(tensors)].reshape(-1, ROW_WORDS).tolist()
    placed, agree = [], 0
    for tensor, (data, dims, kind) in zip(tensors, rows, strict=True):
        buffer = blob.model.buffers[tensor.buffer]
        constant = len(buffer.data) > 0
        placed.append(PlacedTensor(tensor.index, tensor.name, data, tensor_bytes(tensor), constant))
        agree += (
            RUNTIME_TYPES.get(tensor.dtype) == kind & 0xFF
            and _dimensions(memory, dims) == tensor.shape
            and (not constant or memory.read(data, min(len(buffer.data), 64)) == bytes(buffer.data[:64]))
        )
    return TensorTable(block.first_word + WORD * place, tuple(placed), agree)


def _dimensions(memory: Memory, address: int) -> tuple[int, ...] | None:
    """The runtime's array of integers: a length, then as many numbers."""
    head = memory.words_at(address, 1)
    if not head or head[0] > 8:
        return None
    return memory.words_at(address + WORD, head[0])


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor by its shape; 0 for types without a fixed size."""
    return byte_size(tensor.dtype, math.prod(tensor.shape)) or 0
