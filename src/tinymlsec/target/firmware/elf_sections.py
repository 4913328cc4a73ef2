"""Sections of an ELF file: names, addresses, bytes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware import elf_layout as elf
from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.elf_header import ElfHeader
from tinymlsec.target.firmware.image import Section
from tinymlsec.target.firmware.limits import MAX_DEBUG_BYTES, MAX_NAME, names_budget
from tinymlsec.target.firmware.line_bytes import Damaged, printable

_FLAGS = (("w", elf.FLAG_WRITE), ("a", elf.FLAG_ALLOC), ("x", elf.FLAG_EXEC))
_COMPRESSION_HEADER = 12
_ZLIB = 1


class NameBudget:
    """Names of one string table. What they share of it, they may share only so often.

    Args:
        data: the whole file.
        start: of the table.
        size: of the table.
    """

    def __init__(self, data: bytes, start: int, size: int) -> None:
        self._data, self._start, self._end = data, start, start + size
        self._left = names_budget(size)

    def name(self, offset: int, at: int) -> str:
        """Name at an offset in the table; one that is too long is cut.

        Args:
            offset: in the table.
            at: file offset of the field that refers to it.

        Raises:
            FirmwareError: it is not in the table, or all names together are too long.
        """
        start = self._start + offset
        if start >= self._end and offset:
            expected = f"less than 0x{self._end - self._start:x}"
            damaged("a name lies outside of its string table", at, found=f"offset 0x{offset:x}", expected=expected)
        limit = min(self._end, start + MAX_NAME)
        end = self._data.find(b"\0", start, limit)
        text = self._data[start : limit if end < 0 else end]
        self._left -= len(text)
        if self._left < 0:
            damaged(
                "names of symbols are longer than their string table explains",
                at,
                found="many names at the same bytes",
                expected="names that share few bytes",
            )
        return printable(text)


@dataclass(frozen=True)
class Sections:
    """The section table, and access to the bytes."""

    data: bytes
    at: int
    """File offset of the table."""
    table: NDArray[np.void]
    sections: tuple[Section, ...]

    def find(self, name: str) -> int | None:
        """Number of the first section of that name."""
        return next((index for index, section in enumerate(self.sections) if section.name == name), None)

    def offset_of(self, index: int, field: str) -> int:
        """File offset of a field of a section's header."""
        place: int = elf.SECTION.fields[field][1]  # type: ignore[index]  # the dtype has fields
        return self.at + index * elf.SECTION.itemsize + place

    def value(self, index: int, field: str) -> int:
        """A field of a section's header."""
        return int(self.table[index][field])

    def content(self, index: int, most: int) -> bytes:
        """Bytes of a section as they lie in the file, at most the first `most`."""
        if self.value(index, "type") == elf.NOBITS:
            return b""
        start = self.value(index, "offset")
        return self.data[start : start + min(self.value(index, "size"), most)]

    def unpacked(self, name: str) -> bytes:
        """Bytes of a section by name, empty where there is none.

        Raises:
            Damaged: it is compressed in a way we do not know, or is or unpacks to too much.
        """
        index = self.find(name)
        if index is None:
            return b""
        content = self.content(index, MAX_DEBUG_BYTES + 1)
        if len(content) > MAX_DEBUG_BYTES:
            raise Damaged(f"{name} has more than {MAX_DEBUG_BYTES:,} bytes")
        return _unpack(name, content) if self.value(index, "flags") & elf.FLAG_COMPRESSED else content


def read_sections(data: bytes, header: ElfHeader) -> Sections:
    """All sections.

    Raises:
        FirmwareError: one lies beyond the file, or its name outside of the table of names.
    """
    start = header.sections_at if header.sections else 0  # without a table the offset may be anything
    table: NDArray[Any] = np.frombuffer(data, elf.SECTION, header.sections, start)
    _check_inside(data, table, header.sections_at)
    found = Sections(data, header.sections_at, table, ())
    if not len(table):
        return found
    names = _names(found, header.names_section)
    sections = tuple(_section(found, index, names) for index in range(len(table)))
    return Sections(data, header.sections_at, table, sections)


def _check_inside(data: bytes, table: NDArray[Any], at: int) -> None:
    stored = (table["type"] != elf.NOBITS) & (table["type"] != 0)
    ends = table["offset"].astype(np.int64) + table["size"]
    bad = np.flatnonzero(stored & (ends > len(data)))
    if len(bad):
        index = int(bad[0])
        damaged(
            "the ELF file is truncated: a section lies beyond the end",
            at + index * elf.SECTION.itemsize + 16,
            found=f"section {index} ends at 0x{int(ends[index]):x} of a file of 0x{len(data):x} bytes",
        )


def _names(found: Sections, index: int) -> NameBudget | None:
    if index == 0:
        return None
    if index >= len(found.table) or found.value(index, "type") != elf.STRTAB:
        damaged(
            "the names of sections are missing",
            50,
            found=f"section {index} of {len(found.table)}",
            expected="the number of a string table",
        )
    return NameBudget(found.data, found.value(index, "offset"), found.value(index, "size"))


def _section(found: Sections, index: int, names: NameBudget | None) -> Section:
    flags = found.value(index, "flags")
    letters = "".join(letter for letter, bit in _FLAGS if flags & bit)
    letters += "n" if found.value(index, "type") == elf.NOBITS else ""
    name = names.name(found.value(index, "name"), found.offset_of(index, "name")) if names else ""
    place = found.value(index, "addr"), found.value(index, "size")
    return Section(name, *place, letters, found.value(index, "offset"))


def _unpack(name: str, content: bytes) -> bytes:
    if len(content) < _COMPRESSION_HEADER or int.from_bytes(content[:4], "little") != _ZLIB:
        raise Damaged(f"{name} is compressed by another method than zlib")
    try:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(content[_COMPRESSION_HEADER:], MAX_DEBUG_BYTES)
    except zlib.error as error:
        raise Damaged(f"{name} cannot be unpacked: {error}") from error
    if unpacker.unconsumed_tail:
        raise Damaged(f"{name} unpacks to more than {MAX_DEBUG_BYTES:,} bytes")
    return unpacked
