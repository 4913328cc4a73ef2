"""How much of a given model lies in an image without its file: weights compiled into C arrays, perhaps rearranged.

Each constant is looked for byte by byte: as the file has it, with 128 added (uint8 for int8), and with its dimensions
in every other order, as code generators lay weights out. Eight bytes that lie on a multiple of eight in the image are
the unit: every stretch of 15 or more equal bytes holds one, so constants that were cut into rows or padded count too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, permutations

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.runs import Run
from tinymlsec.target.tflite.graph import Model, Tensor
from tinymlsec.target.tflite.schema import element_dtype

GRAM = 8
"""Bytes that are compared at once."""
_DISTINCT = 4
"""Different bytes that eight must have; zeros and fill bytes are everywhere and tell nothing."""
MAX_CONSTANTS = 4_096
_ENOUGH = 0.9
"""Share of a constant that ends the search for other forms of it."""
_MOST_ORDERS = 24


@dataclass(frozen=True)
class Constant:
    """What was found of one constant."""

    tensor: int
    name: str
    size: int
    """Bytes of it that tell something: places in stretches of eight with four or more different values."""
    found: int
    """Such bytes that lie in the image."""
    address: int | None
    """Of the first stretch that was found."""
    form: str
    """How it lies there: ``as in the file``, ``128 added`` or ``dimensions in the order 3,0,1,2``."""


@dataclass(frozen=True)
class Located:
    """What was found of a model's constants."""

    constants: tuple[Constant, ...]

    @property
    def size(self) -> int:
        """Bytes that could be looked for."""
        return sum(each.size for each in self.constants)

    @property
    def found(self) -> int:
        """Bytes that were found."""
        return sum(each.found for each in self.constants)

    @property
    def share(self) -> float:
        """Share that was found, 0 to 1; 0 where nothing could be looked for."""
        return self.found / self.size if self.size else 0.0


class Grams:
    """Stretches of eight bytes of an image, sorted.

    Args:
        runs: of the image.
    """

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self._runs = runs

    @cached_property
    def bytes(self) -> NDArray[np.uint8]:
        """All runs, one behind the other, each filled up to a multiple of eight."""
        parts = [run.data + bytes(-len(run.data) % GRAM + GRAM) for run in self._runs]
        return np.frombuffer(b"".join(parts) or bytes(GRAM), np.uint8)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        words = self.bytes.view("<u8")
        order = np.argsort(words, kind="stable")
        return words[order], order.astype(np.int64) * GRAM

    def places(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Place of each word in `bytes`, -1 where it is nowhere."""
        known, at = self._sorted
        found = np.searchsorted(known, words)
        found[found == len(known)] = 0
        return np.where(known[found] == words, at[found], -1)

    def address(self, place: int) -> int:
        """Load address of a place in `bytes`."""
        for run in self._runs:
            size = len(run.data) + -len(run.data) % GRAM + GRAM
            if place < size:
                return run.address + place
            place -= size
        return 0


def locate(model: Model, grams: Grams, budget: Budget) -> Located:
    """Looks for the constants of a model.

    Args:
        model: the graph, with its constants.
        grams: of the image.
        budget: ends the search; constants that were not looked for count as not found, and that is noted.
    """
    found = []
    for tensor, data in islice(_constants(model), MAX_CONSTANTS):
        informative = _informative(data)
        if informative.any():
            late = budget.ended("weights of a given model in the image")
            found.append(_best(tensor, data, informative, grams, late))
    return Located(tuple(found))


def _constants(model: Model) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
    """Weights, biases and other constants that operators take, each buffer once."""
    seen: set[int] = set()
    for graph in model.subgraphs:
        for index in sorted({i for op in graph.operators for i in op.inputs if i >= 0}):
            tensor = graph.tensors[index]
            data = model.buffers[tensor.buffer].data
            if len(data) >= 2 * GRAM and tensor.buffer not in seen and not tensor.sparse:
                seen.add(tensor.buffer)
                yield tensor, np.frombuffer(data, np.uint8)


def _words(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The eight bytes from each place on, (n - 7,)."""
    whole = np.ascontiguousarray(data)
    words: NDArray[np.uint64] = np.ndarray((len(whole) - GRAM + 1,), "<u8", whole.data, 0, (1,))
    return words.copy()


def _informative(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which stretches of eight bytes have several different values, (n - 7,)."""
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(data, GRAM), axis=1)
    flags: NDArray[np.bool_] = (np.diff(windows, axis=1) != 0).sum(axis=1) >= _DISTINCT - 1
    return flags


def _best(tensor: Tensor, data: NDArray[np.uint8], telling: NDArray[np.bool_], grams: Grams, late: bool) -> Constant:
    size = int(_spread(telling, len(data)).sum())
    best = Constant(tensor.index, tensor.name, size, 0, None, "")
    for form, bytes_of_it in () if late else _forms(tensor, data):
        found, place = _covered(bytes_of_it, grams)
        if found > best.found:
            best = Constant(tensor.index, tensor.name, size, min(found, size), grams.address(place), form)
        if best.found >= _ENOUGH * size:
            break
    return best


def _forms(tensor: Tensor, data: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    yield "as in the file", data
    element = element_dtype(tensor.dtype)
    if tensor.dtype in ("int8", "uint8"):
        yield "128 added", data ^ np.uint8(0x80)
    shape = tuple(size for size in tensor.shape if size != 1)
    if element is None or not 2 <= len(shape) <= 4 or int(np.prod(shape)) * element.itemsize != len(data):
        return
    values = data.reshape(*shape, element.itemsize)
    for order in islice(permutations(range(len(shape))), 1, _MOST_ORDERS):
        moved = values.transpose(*order, len(shape)).reshape(-1)
        yield f"dimensions in the order {','.join(map(str, order))}", moved


def _covered(data: NDArray[np.uint8], grams: Grams) -> tuple[int, int]:
    """(bytes of the constant that lie in the image, place there of the first stretch)."""
    places = grams.places(_words(data))
    hits = np.flatnonzero((places >= 0) & _informative(data))
    if not len(hits):
        return 0, 0
    at, image, covered = places[hits], grams.bytes, np.zeros(len(data) + 2 * GRAM, np.bool_)
    for offset in range(GRAM):
        covered[hits + offset] = True
    for step, first in ((1, GRAM), (-1, -1)):  # what goes on beyond the stretch, byte by byte
        equal = np.ones(len(hits), np.bool_)
        for k in range(GRAM - 1):
            there, here = at + first + step * k, hits + first + step * k
            inside = (here >= 0) & (here < len(data)) & (there >= 0) & (there < len(image))
            equal &= inside & (image[np.where(inside, there, 0)] == data[np.where(inside, here, 0)])
            covered[here[equal]] = True
    return int((covered[: len(data)] & _spread(_informative(data), len(data))).sum()), int(at[0] - hits[0])


def _spread(flags: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Which bytes lie in a flagged stretch, (size,)."""
    spread = np.zeros(size, np.bool_)
    for offset in range(GRAM):
        spread[offset : offset + len(flags)] |= flags
    return spread
