"""Bytes as firmware has them around a model: a vector table, Thumb code, texts, tables, zeros, erased flash.

The code is made of real instruction encodings with random registers and constants; `firmware.zig_firmware` gives code
of a compiler where one is installed.
"""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np

from tinymlsec.target.firmware import FirmwareImage, Segment

FLASH = 0x0800_0000
_TEXT = (
    "temperature sensor calibration failed Wi-Fi connecting to broker mqtt topic firmware version build release boot "
    "watchdog reset reason heap overflow assertion task stack ticks queue mutex error code %d expected %s TFL3 ET12"
)


def code(rng: np.random.Generator, halfwords: int) -> bytes:
    """Thumb: moves, loads, stores, adds, compares, branches, calls, push and pop."""
    templates = np.array(
        [
            0x2000,
            0x4600,
            0x6800,
            0x6000,
            0x1800,
            0x2800,
            0xD000,
            0xE000,
            0xB500,
            0xBD00,
            0x4770,
            0x4800,
            0x7800,
            0x3000,
        ],
        np.uint16,
    )
    free = np.array(
        [0x7FF, 0xFF, 0x7FF, 0x7FF, 0x1FF, 0x7FF, 0xFF, 0x7FF, 0xFF, 0xFF, 0, 0x7FF, 0x7FF, 0x7FF], np.uint16
    )
    chosen = rng.choice(len(templates), halfwords, p=[0.1, 0.12, 0.15, 0.1, 0.08, 0.06, 0.08, 0.04, 0.03, 0.03, 0.02,
                                                      0.07, 0.06, 0.06])  # fmt: skip
    small = np.minimum(rng.geometric(0.02, halfwords), 0x7FF).astype(np.uint16)
    words = templates[chosen] | (small & free[chosen])
    calls = np.flatnonzero(rng.random(halfwords - 1) < 0.04)
    words[calls] = 0xF000 | rng.integers(0, 0x400, len(calls))
    words[calls + 1] = 0xF800 | rng.integers(0, 0x800, len(calls))
    return words.astype("<u2").tobytes()


def texts(rng: np.random.Generator, count: int) -> bytes:
    lines = (" ".join(rng.choice(_TEXT.split(" "), rng.integers(2, 9))) for _ in range(count))
    return b"".join(line.encode() + b"\0" for line in lines)


def tables(rng: np.random.Generator, words: int) -> bytes:
    """Sine tables and pointers, as DSP and driver code has them."""
    sine = (32_767 * np.sin(np.arange(words) * rng.uniform(0.001, 0.05))).astype("<i2").tobytes()
    pointers = (FLASH + rng.integers(0, 1 << 18, words) * 2 + 1).astype("<u4").tobytes()
    return sine + pointers


def firmware(rng: np.random.Generator, size: int = 24_576) -> bytes:
    """Bytes of about that size, without a model."""
    parts = [code(rng, size // 4), texts(rng, size // 512), tables(rng, size // 24), bytes(int(rng.integers(64, 2048)))]
    return b"".join(parts)


def vectors(size: int) -> bytes:
    """A table whose handlers lie in an image of that size, so that a raw file tells its address."""
    handler = FLASH + 0x101
    return struct.pack("<16I", 0x2000_4000, handler, *[handler + 16] * 14).ljust(0x100, b"\0") + bytes(
        max(0, 64 - size)
    )


def image_of(parts: list[bytes], *, split: int = 0) -> FirmwareImage:
    """An image of parts in a row behind a vector table; cut into two segments at `split` where it is not 0."""
    data = vectors(1024) + b"".join(parts)
    cuts = [0, split, len(data)] if split else [0, len(data)]
    pieces = [(FLASH + a, data[a:b]) for a, b in pairwise(cuts)]
    segments = tuple(Segment(address, piece, len(piece), "rx") for address, piece in pieces)
    return FirmwareImage("raw", "arm", FLASH + 0x100, segments)
