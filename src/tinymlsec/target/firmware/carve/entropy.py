"""What an image is made of: the entropy of each block, and a class for it by simple statistics of its bytes.

The classes are no proof. They tell a reader of the report where code, texts, tables and dense data lie; a dense area
(entropy close to 8 bits a byte) is compressed or encrypted, and nothing in it tells which of the two.

Entropy: C. E. Shannon, A Mathematical Theory of Communication, 1948. The estimate from 1,024 bytes of uniform noise
lies at 7.8 bits, not at 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.carve.weight_statistics import alike, weight_blocks

BLOCK = 1024
"""Bytes of a block."""
_CHUNK = 1024
"""Blocks that are counted at once, to bound memory."""
DENSE = 7.6
"""bits per byte: noise gives 7.8 with a spread of 0.02, int8 weights 7.5 or less as a rule, code 5 to 6.8. Tables of
wider numbers reach it too, so dense bytes must also be alike whatever their place modulo 4."""
_UNIFORM = 0.97
"""Share of one value that makes a block zeros or erased."""
_TEXT = 0.9
"""Share of printable characters, line ends and closing zeros that makes a block text."""
_CODE = 0.35
"""Share of halfwords whose upper byte is that of a common Thumb instruction, for a block of code."""


class Content(StrEnum):
    """What a block looks like."""

    ZEROS = "zeros"
    ERASED = "erased"
    TEXT = "text"
    CODE = "code"
    WEIGHTS = "weights"
    DATA = "data"
    DENSE = "compressed-or-encrypted"


@dataclass(frozen=True)
class Area:
    """Neighboring blocks of one class."""

    start: int
    """In the run of bytes."""
    end: int
    content: Content
    entropy: float
    """bits per byte, mean over the blocks"""


@dataclass(frozen=True)
class EntropyMap:
    """A run of bytes, block by block."""

    entropy: NDArray[np.float64] = field(repr=False)
    """(blocks,) bits per byte"""
    content: tuple[Content, ...] = field(repr=False)
    areas: tuple[Area, ...]


def entropy_map(data: bytes) -> EntropyMap:
    """Entropy and class of each block of 1 KiB; a shorter last one is counted by what it has.

    Args:
        data: any bytes.
    """
    raw = np.frombuffer(data, np.uint8)
    parts = [_classify(raw[at : at + _CHUNK * BLOCK]) for at in range(0, len(raw), _CHUNK * BLOCK)]
    entropy = np.concatenate([part[0] for part in parts]) if parts else np.empty(0)
    content = tuple(each for part in parts for each in part[1])
    return EntropyMap(entropy, content, tuple(_areas(entropy, content, len(raw))))


def _classify(raw: NDArray[np.uint8]) -> tuple[NDArray[np.float64], list[Content]]:
    blocks = -(-len(raw) // BLOCK)
    cells = 1024 * np.arange(blocks)[:, None, None] + 256 * np.arange(4)
    full = np.broadcast_to(cells, (blocks, BLOCK // 4, 4)).reshape(-1)[: len(raw)]
    placed = np.bincount(full + raw, minlength=blocks * 1024).reshape(blocks, 4, 256)
    counts, upper = placed.sum(axis=1), placed[:, 1] + placed[:, 3]
    sizes, printable = counts.sum(axis=1), counts[:, _PRINTABLE].sum(axis=1)
    entropy = entropy_of(counts)
    tests = {
        Content.ZEROS: counts[:, 0] >= _UNIFORM * sizes,
        Content.ERASED: counts[:, 255] >= _UNIFORM * sizes,
        Content.TEXT: (printable + counts[:, 0] >= _TEXT * sizes) & (printable > sizes / 2),
        Content.DENSE: (entropy >= DENSE) & alike(placed),
        Content.WEIGHTS: weight_blocks(placed),
        Content.CODE: upper[:, _THUMB].sum(axis=1) >= _CODE * upper.sum(axis=1).clip(1),
    }
    names = np.array([*tests, Content.DATA], dtype=object)
    chosen = np.argmax(np.stack([*tests.values(), np.ones(blocks, np.bool_)]), axis=0)
    return entropy, names[chosen].tolist()


def entropy_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Entropy of histograms, bits per symbol.

    Args:
        counts: (n, 256).
    """
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: NDArray[np.float64] = -(shares * logs).sum(axis=1)
    return entropy


_PRINTABLE = np.array([9, 10, 13, *range(32, 127)])
_THUMB = np.array(
    [0x20, 0x21, 0x22, 0x23, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x60, 0x61, 0x68, 0x69, 0x78, 0x80, 0x88, 0xB0, 0xB1,
     0xB2, 0xB5, 0xB9, 0xBD, 0xBF, 0xD0, 0xD1, 0xD8, 0xE0, 0xE7, 0xE8, 0xE9, 0xEB, 0xF0, 0xF1, 0xF2, 0xF3, 0xF7, 0xF8,
     0xF9, 0xFA, 0xFB]
)  # fmt: skip
"""Upper bytes of moves, loads, stores, branches, calls, push and pop, and of first halves of Thumb-2 (Armv7-M ARM)."""


def _areas(entropy: NDArray[np.float64], content: tuple[Content, ...], size: int) -> Iterator[Area]:
    first = 0
    for block in range(1, len(content) + 1):
        if block == len(content) or content[block] is not content[first]:
            mean = float(entropy[first:block].mean())
            yield Area(first * BLOCK, min(block * BLOCK, size), content[first], round(mean, 2))
            first = block
