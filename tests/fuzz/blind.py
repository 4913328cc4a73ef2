"""Damage that needs no knowledge of a format, and the chance that all damage is drawn from."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31)


class SoundFile(Protocol):
    """A file to start from."""

    @property
    def data(self) -> bytes: ...


class BlindMutator:
    """Damages files by bytes.

    Args:
        seeds: sound files to start from.
        rng: the only source of chance, so a seed and a count say exactly which files were tried.
    """

    def __init__(self, seeds: Sequence[Any], rng: np.random.Generator) -> None:
        self.seeds = seeds
        self.rng = rng
        self.by_bytes = (self.flip_bits, self.write_noise, self.truncate, self.extend, self.splice)
        self.by_meaning: tuple[Callable[[bytearray, Any], None], ...] = self.by_bytes
        """Changes that know the format; those who derive from this class set them."""

    def next(self) -> bytes:
        """One damaged file: mostly a single change, so that the damage is deep; one change in six is blind."""
        seed = self.pick(self.seeds)
        data = bytearray(seed.data)
        for _ in range(1 + self.below(4) if self.below(3) == 0 else 1):
            family = self.by_bytes if self.below(6) == 0 else self.by_meaning
            self.pick(family)(data, seed)
        return bytes(data)

    def below(self, bound: int) -> int:
        return int(self.rng.integers(max(bound, 1)))

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.below(len(items))]

    def number(self, width: int) -> int:
        """A number at an edge of its type, near one, or anywhere."""
        value = self.pick(NUMBERS) + self.below(3) - 1 if self.below(8) else self.below(1 << 62)
        if self.below(4) == 0:
            value = -value
        return value % (1 << (8 * width))

    def write(self, data: bytearray, at: int, width: int, value: int) -> None:
        if 0 <= at <= len(data) - width:
            struct.pack_into(f"<{CODES[width]}", data, at, value % (1 << (8 * width)))

    def flip_bits(self, data: bytearray, _: SoundFile) -> None:
        for _ in range(1 + self.below(8)):
            if data:
                data[self.below(len(data))] ^= 1 << self.below(8)

    def write_noise(self, data: bytearray, _: SoundFile) -> None:
        at = self.below(len(data))
        noise = self.rng.bytes(1 + self.below(16))
        data[at : at + len(noise)] = noise[: max(len(data) - at, 0)]

    def truncate(self, data: bytearray, _: SoundFile) -> None:
        del data[self.below(len(data) + 1) :]

    def extend(self, data: bytearray, _: SoundFile) -> None:
        data += self.rng.bytes(1 + self.below(64))

    def splice(self, data: bytearray, _: SoundFile) -> None:
        """Copies a piece of some seed over, or into, the file."""
        other = self.pick(self.seeds).data
        start = self.below(len(other))
        piece = other[start : start + 1 + self.below(256)]
        at = self.below(len(data) + 1)
        data[at : at + (len(piece) if self.below(2) else 0)] = piece
