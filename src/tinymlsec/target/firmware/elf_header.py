"""Header of an ELF file: is it firmware for a core that we know?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinymlsec.target.firmware import elf_layout as elf
from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.limits import MAX_SECTIONS, MAX_SEGMENTS

_GIVE_LINKED = "give the linked firmware (what is flashed), built for Arm Cortex-M or RV32"


@dataclass(frozen=True)
class ElfHeader:
    """The fields that we use, checked."""

    machine: str
    entry: int
    segments_at: int
    segments: int
    sections_at: int
    sections: int
    names_section: int


def read_header(data: bytes, machine: str | None = None) -> ElfHeader:
    """Header of a 32-bit little-endian executable.

    Args:
        data: the whole file.
        machine: what the file has to be for; None for any that we know.

    Raises:
        FirmwareError: it is something else, or its tables do not lie in the file.
    """
    if len(data) < elf.HEADER.itemsize:
        damaged("the ELF file is truncated", 0, found=f"{len(data)} bytes", expected="a header of 52 bytes")
    fields = np.frombuffer(data, elf.HEADER, 1)[0]
    _check_class(data, int(fields["machine"]))
    known = _machine(int(fields["machine"]), machine)
    _check_type(int(fields["type"]))
    header = ElfHeader(
        machine=known,
        entry=int(fields["entry"]),
        segments_at=int(fields["phoff"]),
        segments=int(fields["phnum"]),
        sections_at=int(fields["shoff"]),
        sections=int(fields["shnum"]) if fields["shoff"] else 0,
        names_section=int(fields["shstrndx"]),
    )
    _check_table(data, "program headers", 28, header.segments_at, header.segments, int(fields["phentsize"]), 42)
    _check_table(data, "section headers", 32, header.sections_at, header.sections, int(fields["shentsize"]), 46)
    if header.segments == 0:
        damaged("the ELF file has no segments to load", 44, found="0 program headers", next_step=_GIVE_LINKED)
    return header


def _check_class(data: bytes, machine: int) -> None:
    name = elf.MACHINES.get(machine) or elf.OTHER_MACHINES.get(machine, f"machine {machine}")
    if data[4] != 1:
        found = f"a 64-bit ELF file{_for(data, name)}" if data[4] == 2 else f"class {data[4]}"
        damaged("this is no 32-bit ELF file", 4, found=found, expected="ELF class 32", next_step=_GIVE_LINKED)
    if data[5] != 1:
        found = "big endian" if data[5] == 2 else f"data encoding {data[5]}"
        damaged("this is no little-endian ELF file", 5, found=found, expected="little endian", next_step=_GIVE_LINKED)
    if data[6] != 1:
        damaged("the ELF version is not known", 6, found=str(data[6]), expected="1")


def _for(data: bytes, name: str) -> str:
    return f" for {name}" if data[5] == 1 else ""


def _machine(number: int, wanted: str | None) -> str:
    machine = elf.MACHINES.get(number, "")
    if not machine:
        damaged(
            "the ELF file is for another machine",
            18,
            found=elf.OTHER_MACHINES.get(number, f"machine number {number}"),
            expected="Arm (Cortex-M) or RISC-V (RV32)",
            next_step="firmware for this core can be assessed by its model and device, not by emulation",
        )
    if wanted and machine != wanted:
        next_step = "leave the machine out, or give the firmware of this device"
        damaged("the ELF file is for another machine", 18, found=machine, expected=wanted, next_step=next_step)
    return machine


def _check_type(number: int) -> None:
    if number != 2:
        damaged(
            "the ELF file is no executable",
            16,
            found=elf.TYPES.get(number, f"type {number}"),
            expected="an executable with fixed addresses",
            next_step="link it: an object file or a library has no addresses yet" if number == 1 else _GIVE_LINKED,
        )


def _check_table(data: bytes, what: str, offset: int, start: int, count: int, size: int, size_offset: int) -> None:
    if count == 0:
        return
    segments = what.startswith("program")
    limit = MAX_SEGMENTS if segments else MAX_SECTIONS
    expected = (elf.PROGRAM if segments else elf.SECTION).itemsize
    if size != expected:
        damaged(f"the {what} have a wrong size", size_offset, found=f"{size} bytes", expected=f"{expected} bytes")
    if count > limit:
        damaged(f"too many {what}", size_offset + 2, found=f"{count:,}", expected=f"at most {limit:,}")
    if start + count * size > len(data):
        found = f"they end at 0x{start + count * size:x} of a file of 0x{len(data):x} bytes"
        damaged(f"the ELF file is truncated: its {what} lie beyond the end", offset, found=found)
