"""Symbols of an ELF file, also those of static functions; fields are taken apart for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware import elf_layout as elf
from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.elf_sections import NameBudget, Sections
from tinymlsec.target.firmware.image import Symbol
from tinymlsec.target.firmware.limits import MAX_SYMBOLS
from tinymlsec.target.firmware.symbol_index import rank

_KINDS = {0: "label", 1: "object", 2: "function", 5: "object", 10: "function"}
"""Types of symbols by number; sections, files and thread-local ones say nothing of addresses."""
_BINDINGS = {0: "local", 1: "global", 2: "weak"}
_MAPPING = ("$a", "$d", "$t", "$x")
"""Marks of Arm and RISC-V between code and data; thousands, and none is a name."""


def read_symbols(found: Sections, machine: str) -> tuple[Symbol, ...]:
    """Symbols of all symbol tables (.symtab), in order of the file.

    Args:
        found: the sections.
        machine: functions of Arm lose their Thumb bit.

    Raises:
        FirmwareError: too many, a table of the wrong size, or names outside of the string table.
    """
    symbols: list[Symbol] = []
    for index in np.flatnonzero(found.table["type"] == elf.SYMTAB):
        symbols.extend(_table(found, int(index), machine, MAX_SYMBOLS - len(symbols)))
    return tuple(symbols)


def by_name(symbols: Iterable[Symbol]) -> dict[str, Symbol]:
    """One symbol for each name: the global one, else a weak one, else the first."""
    named: dict[str, Symbol] = {}
    for symbol in symbols:
        known = named.setdefault(symbol.name, symbol)
        if known is not symbol and rank(symbol)[::-1] < rank(known)[::-1]:
            named[symbol.name] = symbol
    return named


def _table(found: Sections, index: int, machine: str, left: int) -> list[Symbol]:
    size = found.value(index, "size")
    count, rest = divmod(size, elf.SYMBOL.itemsize)
    if rest or found.value(index, "entsize") not in (0, elf.SYMBOL.itemsize):
        found_size = f"{size:,} bytes, entries of {found.value(index, 'entsize')}"
        at = found.offset_of(index, "size")
        damaged("the symbol table has a wrong size", at, found=found_size, expected="entries of 16 bytes")
    if count > left:
        at = found.offset_of(index, "size")
        damaged("too many symbols", at, found=f"{count:,}", expected=f"at most {MAX_SYMBOLS:,} in all")
    names = _string_table(found, index)
    start = found.value(index, "offset")
    table: NDArray[Any] = np.frombuffer(found.data, elf.SYMBOL, count, start)
    kinds, bindings = table["info"] & 15, table["info"] >> 4
    defined = (table["shndx"] != 0) & ((table["shndx"] < len(found.sections)) | (table["shndx"] == elf.ABSOLUTE))
    chosen = np.flatnonzero(defined & np.isin(kinds, list(_KINDS)) & np.isin(bindings, list(_BINDINGS)))
    values = table["value"].copy()
    if machine == "arm":
        values[(kinds == 2) | (kinds == 10)] &= np.uint32(0xFFFFFFFE)
    sections = {number: section.name for number, section in enumerate(found.sections)}
    columns = (chosen, table["name"][chosen], values[chosen], table["size"][chosen], kinds[chosen], bindings[chosen])
    symbols = []
    for number, name, value, length, kind, binding, section in zip(
        *(column.tolist() for column in columns), table["shndx"][chosen].tolist(), strict=True
    ):
        text = names.name(name, start + number * elf.SYMBOL.itemsize)
        if text and not (text[:2] in _MAPPING and (len(text) == 2 or text[2] == "." or machine != "arm")):
            symbols.append(Symbol(text, value, length, _KINDS[kind], _BINDINGS[binding], sections.get(section, "")))
    return symbols


def _string_table(found: Sections, index: int) -> NameBudget:
    link = found.value(index, "link")
    if link >= len(found.sections) or found.value(link, "type") != elf.STRTAB:
        damaged(
            "the symbol table has no string table",
            found.offset_of(index, "link"),
            found=f"section {link} of {len(found.sections)}",
            expected="the number of a string table",
        )
    return NameBudget(found.data, found.value(link, "offset"), found.value(link, "size"))
