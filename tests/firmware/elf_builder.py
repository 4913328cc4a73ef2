"""Builds small 32-bit ELF files by code, so that tests know every byte, and where each field lies."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

ARM, RISCV = 40, 243
PROGBITS, SYMTAB, STRTAB, NOTE, NOBITS = 1, 2, 3, 7, 8
FUNC, OBJECT, NOTYPE = 2, 1, 0
LOCAL, GLOBAL, WEAK = 0, 1, 2
HEADER_SIZE, PROGRAM_SIZE, SECTION_SIZE, SYMBOL_SIZE = 52, 32, 40, 16
FIELDS = {
    "header": ("ident:16 type:2 machine:2 version:4 entry:4 phoff:4 shoff:4 flags:4 ehsize:2 phentsize:2 phnum:2 "
               "shentsize:2 shnum:2 shstrndx:2"),
    "program": "type:4 offset:4 vaddr:4 paddr:4 filesz:4 memsz:4 flags:4 align:4",
    "section": "name:4 type:4 flags:4 addr:4 offset:4 size:4 link:4 info:4 addralign:4 entsize:4",
    "symbol": "name:4 value:4 size:4 info:1 other:1 shndx:2",
}  # fmt: skip


def field_places(kind: str) -> dict[str, tuple[int, int]]:
    """Field -> (offset in its record, width)."""
    places, at = {}, 0
    for part in FIELDS[kind].split():
        name, width = part.split(":")
        places[name] = (at, int(width))
        at += int(width)
    return places


@dataclass
class Load:
    """A segment; `paddr` None: stored where it runs."""

    vaddr: int
    data: bytes
    flags: int = 5
    paddr: int | None = None
    memsz: int | None = None


@dataclass
class Sec:
    """A section. One with an address points at the bytes of the segment that holds them."""

    name: str
    data: bytes = b""
    kind: int = PROGBITS
    flags: int = 0
    addr: int = 0
    size: int | None = None
    link: int = 0
    entsize: int = 0


@dataclass
class Sym:
    name: str
    value: int
    size: int = 0
    kind: int = FUNC
    bind: int = GLOBAL
    section: int = 1


@dataclass
class Elf:
    """What to build, and after `build` where everything lies (`at`)."""

    loads: list[Load] = field(default_factory=list)
    sections: list[Sec] = field(default_factory=list)
    symbols: list[Sym] = field(default_factory=list)
    machine: int = ARM
    kind: int = 2
    entry: int = 0x0800_0101
    section_table: bool = True
    at: dict[str, int] = field(default_factory=dict)
    """header, program<i>, section<i>, symbol<i>, load<i> -> file offset"""

    def build(self) -> bytes:
        body = bytearray(HEADER_SIZE + PROGRAM_SIZE * len(self.loads))
        self.at = {"header": 0} | {f"program{i}": HEADER_SIZE + PROGRAM_SIZE * i for i in range(len(self.loads))}
        programs = []
        for index, load in enumerate(self.loads):
            self.at[f"load{index}"] = len(body)
            memory = len(load.data) if load.memsz is None else load.memsz
            physical = load.vaddr if load.paddr is None else load.paddr
            programs.append((1, len(body), load.vaddr, physical, len(load.data), memory, load.flags, 4))
            body += load.data + bytes(-len(load.data) % 4)
        rows = self._sections(body) if self.section_table else []
        shoff = len(body) if rows else 0
        for index, row in enumerate(rows):
            self.at[f"section{index}"] = len(body)
            body += struct.pack("<10I", *row)
        ident = b"\x7fELF\x01\x01\x01" + bytes(9)
        phoff = HEADER_SIZE if programs else 0
        struct.pack_into(
            "<16sHHIIIIIHHHHHH", body, 0, ident, self.kind, self.machine, 1, self.entry, phoff, shoff, 0x5000000,
            HEADER_SIZE, PROGRAM_SIZE, len(programs), SECTION_SIZE, len(rows), max(len(rows) - 1, 0),
        )  # fmt: skip
        for index, row in enumerate(programs):
            struct.pack_into("<8I", body, self.at[f"program{index}"], *row)
        return bytes(body)

    def _sections(self, body: bytearray) -> list[tuple[int, ...]]:
        every = [Sec("", kind=0), *self.sections]
        if self.symbols:
            strings, table = b"\0", bytearray(SYMBOL_SIZE)
            for symbol in self.symbols:
                info = symbol.bind << 4 | symbol.kind
                table += struct.pack("<IIIBBH", len(strings), symbol.value, symbol.size, info, 0, symbol.section)
                strings += symbol.name.encode() + b"\0"
            every.append(Sec(".symtab", bytes(table), SYMTAB, link=len(every) + 1, entsize=SYMBOL_SIZE))
            every.append(Sec(".strtab", strings, STRTAB))
        names = b"\0"
        places = []
        for section in [*every, Sec(".shstrtab", kind=STRTAB)]:
            places.append(len(names) if section.name else 0)
            names += section.name.encode() + b"\0" if section.name else b""
        every.append(Sec(".shstrtab", names, STRTAB))
        return [self._row(body, section, name) for section, name in zip(every, places, strict=True)]

    def _row(self, body: bytearray, s: Sec, name: int) -> tuple[int, ...]:
        offset = self._in_segment(s.addr) if s.flags & 2 and s.kind != NOBITS else None
        size = len(s.data) if s.size is None else s.size
        if offset is None:
            body += bytes(-len(body) % 4)
            offset = len(body)
            body += s.data
        if s.kind == SYMTAB:
            self.at |= {f"symbol{i}": offset + SYMBOL_SIZE * (i + 1) for i in range(len(self.symbols))}
        return name, s.kind, s.flags, s.addr, offset, size, s.link, 0, 4, s.entsize

    def _in_segment(self, address: int) -> int | None:
        for index, load in enumerate(self.loads):
            if load.vaddr <= address < load.vaddr + max(len(load.data), 1):
                return self.at[f"load{index}"] + address - load.vaddr
        return None

    def place(self, record: str, name: str) -> tuple[int, int]:
        """(file offset, width) of a field, such as ("program0", "filesz")."""
        offset, width = field_places(record.rstrip("0123456789"))[name]
        return self.at[record] + offset, width

    def changed(self, record: str, name: str, value: int) -> bytes:
        """The file with one field changed."""
        data = bytearray(self.build())
        at, width = self.place(record, name)
        data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
        return bytes(data)
