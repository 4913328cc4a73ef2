"""Bytes of a device at their addresses, as the finder sees them: flash from the image, RAM as it is after start-up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

WORD = 4
MAX_BLOCK_BYTES = 64 << 20
"""Largest block that is searched; microcontrollers have less."""


@dataclass(frozen=True)
class Block:
    """A stretch of memory."""

    address: int
    data: bytes
    executable: bool = False

    @property
    def end(self) -> int:
        """Address after the last byte."""
        return self.address + len(self.data)

    @cached_property
    def words(self) -> NDArray[np.uint32]:
        """The 32-bit words at the addresses that are multiples of four."""
        skip = -self.address % WORD
        count = max(len(self.data) - skip, 0) // WORD
        return np.frombuffer(self.data, "<u4", count, skip if count else 0)

    @property
    def first_word(self) -> int:
        """Address of the first of `words`."""
        return self.address + -self.address % WORD


@dataclass(frozen=True)
class Memory:
    """What is known of a device's memory: flash (what the image holds) and RAM."""

    flash: tuple[Block, ...]
    ram: tuple[Block, ...] = field(default=())
    thumb: bool = True
    """Code pointers have bit 0 set (Arm); False: they are even (RISC-V)."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All of them."""
        return self.flash + self.ram

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address, fewer where the block ends, none where there is no block."""
        for block in self.blocks:
            if block.address <= address < block.end:
                start = address - block.address
                return block.data[start : start + max(size, 0)]
        return b""

    def words_at(self, address: int, count: int) -> tuple[int, ...]:
        """32-bit words at an address; fewer where memory ends."""
        data = self.read(address, WORD * min(max(count, 0), 1 << 16))
        return tuple(int(word) for word in np.frombuffer(data, "<u4", len(data) // WORD))

    def is_pointer(self, words: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which words are addresses in known memory."""
        return _inside(words, self.blocks)

    def is_code(self, words: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which words are pointers to functions."""
        odd: NDArray[np.bool_] = (words & 1) == 1
        inside = _inside(words, [block for block in self.blocks if block.executable])
        return inside & odd if self.thumb else inside & ~odd


def _inside(words: NDArray[np.uint32], blocks: Iterable[Block]) -> NDArray[np.bool_]:
    found = np.zeros(words.shape, np.bool_)
    for block in blocks:
        if block.data:
            found |= (words >= np.uint32(block.address)) & (words <= np.uint32(min(block.end - 1, 0xFFFFFFFF)))
    return found
