"""Makes damaged firmware files from sound ones, knowing what each place in them means."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from firmware.elf_builder import HEADER_SIZE, PROGRAM_SIZE, SECTION_SIZE, SYMBOL_SIZE, SYMTAB, field_places
from fuzz.blind import BlindMutator
from tinymlsec.target.firmware.load import kind_of

BLOCK = 512
UF2_FIELDS = {name: (4 * place, 4) for place, name in enumerate(
    ("start0", "start1", "flags", "address", "payload", "number", "count", "family"))}  # fmt: skip
UF2_FLAGS = (0, 1, 0x1000, 0x2000, 0x4000, 0x8000, 0xE000)
ADDRESSES = (0, 0x100, 0x0800_0000, 0x0800_0100, 0x1000_0000, 0x1FFF_FFFC, 0x2000_0000, 0x2000_4000, 0xFFFF_FFF0)
MAX_SYMBOL_FIELDS = 64
"""Symbols of one file whose fields are changed; there are thousands alike."""


@dataclass(frozen=True)
class FirmwareSeed:
    """A sound file and where everything in it lies."""

    data: bytes
    kind: str
    fields: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Kind of record -> (offset, width) of fields."""
    areas: tuple[tuple[int, int], ...] = ()
    """(start, end) of what is a small language of its own: line tables, attributes, notes, names."""


def prepare(data: bytes) -> FirmwareSeed:
    """Where everything lies in a sound file."""
    kind = kind_of(data)
    if kind == "elf":
        return _elf(data)
    if kind == "uf2":
        starts = range(0, len(data), BLOCK)
        places = [(at + place, width) for at in starts for place, width in UF2_FIELDS.values()]
        return FirmwareSeed(data, kind, {"block": places}, tuple((at + 32, at + 508) for at in starts))
    if kind == "raw":
        return FirmwareSeed(data, kind, {"vector": [(4 * i, 4) for i in range(min(64, len(data) // 4))]})
    return FirmwareSeed(data, kind)


def _elf(data: bytes) -> FirmwareSeed:
    phoff, shoff = struct.unpack_from("<II", data, 28)
    phnum, shnum = struct.unpack_from("<H", data, 44)[0], struct.unpack_from("<H", data, 48)[0]
    fields = {
        "header": _places("header", [0]),
        "program": _places("program", [phoff + PROGRAM_SIZE * i for i in range(phnum)]),
        "section": _places("section", [shoff + SECTION_SIZE * i for i in range(shnum)]),
        "symbol": [],
    }
    areas = []
    for index in range(shnum):
        _, kind, flags, _, offset, size = struct.unpack_from("<6I", data, shoff + SECTION_SIZE * index)
        if kind == SYMTAB:
            count = min(size // SYMBOL_SIZE, MAX_SYMBOL_FIELDS)
            fields["symbol"] = _places("symbol", [offset + SYMBOL_SIZE * i for i in range(count)])
        elif not flags & 2 and kind not in (0, 8) and size:
            areas.append((offset, offset + size))
    assert phoff >= HEADER_SIZE
    return FirmwareSeed(data, "elf", fields, tuple(areas))


def _places(kind: str, starts: Sequence[int]) -> list[tuple[int, int]]:
    places = [place for name, place in field_places(kind).items() if name != "ident"]
    return [(start + at, width) for start in starts for at, width in places]


class FirmwareMutator(BlindMutator):
    """A stream of damaged ELF, HEX, UF2 and raw files.

    Args:
        seeds: sound files to start from.
        rng: the only source of chance.
    """

    def __init__(self, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
        super().__init__([prepare(data) for data in seeds], rng)
        self.by_meaning = (self.change,)
        self.of_kind: dict[str, tuple[Callable[[bytearray, FirmwareSeed], None], ...]] = {
            "elf": (self.change_field, self.change_field, self.change_field, self.change_area, self.copy_record),
            "uf2": (self.change_field, self.change_field, self.change_flags, self.change_area, self.move_blocks),
            "hex": (self.change_record, self.change_record, self.change_record, self.move_lines, self.add_record),
            "raw": (self.change_field,),
        }

    def change(self, data: bytearray, seed: FirmwareSeed) -> None:
        self.pick(self.of_kind[seed.kind])(data, seed)

    def value(self, width: int) -> int:
        """An address, or a number at an edge."""
        return self.pick(ADDRESSES) + self.below(64) if width == 4 and self.below(3) == 0 else self.number(width)

    def change_field(self, data: bytearray, seed: FirmwareSeed) -> None:
        """A field of a header gets another value, or a little more or less than it had."""
        kinds = [kind for kind, places in seed.fields.items() if places]
        at, width = self.pick(seed.fields[self.pick(kinds)])
        old = int.from_bytes(data[at : at + width], "little")
        self.write(data, at, width, old + self.below(65) - 32 if self.below(3) == 0 else self.value(width))

    def change_area(self, data: bytearray, seed: FirmwareSeed) -> None:
        """Bytes or a number inside of line tables, attributes, notes and names."""
        if not seed.areas:
            return
        start, end = self.pick(seed.areas)
        near = self.below(2)  # mostly the start, where headers are
        at = start + self.below(min(end - start, 64) if near else end - start)
        if self.below(2):
            self.write(data, at, self.pick((1, 2, 4)), self.number(4))
        elif at < len(data):
            data[at] = self.pick((0, 1, 2, 0x7F, 0x80, 0xFF, self.below(256)))

    def copy_record(self, data: bytearray, seed: FirmwareSeed) -> None:
        """A program header, section header or symbol takes the place of another one."""
        kind, size = self.pick((("program", PROGRAM_SIZE), ("section", SECTION_SIZE), ("symbol", SYMBOL_SIZE)))
        starts = sorted({at for at, _ in seed.fields[kind]})
        starts = starts[:: len(field_places(kind))]
        if len(starts) > 1:
            source, target = self.pick(starts), self.pick(starts)
            if target + size <= len(data):
                data[target : target + size] = seed.data[source : source + size]

    def change_flags(self, data: bytearray, _: FirmwareSeed) -> None:
        """Flags and family of one UF2 block, or of all."""
        chosen = range(0, len(data) - BLOCK + 1, BLOCK)
        if not chosen:
            return
        flags, family = self.pick(UF2_FLAGS), self.pick((0xE48BFF56, 0xC47E5767, 0xE48BFF57, self.number(4)))
        for at in chosen if self.below(3) == 0 else (self.pick(chosen),):
            self.write(data, at + 8, 4, flags)
            if self.below(2):
                self.write(data, at + 28, 4, family)

    def move_blocks(self, data: bytearray, _: FirmwareSeed) -> None:
        """A UF2 block is copied over another one, removed, or appended once more."""
        count = len(data) // BLOCK
        if count == 0:
            return
        source, target = BLOCK * self.below(count), BLOCK * self.below(count)
        block = data[source : source + BLOCK]
        how = self.below(3)
        if how == 0:
            data[target : target + BLOCK] = block
        elif how == 1:
            del data[target : target + BLOCK]
        else:
            data += block

    def lines(self, data: bytearray) -> list[bytes]:
        return bytes(data).split(b"\n")

    def change_record(self, data: bytearray, _: FirmwareSeed) -> None:
        """A HEX record says something else; most times its checksum is right, so that the reader goes on."""
        lines = self.lines(data)
        place = self.below(len(lines))
        try:
            record = bytearray.fromhex(lines[place][1:].decode())
        except ValueError:
            return
        if len(record) < 5:
            return
        record[self.pick((0, 1, 2, 3, 3, self.below(len(record))))] = self.pick((0, 1, 2, 3, 4, 5, 6, self.below(256)))
        lines[place] = self.with_checksum(record)
        data[:] = b"\n".join(lines)

    def with_checksum(self, record: bytearray) -> bytes:
        if self.below(8):
            record[-1] = -sum(record[:-1]) % 256
        return b":" + record.hex().upper().encode()

    def add_record(self, data: bytearray, _: FirmwareSeed) -> None:
        """A record of any type is put anywhere."""
        lines = self.lines(data)
        body = self.rng.bytes(self.pick((0, 2, 2, 4, 16, 255)))
        record = bytearray([len(body), self.below(256), self.below(256), self.below(7), *body, 0])
        lines.insert(self.below(len(lines) + 1), self.with_checksum(record))
        data[:] = b"\n".join(lines)

    def move_lines(self, data: bytearray, _: FirmwareSeed) -> None:
        """Lines are swapped, removed or repeated, and ended in another way."""
        lines = self.lines(data)
        first, second = self.below(len(lines)), self.below(len(lines))
        how = self.below(4)
        if how == 0:
            lines[first], lines[second] = lines[second], lines[first]
        elif how == 1:
            del lines[first]
        elif how == 2:
            lines.insert(second, lines[first])
        data[:] = (b"\r\n", b"\n", b"\r")[self.below(3) if how == 3 else 1].join(lines)
