"""Small programs with known cycles: bytes at an address, counts by hand, and a slow twin of the cache simulation."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from tinymlsec.emulate.cycles.flash_timing import FlashTiming, LineCache


@dataclass(frozen=True)
class Piece:
    virtual_address: int
    data: bytes


@dataclass(frozen=True)
class Bytes:
    """What the cycle model reads of an image."""

    segments: tuple[Piece, ...]
    digest: str


def image(code: str, base: int = 0x0800_0000) -> Bytes:
    """An image of instructions in hexadecimal, little-endian as they lie in memory."""
    data = bytes.fromhex(code)
    return Bytes((Piece(base, data),), f"{base:x}:{data.hex()}")


class SlowCache:
    """Least recently used lines, the plain way."""

    def __init__(self, lines: LineCache, line_bytes: int) -> None:
        self.line_bytes = line_bytes
        self.sets, self.ways = lines.geometry
        self.kept: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(self.sets)]
        self.last = -1
        self.misses = 0

    def read(self, offset: int, size: int) -> None:
        for line in range(offset // self.line_bytes, (offset + size - 1) // self.line_bytes + 1):
            if line == self.last:
                continue
            self.last = line
            kept = self.kept[line % self.sets]
            if line in kept:
                kept.move_to_end(line)
                continue
            self.misses += 1
            if self.ways:
                kept[line] = None
                if len(kept) > self.ways:
                    kept.popitem(last=False)


def slow_misses(timing: FlashTiming, base: int, size: int, rows: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    code, data = SlowCache(timing.code, timing.line_bytes), SlowCache(timing.data, timing.line_bytes)
    for pc, pc_bytes, address, address_bytes in rows:
        if base <= pc < base + size:
            code.read(pc - base, pc_bytes)
        if address_bytes and base <= address < base + size:
            data.read(address - base, address_bytes)
    return code.misses, data.misses
