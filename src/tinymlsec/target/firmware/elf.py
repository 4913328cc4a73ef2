"""ELF files: every offset and count is checked by our own code before it is used."""

from __future__ import annotations

from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.elf_attributes import Attributes, attributes
from tinymlsec.target.firmware.elf_header import ElfHeader, read_header
from tinymlsec.target.firmware.elf_notes import build_id, producer
from tinymlsec.target.firmware.elf_sections import Sections, read_sections
from tinymlsec.target.firmware.elf_segments import code_ranges, read_segments
from tinymlsec.target.firmware.elf_symbols import by_name, read_symbols
from tinymlsec.target.firmware.image import FirmwareImage, Segment, VectorTable
from tinymlsec.target.firmware.line_bytes import Damaged
from tinymlsec.target.firmware.lines import DebugSections, LineTable
from tinymlsec.target.firmware.vectors import SYMBOL_NAMES, vector_table

MAGIC = b"\x7fELF"


def read_elf(data: bytes, machine: str | None = None) -> FirmwareImage:
    """Image of a linked ELF file for Arm or RV32.

    Args:
        data: the whole file.
        machine: what the file has to be for; None for any that we know.

    Raises:
        FirmwareError: it is for another machine, no executable, truncated or damaged.
    """
    header = read_header(data, machine)
    segments, notes = read_segments(data, header)
    found = read_sections(data, header)
    arm = header.machine == "arm"
    built_for = attributes(found) if arm else Attributes()
    _check_profile(built_for)
    symbols = read_symbols(found, header.machine)
    named = by_name(symbols)
    vectors = vector_table(segments, found.sections, [named.get(name) for name in SYMBOL_NAMES]) if arm else None
    entry = _entry(header, segments, vectors)
    return FirmwareImage(
        kind="elf",
        machine=header.machine,
        entry=entry,
        segments=segments,
        symbols=named,
        all_symbols=symbols,
        sections=found.sections,
        vectors=vectors,
        build_id=build_id(found),
        producer=producer(found),
        architecture=built_for.architecture,
        notes=(*notes, *_odd(entry, segments)),
        lines=_lines(found, segments, header.machine),
    )


def _check_profile(built_for: Attributes) -> None:
    if built_for.application:
        damaged(
            "the ELF file is for another machine",
            built_for.offset,
            found=f"{built_for.architecture} in its attributes" + (f" ({built_for.cpu})" if built_for.cpu else ""),
            expected="an Arm Cortex-M",
            next_step="firmware for this core can be assessed by its model and device, not by emulation",
        )


def _odd(entry: int | None, segments: tuple[Segment, ...]) -> tuple[str, ...]:
    """What makes it doubtful that the firmware starts."""
    if entry is None or any(s.virtual_address <= entry < s.virtual_end for s in segments):
        return ()
    return (f"the entry 0x{entry:08x} lies outside of all segments",)


def _entry(header: ElfHeader, segments: tuple[Segment, ...], vectors: VectorTable | None) -> int | None:
    """Where execution starts; zero in the header means that it does not say, if no code lies there."""
    if header.entry:
        return header.entry & ~1
    if vectors is not None and vectors.plausible:
        return vectors.reset
    at_zero = header.machine != "arm" and any(start == 0 for start, _ in code_ranges(segments).tolist())
    return 0 if at_zero else None


def _lines(found: Sections, segments: tuple[Segment, ...], machine: str) -> LineTable:
    ranges = code_ranges(segments)
    if not len(ranges):  # no segment is marked as code
        code = tuple((s.virtual_address, s.virtual_end) for s in segments)
    else:
        code = tuple((int(start), int(end)) for start, end in ranges)
    # At address 0 of an Arm image lies the vector table, so a function there is one that the linker dropped.
    at_zero = machine != "arm" and any(start == 0 for start, _ in code)
    return LineTable(lambda: _debug_sections(found), code, at_zero)


def _debug_sections(found: Sections) -> DebugSections:
    notes: list[str] = []

    def content(name: str) -> bytes:
        try:
            return found.unpacked(name)
        except Damaged as error:
            notes.append(f"{error}: source lines are missing")
            return b""

    line, line_strings, strings = (content(name) for name in (".debug_line", ".debug_line_str", ".debug_str"))
    return DebugSections(line, line_strings, strings, tuple(notes))
