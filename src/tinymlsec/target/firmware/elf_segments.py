"""Loadable segments of an ELF file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware import elf_layout as elf
from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.elf_header import ElfHeader
from tinymlsec.target.firmware.image import Segment
from tinymlsec.target.firmware.ranges import Range, check_overlap, check_total, check_wrap

_OVERLAY = "check the linker script; overlays (several pieces of code for one address) cannot be emulated"


def read_segments(data: bytes, header: ElfHeader) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Segments in order of load address, and notes.

    Raises:
        FirmwareError: one lies beyond the file, wraps around, overlaps another, or all are too large.
    """
    table = np.frombuffer(data, elf.PROGRAM, header.segments, header.segments_at)
    if len(programs := np.flatnonzero(table["type"] == elf.INTERPRETER)):
        damaged(
            "the ELF file is no firmware",
            header.segments_at + int(programs[0]) * elf.PROGRAM.itemsize,
            found="a program that an operating system links when it starts it",
            expected="firmware that runs by itself",
            next_step="give the linked firmware, what is flashed",
        )
    chosen = np.flatnonzero((table["type"] == elf.LOAD) & ((table["memsz"] > 0) | (table["filesz"] > 0)))
    if not len(chosen):
        damaged(
            "the ELF file has no segments to load",
            header.segments_at,
            found=f"{len(table)} program headers, none of kind LOAD with a size",
            next_step="give the linked firmware, not the debug file that was split off from it",
        )
    # Some old linkers leave all physical addresses at zero: then the virtual ones are meant.
    absent = len(chosen) > 1 and not table["paddr"][chosen].any() and bool(table["vaddr"][chosen].any())
    notes = ("the ELF file has no physical addresses: the virtual ones are used",) if absent else ()
    segments, stored, used, total = [], [], [], 0
    for index in chosen:
        at = header.segments_at + int(index) * elf.PROGRAM.itemsize
        total += int(table[index]["memsz"])
        check_total(total, at + 20)
        segment = _segment(data, table[index], at, absent)
        segments.append(segment)
        stored.append(Range(segment.address, len(segment.data), at + 12))
        used.append(Range(segment.virtual_address, segment.memory_size, at + 8))
    check_overlap(stored, "segments", _OVERLAY)
    check_overlap(used, "segments (at run time)", _OVERLAY)
    return tuple(sorted(segments, key=lambda s: (s.address, s.virtual_address))), notes


def _segment(data: bytes, row: np.void, at: int, absent: bool) -> Segment:
    offset, stored, memory = int(row["offset"]), int(row["filesz"]), int(row["memsz"])
    virtual = int(row["vaddr"])
    address = virtual if absent else int(row["paddr"])
    if offset + stored > len(data):
        found = f"bytes 0x{offset:x} to 0x{offset + stored:x} of a file of 0x{len(data):x} bytes"
        damaged("the ELF file is truncated: a segment lies beyond the end", at + 4, found=found)
    if stored > memory:
        expected = f"at most its {memory:,} bytes of memory"
        damaged("a segment has more bytes than memory", at + 16, found=f"{stored:,} bytes", expected=expected)
    check_wrap(Range(address, stored, at + 12), "a segment")
    check_wrap(Range(virtual, memory, at + 8), "a segment")
    return Segment(address, data[offset : offset + stored], memory, access(int(row["flags"])), virtual, offset)


def access(flags: int) -> str:
    """r, w and x of the flags of a program header."""
    return "".join(letter for letter, bit in (("r", elf.READ), ("w", elf.WRITE), ("x", elf.EXECUTE)) if flags & bit)


def code_ranges(segments: tuple[Segment, ...]) -> NDArray[np.int64]:
    """[start, end) at run time of segments that hold code, (n, 2)."""
    return np.array([(s.virtual_address, s.virtual_end) for s in segments if "x" in s.access], np.int64).reshape(-1, 2)
