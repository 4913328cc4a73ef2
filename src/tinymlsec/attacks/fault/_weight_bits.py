"""Where in a model file the bits of the weights lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec._lazy import np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.target.tflite.graph import Model, Tensor

WIDTHS = {
    "int4": 4,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "float16": 16,
    "bfloat16": 16,
    "int32": 32,
    "float32": 32,
    "int64": 64,
    "float64": 64,
}
"""Bits of one value. Wide integers are biases: int32 beside int8 weights, int64 beside int16 activations."""


@dataclass(frozen=True)
class WeightBits:
    """The bits of a set of constants as one row, numbered from 0 to total - 1."""

    starts: NDArray[np.int64]
    """(tensors,) position in the file of each tensor's first bit: 8 x byte + bit, bit 0 the least significant."""
    lengths: NDArray[np.int64]
    """(tensors,) bits of each tensor."""
    widths: NDArray[np.int64]
    """(tensors,) bits of one value of each tensor."""

    @property
    def total(self) -> int:
        """Number of bits."""
        return int(self.lengths.sum())

    def draw(self, rng: Generator, count: int) -> NDArray[np.int64]:
        """File positions of `count` different bits in random order, every bit being equally likely."""
        return self.positions(rng.choice(self.total, size=count, replace=False))

    def positions(self, bits: NDArray[np.int64]) -> NDArray[np.int64]:
        """File positions of the given bits of the row."""
        ends = np.cumsum(self.lengths)
        tensor = np.searchsorted(ends, bits, side="right")
        return self.starts[tensor] + bits - (ends - self.lengths)[tensor]

    def most_significant(self) -> NDArray[np.int64]:
        """File positions of the most significant bit (the sign, where there is one) of every value."""
        parts = [
            start + np.arange(width - 1, length, width)
            for start, length, width in zip(self.starts, self.lengths, self.widths, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def weight_bits(model: Model, *, biases: bool = False) -> WeightBits:
    """The bits of all weights of a model that was read from a file.

    Args:
        model: as read.
        biases: take the biases too.
    """
    places: dict[int, tuple[int, int, int]] = {}
    for tensor in _weights(model, biases):
        buffer = model.buffers[tensor.buffer]
        width = WIDTHS.get(tensor.dtype)
        if width is None or buffer.offset is None or tensor.sparse:
            continue
        length = min(8 * len(buffer.data), width * math.prod(tensor.shape))
        if length:
            places.setdefault(tensor.buffer, (8 * buffer.offset, length, width))
    columns = np.array(list(places.values()), dtype=np.int64).reshape(-1, 3)
    return WeightBits(columns[:, 0], columns[:, 1], columns[:, 2])


def _weights(model: Model, biases: bool) -> Iterator[Tensor]:
    """Constants that operators with weights take: matrices and filters, and vectors where biases are asked for.

    A vector in the first place is never a bias: TRANSPOSE_CONV keeps its output shape there.
    """
    from tinymlsec.target.tflite.numeric import DATA_AND_WEIGHTS

    for graph in model.subgraphs:
        for op in graph.operators:
            if op.name not in DATA_AND_WEIGHTS:
                continue
            for place, index in enumerate(op.inputs):
                if index < 0 or place == DATA_AND_WEIGHTS[op.name][0] or graph.tensors[index].is_variable:
                    continue
                rank = len(graph.tensors[index].shape)
                if rank >= 2 or (biases and rank == 1 and place > 0):
                    yield graph.tensors[index]
