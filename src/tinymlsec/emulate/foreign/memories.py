"""The memory map that foreign firmware runs in: described, its device's, or read off the image."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import MemoryMap, Region
from tinymlsec.emulate.foreign.description import DescriptionError
from tinymlsec.emulate.foreign.description_sections import Memory

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

PAGE = 0x1000
RAM_UNIT = 0x10000
MAX_GUESSED_RAM = 2 << 20
DEFAULT_RAM = (0x20000000, 256 * 1024)
"""Where Cortex-M devices have their RAM by the architecture's memory map, and a size for images that tell none."""
MAX_RANGES = 16


def described_map(memories: tuple[Memory, ...]) -> MemoryMap:
    """The map of a description."""
    regions = tuple(Region(m.name, m.address, m.size, m.access) for m in memories)
    return MemoryMap(_apart(regions), "target description")


def guessed_map(image: FirmwareImage) -> MemoryMap:
    """A map that holds the image: flash where it is stored, RAM from its variables to its initial stack pointer.

    Without a stack pointer (RISC-V) RAM is as large as a usual device's. It is a guess: sizes are rounded up, so
    accesses just outside of the real memory go unnoticed.
    """
    flash = [_rounded(start, start + len(data)) for start, data in image.stored()]
    spans = [
        _rounded(segment.virtual_address, segment.virtual_end)
        for segment in image.segments
        if "w" in segment.access and segment.memory_size
    ]
    if (stack := _stack_top(image)) is not None:
        spans.append(_below(stack, min((start for start, _ in spans), default=None)))
    elif spans:
        spans.append(_roomy(max(spans, key=lambda span: span[1] - span[0])))
    if not spans:
        spans.append((DEFAULT_RAM[0], sum(DEFAULT_RAM)))
    ram = _without(_joined(spans), _joined(flash))
    regions = [Region(_numbered("flash", i), s, e - s, "rx") for i, (s, e) in enumerate(_joined(flash))]
    regions = [replace(r, access="rwx") if _written(image, r) else r for r in regions]
    regions += [Region(_numbered("ram", i), s, e - s, "rwx") for i, (s, e) in enumerate(ram)]
    if len(regions) > MAX_RANGES:
        raise DescriptionError(
            "the image is scattered over too many places to guess its memories",
            found=f"{len(regions)} ranges",
            expected=f"at most {MAX_RANGES}",
            next_step="give the memories as [[memory]] tables, or a device",
        )
    return MemoryMap(tuple(regions), "guessed from the image")


def missing_from(image: FirmwareImage, memory: MemoryMap) -> str:
    """In words the first part of the image that lies in no memory; empty where all of it does."""
    for segment in image.segments:
        for start, end in ((segment.address, segment.end), (segment.virtual_address, segment.virtual_end)):
            if end > start and not any(r.address <= start and end <= r.address + r.size for r in memory.regions):
                return f"0x{start:08x} to 0x{end:08x}"
    return ""


def _written(image: FirmwareImage, region: Region) -> bool:
    """Whether variables live where they are stored, in an image that is loaded into RAM by something else."""
    end = region.address + region.size
    variables = (segment for segment in image.segments if "w" in segment.access)
    return image.kind == "elf" and any(v.virtual_address < end and v.virtual_end > region.address for v in variables)


def _stack_top(image: FirmwareImage) -> int | None:
    vectors = image.vectors
    return vectors.initial_sp if vectors is not None and vectors.plausible else None


def _below(stack: int, lowest: int | None) -> tuple[int, int]:
    """RAM that ends at (or after) the top of the stack and starts with the lowest variable, or at a round address."""
    base = stack - 1 & 0xFF000000
    if stack - base > MAX_GUESSED_RAM:
        base = max(stack - MAX_GUESSED_RAM, 0) & ~(PAGE - 1)
    if lowest is not None and base <= lowest < stack:
        base = lowest & ~(RAM_UNIT - 1)
    return base, stack + PAGE - 1 & ~(PAGE - 1)


def _roomy(variables: tuple[int, int]) -> tuple[int, int]:
    """RAM around variables where no stack pointer tells its end: code sets it, to somewhere above them."""
    base = variables[0] & ~(RAM_UNIT - 1)
    return base, min(max(variables[1], base + DEFAULT_RAM[1]), 1 << 32)


def _rounded(start: int, end: int) -> tuple[int, int]:
    return start & ~(PAGE - 1), min(end + PAGE - 1 & ~(PAGE - 1), 1 << 32)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _without(spans: list[tuple[int, int]], taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans without what is taken: an image linked to run from RAM is both in one place."""
    left = spans
    for start, end in taken:
        left = [
            piece
            for low, high in left
            for piece in ((low, min(high, start)), (max(low, end), high))
            if piece[0] < piece[1]
        ]
    return left


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}{index + 1}"


def _apart(regions: tuple[Region, ...]) -> tuple[Region, ...]:
    ordered = sorted(regions, key=lambda region: region.address)
    for first, second in itertools.pairwise(ordered):
        if first.address + first.size > second.address:
            raise DescriptionError(
                f"the memories {first.name!r} and {second.name!r} overlap",
                found=f"{first.name} ends at 0x{first.address + first.size:08x}",
                expected=f"an end at or before 0x{second.address:08x}, where {second.name} begins",
            )
    return tuple(ordered)
