"""Firmware as it lies in a device's memory, whatever kind of file it came from. Frozen data with look-ups."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from tinymlsec.target.firmware.lines import LineTable
from tinymlsec.target.firmware.short_names import short_name
from tinymlsec.target.firmware.symbol_index import SymbolIndex

Kind = Literal["elf", "hex", "uf2", "raw"]


@dataclass(frozen=True)
class Segment:
    """One run of bytes that is put into memory.

    Initialized variables are stored in flash and copied to RAM by the startup code: their `address` (where the bytes
    lie, LMA) and `virtual_address` (where code uses them, VMA) differ. Zeroed variables have memory and no data.
    """

    address: int
    """Physical (load) address of `data`."""
    data: bytes = field(repr=False)
    memory_size: int
    """Bytes taken from `virtual_address` on when the firmware runs; at least as many as `data` has."""
    access: str
    """Any of r, w and x."""
    virtual_address: int = -1
    """Address at run time; the load address where none is given."""
    offset: int | None = field(default=None, compare=False)
    """Of `data` in the file; None where the file is no plain copy of it (HEX, UF2)."""

    def __post_init__(self) -> None:
        if self.virtual_address < 0:
            object.__setattr__(self, "virtual_address", self.address)

    @property
    def end(self) -> int:
        """First address behind the data where it is stored."""
        return self.address + len(self.data)

    @property
    def virtual_end(self) -> int:
        """First address behind the memory that is used at run time."""
        return self.virtual_address + self.memory_size


@dataclass(frozen=True)
class Section:
    """One section of an ELF file."""

    name: str
    address: int
    size: int
    flags: str
    """Any of w (written), a (in memory), x (code), n (no bytes in the file)."""
    offset: int = 0
    """of its bytes in the file"""


class Symbol(NamedTuple):
    """A name for an address; a tuple, because firmware has tens of thousands."""

    name: str
    """As in the file, so names of C++ are mangled; control characters are replaced."""
    address: int
    """Without the Thumb bit."""
    size: int
    """bytes; 0 where the file does not tell"""
    kind: str
    """function, object or label"""
    binding: str = "global"
    """global, weak or local"""
    section: str = ""
    """Empty for absolute ones, such as constants of the linker script."""

    @property
    def short(self) -> str:
        """Name without parameters, compiler suffixes and mangling, such as ``tflite::ConvEval``."""
        return short_name(self.name)


@dataclass(frozen=True)
class VectorTable:
    """Start of an Arm Cortex-M image: initial stack pointer, reset handler, exception handlers."""

    address: int
    initial_sp: int
    reset: int
    """Address of the reset handler without the Thumb bit."""
    vectors: tuple[int, ...]
    """Words as they lie there, the first two included."""
    plausible: bool
    reason: str
    """Why it is taken for one, or what speaks against it."""


@dataclass(frozen=True)
class FirmwareImage:
    """Everything that a firmware file says."""

    kind: Kind
    machine: str
    """arm, riscv32, or empty where the file does not tell."""
    entry: int | None
    """Where execution starts, without the Thumb bit; None where neither the file nor a vector table tells."""
    segments: tuple[Segment, ...]
    """In order of load address."""
    symbols: Mapping[str, Symbol] = field(default_factory=dict, repr=False)
    """By name. Of several of one name the global one counts, then the weak, then the first; see `symbols_named`."""
    all_symbols: tuple[Symbol, ...] = field(default=(), repr=False)
    """In order of the file, with those that share a name."""
    sections: tuple[Section, ...] = field(default=(), repr=False)
    vectors: VectorTable | None = None
    digest: str = ""
    """SHA-256 of the file, hexadecimal."""
    build_id: str = ""
    """The linker's build id, hexadecimal."""
    producer: str = ""
    """Compilers and linkers as they call themselves."""
    architecture: str = ""
    """What an ELF file for Arm says it was built for, such as ``Armv7E-M``."""
    family: str = ""
    """Device family of a UF2 file, by name or number."""
    notes: tuple[str, ...] = ()
    """What was guessed, skipped or is odd."""
    lines: LineTable = field(default_factory=LineTable, repr=False, compare=False)
    """Source lines by address; read from the file at the first question."""

    @property
    def stripped(self) -> bool:
        """True where no symbol tells what lies where."""
        return not self.symbols

    @property
    def memory_size(self) -> int:
        """Bytes of all segments at run time."""
        return sum(segment.memory_size for segment in self.segments)

    @cached_property
    def _index(self) -> SymbolIndex:
        bounds = {s.name: (s.address, s.address + s.size) for s in self.sections if "a" in s.flags}
        return SymbolIndex(self.all_symbols, bounds)

    def symbol_at(self, address: int) -> tuple[str, int] | None:
        """Symbol that covers an address and the distance from its start; None where there is none.

        Args:
            address: without the Thumb bit.
        """
        return self._index.at(address)

    def symbols_named(self, name: str) -> tuple[Symbol, ...]:
        """All symbols of that name, mangled or short; static functions of several files may share one."""
        exact = tuple(symbol for symbol in self.all_symbols if symbol.name == name)
        return exact or tuple(symbol for symbol in self.all_symbols if symbol.short == name)

    def line_at(self, address: int) -> str:
        """``file:line`` of the code at an address, empty where the file does not tell.

        The first call reads all line tables; each after that is a bisection.
        """
        return self.lines.at(address)

    def read(self, address: int, size: int) -> bytes | None:
        """Bytes as stored (load addresses), None where the image does not hold all of them."""
        stored, starts = self._stored
        place = bisect_right(starts, address) - 1
        parts, end = [], address + max(size, 0)
        while 0 <= place < len(stored) and stored[place].address <= address < stored[place].end:
            segment = stored[place]
            parts.append(segment.data[address - segment.address : end - segment.address])
            address = segment.end
            if address >= end:
                return b"".join(parts)
            place += 1
        return None

    @cached_property
    def _stored(self) -> tuple[list[Segment], list[int]]:
        """Segments with data by load address, and these addresses."""
        stored = sorted((s for s in self.segments if s.data), key=lambda s: s.address)
        return stored, [segment.address for segment in stored]

    def stored(self) -> tuple[tuple[int, bytes], ...]:
        """(address, bytes) of all data by load address, neighbors joined: what a programmer writes to the device."""
        runs: list[tuple[int, list[bytes]]] = []
        end = -1
        for segment in self._stored[0]:
            if segment.address == end:
                runs[-1][1].append(segment.data)
            else:
                runs.append((segment.address, [segment.data]))
            end = segment.end
        return tuple((address, b"".join(parts)) for address, parts in runs)
