"""The vector table at the start of a Cortex-M image, and whether it can be one.

Source: Armv6-M and Armv7-M Architecture Reference Manuals, "The vector table" and "The system address map".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinymlsec.target.firmware.image import Section, Segment, Symbol, VectorTable
from tinymlsec.target.firmware.limits import MAX_VECTORS

STACKS = ((0x2000_0000, 0x4000_0000), (0x1000_0000, 0x2000_0000))
"""(start, end] of where a first stack pointer may point: SRAM, and core-coupled RAM in the code region."""
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


def vector_table(
    segments: Sequence[Segment], sections: Iterable[Section] = (), symbols: Iterable[Symbol | None] = ()
) -> VectorTable | None:
    """The table of an image: named by a section or symbol, else what looks like one at the start of a segment.

    Args:
        segments: of the image, by load address.
        sections: some may be named as tables are.
        symbols: likewise; None is left out.

    Returns:
        A plausible table, else a named one that is not plausible, else None.
    """
    named = [s.address for s in sections if s.name in SECTION_NAMES and s.size]
    named += [symbol.address for symbol in symbols if symbol is not None]
    guesses = [s.address + offset for s in segments if s.data for offset in BOOT_OFFSETS if offset < len(s.data)]
    doubtful = None
    for address in dict.fromkeys([*named, *guesses]):
        table = _read(segments, address)
        if table is not None and table.plausible:
            return table
        if address in named:
            doubtful = doubtful or table
    return doubtful


def words_at(segments: Sequence[Segment], address: int) -> tuple[int, ...]:
    """Words that lie at an address, at most as many as a table may have; none for an address not in the image."""
    for segment in segments:
        if segment.address <= address < segment.end and address % 4 == 0:
            count = min((segment.end - address) // 4, MAX_VECTORS)
            data = segment.data[address - segment.address :][: 4 * count]
            return tuple(np.frombuffer(data, "<u4").tolist())
    return ()


def _read(segments: Sequence[Segment], address: int) -> VectorTable | None:
    words = words_at(segments, address)
    if len(words) < _MIN_WORDS:
        return None
    wrong = objection(words, [(s.address, s.end) for s in segments if s.data] + _used(segments))
    vectors = words[: _length(words)]
    reason = wrong or "stack in RAM, handlers are Thumb code of this image"
    return VectorTable(address, words[0], words[1] & ~1, vectors, not wrong, reason)


def _used(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    return [(s.virtual_address, s.virtual_end) for s in segments if "x" in s.access]


def objection(words: Sequence[int], code: Sequence[tuple[int, int]]) -> str:
    """Why these words are no vector table, empty where they may be one.

    Args:
        words: at least two.
        code: [start, end) of where handlers may lie.
    """
    stack = words[0]
    if stack % 4 or not any(start < stack <= end for start, end in STACKS):
        return f"the initial stack pointer 0x{stack:08x} is no address in RAM"
    for number, word in enumerate(words[1:_SYSTEM], 1):
        if word in (0, 0xFFFFFFFF) and number != 1:
            continue
        if number in _CHECKED and not _is_handler(word, code):
            name = "reset vector" if number == 1 else f"vector {number}"
            return f"the {name} 0x{word:08x} is no Thumb code of this image"
    return ""


_CHECKED = frozenset((1, 2, 3, 11, 14, 15))
"""Reset, NMI, HardFault, SVCall, PendSV, SysTick: in every Cortex-M. Others may hold vendors' checksums and pointers."""  # noqa: E501


def _is_handler(word: int, code: Sequence[tuple[int, int]]) -> bool:
    return word % 2 == 1 and any(start <= word - 1 < end for start, end in code)


def _length(words: Sequence[int]) -> int:
    """Words up to the first one behind the core's own that can be no handler (they are odd, or not used)."""
    for index in range(_SYSTEM, len(words)):
        if words[index] % 2 == 0 and words[index] != 0:
            return index
    return len(words)
