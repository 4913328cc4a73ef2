"""The vector table at the start of a Cortex-M image, and whether it can be one.

Source: Armv6-M and Armv7-M Architecture Reference Manuals, "The vector table" and "The system address map".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np

from tinymlsec.target.firmware.image import Section, Segment, Symbol, VectorTable
from tinymlsec.target.firmware.limits import MAX_TABLE_GUESSES, MAX_VECTORS

STACKS = ((0x2000_0000, 0x4000_0000), (0x1000_0000, 0x2000_0000))
"""(start, end] of where a first stack pointer may point: SRAM, and core-coupled RAM in the code region."""
LOW_STACK = (0x0800_0000, 0x0820_0000)
"""Likewise, where the image itself does not lie: SRAM of PSoC 6, flash of STM32."""
BOOT_OFFSETS = (0, 0x100, 0x200, 0x400)
"""Where tables begin in a segment: at its start, or behind a small boot block (RP2040: 256 bytes)."""
SECTION_NAMES = (
    ".isr_vector",
    ".vectors",
    ".vector_table",
    ".intvecs",
    ".interrupts",
    ".vector",
    "vectors",
    ".isr_vectors",
)
SYMBOL_NAMES = (
    "__Vectors",
    "g_pfnVectors",
    "__isr_vector",
    "__vectors",
    "_vector_table",
    "__vector_table",
    "vector_table",
)
_MIN_WORDS = 4
_SYSTEM = 16
"""Stack pointer, reset and the exceptions of the core; interrupts follow."""


class Spans:
    """Address ranges, joined where they touch, that are asked often.

    Args:
        ranges: [start, end) in any order.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(ranges):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            elif end > start:
                self._starts.append(start)
                self._ends.append(end)

    def holds(self, address: int) -> bool:
        """Whether an address lies in one of them."""
        place = bisect_right(self._starts, address) - 1
        return place >= 0 and address < self._ends[place]


def vector_table(
    segments: Sequence[Segment], sections: Iterable[Section] = (), symbols: Iterable[Symbol | None] = ()
) -> VectorTable | None:
    """The table of an image: named by a section or symbol, else what looks like one at the start of a segment.

    Args:
        segments: of the image, by load address; their data does not overlap.
        sections: some may be named as tables are.
        symbols: likewise; None is left out.

    Returns:
        A plausible table, else a named one that is not plausible, else None.
    """
    stored = [segment for segment in segments if segment.data]
    starts = [segment.address for segment in stored]
    run = ((s.virtual_address, s.virtual_end) for s in segments if "x" in s.access)
    code = Spans([*((s.address, s.end) for s in stored), *run])
    named = {s.address: None for s in sections if s.name in SECTION_NAMES and s.size}
    named |= {symbol.address: None for symbol in symbols if symbol is not None}
    likely = stored[:MAX_TABLE_GUESSES]
    guesses = [s.address + offset for s in likely for offset in BOOT_OFFSETS if offset < len(s.data)]
    doubtful = None
    for address in dict.fromkeys([*named, *guesses]):
        place = bisect_right(starts, address) - 1
        table = _read(stored[place], address, code) if place >= 0 else None
        if table is not None and table.plausible:
            return table
        if address in named:
            doubtful = doubtful or table
    return doubtful


def _read(segment: Segment, address: int, code: Spans) -> VectorTable | None:
    words = _words(segment, address)
    if len(words) < _MIN_WORDS:
        return None
    wrong = objection(words, code)
    reason = wrong or "stack in RAM, handlers are Thumb code of this image"
    return VectorTable(address, words[0], words[1] & ~1, words[: _length(words)], not wrong, reason)


def _words(segment: Segment, address: int) -> tuple[int, ...]:
    """Words that lie at an address, at most as many as a table may have; none for an address not in the segment."""
    if address % 4 or not segment.address <= address < segment.end:
        return ()
    count = min((segment.end - address) // 4, MAX_VECTORS)
    return tuple(np.frombuffer(segment.data, "<u4", count, address - segment.address).tolist())


def objection(words: Sequence[int], code: Spans) -> str:
    """Why these words are no vector table, empty where they may be one.

    Args:
        words: at least two.
        code: where handlers may lie.
    """
    stack = words[0]
    low = LOW_STACK[0] < stack <= LOW_STACK[1] and not code.holds(stack - 4)
    if stack % 4 or not (low or any(start < stack <= end for start, end in STACKS)):
        return f"the initial stack pointer 0x{stack:08x} is no address in RAM"
    for number, word in enumerate(words[1:_SYSTEM], 1):
        if word in (0, 0xFFFFFFFF) and number != 1:
            continue
        if number in _CHECKED and not (word % 2 and code.holds(word - 1)):
            name = "reset vector" if number == 1 else f"vector {number}"
            return f"the {name} 0x{word:08x} is no Thumb code of this image"
    return ""


_CHECKED = frozenset((1, 2, 3, 11, 14, 15))
"""Reset, NMI, HardFault, SVCall, PendSV, SysTick: in every Cortex-M. Others may hold a vendor's checksum or pointer."""


def _length(words: Sequence[int]) -> int:
    """Words up to the first one behind the core's own that can be no handler (they are odd, or not used)."""
    for index in range(_SYSTEM, len(words)):
        if words[index] % 2 == 0 and words[index] != 0:
            return index
    return len(words)
