"""Finds .tflite models in memory: the identifier at byte 4, then all that the tables reach, read by our own reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinymlsec.emulate.foreign.finder.memory import Block, Memory
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.layout import used_bytes
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.schema import FILE_IDENTIFIER

MAX_HITS = 64
"""Most places that are looked at; the identifier also occurs in code that checks for it."""
MAX_MODEL_BYTES = 16 << 20
"""A model ends at most so far from its first byte."""


@dataclass(frozen=True)
class Blob:
    """A model in memory."""

    address: int
    data: bytes
    """Exactly the bytes that its tables reach."""
    model: Model

    @property
    def end(self) -> int:
        """Address after the last byte that a table refers to."""
        return self.address + len(self.data)


@dataclass(frozen=True)
class NoBlob:
    """A place with the identifier that is no model after all."""

    address: int
    reason: str


def find_blobs(memory: Memory) -> tuple[tuple[Blob, ...], tuple[NoBlob, ...]]:
    """All models in flash and RAM, largest first, and the places that only look like one.

    A copy of a model in RAM (some firmware decompresses or decrypts it there) is one more model.
    """
    blobs: list[Blob] = []
    others: list[NoBlob] = []
    for block, start in _hits(memory):
        found = _read(block, start)
        (blobs if isinstance(found, Blob) else others).append(found)  # type: ignore[arg-type]
    return tuple(sorted(blobs, key=lambda blob: (-len(blob.data), blob.address))), tuple(others)


def _hits(memory: Memory) -> Iterator[tuple[Block, int]]:
    left = MAX_HITS
    for block in memory.blocks:
        at = block.data.find(FILE_IDENTIFIER)
        while at >= 0 and left:
            if at >= 4:
                left -= 1
                yield block, at - 4
            at = block.data.find(FILE_IDENTIFIER, at + 4)


def _read(block: Block, start: int) -> Blob | NoBlob:
    address = block.address + start
    try:
        # The end is not known yet: the tables are walked once in all that follows, then read again in just their bytes.
        size = used_bytes(memoryview(block.data)[start : start + MAX_MODEL_BYTES])
        data = block.data[start : start + size]
        return Blob(address, data, read_model(data))
    except ModelFileError as error:
        return NoBlob(address, error.message)
