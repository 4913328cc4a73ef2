"""Damaged and foreign firmware files, each with what the error has to say."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from firmware.elf_builder import Elf, Load, Sec, Sym
from firmware.sound_firmware import CODE, FLASH, RAM, arm_elf, image, riscv_elf
from tinymlsec.target.firmware import write_hex, write_uf2


class Bad(NamedTuple):
    make: Callable[[], bytes]
    message: str
    """Part of the error's message."""
    found: str
    """Part of what it says was found."""
    options: dict[str, Any] = {}  # noqa: RUF012  # a named tuple's default


def elf(record: str, name: str, value: int) -> Callable[[], bytes]:
    return lambda: arm_elf().changed(record, name, value)


def ident(place: int, value: int) -> Callable[[], bytes]:
    def make() -> bytes:
        data = bytearray(arm_elf().build())
        data[place] = value
        return bytes(data)

    return make


def loads(*segments: Load) -> Callable[[], bytes]:
    return lambda: Elf(loads=list(segments), entry=FLASH).build()


def hex_lines(change: Callable[[list[str]], object]) -> Callable[[], bytes]:
    def make() -> bytes:
        lines = write_hex(image()).decode().splitlines()
        change(lines)
        return ("\n".join(lines) + "\n").encode()

    return make


def record(address: int, kind: int, data: bytes) -> str:
    body = bytes([len(data)]) + address.to_bytes(2, "big") + bytes([kind]) + data
    return ":" + (body + bytes([-sum(body) % 256])).hex()


def uf2(block: int, place: int, value: int) -> Callable[[], bytes]:
    def make() -> bytes:
        data = bytearray(write_uf2(image(), "RP2040"))
        struct.pack_into("<I", data, 512 * block + place, value)
        return bytes(data)

    return make


def checksum(payload: int, digest: bytes) -> Callable[[], bytes]:
    """A block that carries the checksum of its own 256 bytes."""

    def make() -> bytes:
        data = bytearray(write_uf2(image(), "RP2040"))
        struct.pack_into("<III", data, 512 + 8, 0x6000, FLASH + 0x100, payload)
        data[512 + 508 - 24 : 512 + 508] = struct.pack("<II16s", FLASH + 0x100, 256, digest)
        return bytes(data)

    return make


def many_names() -> bytes:
    """40,000 symbols that all share one name of 4 KB: 160 MB of names in a file of 0.7 MB."""
    built = Elf(
        loads=[Load(FLASH, bytes(64))],
        sections=[Sec(".text", flags=6, addr=FLASH, size=64)],
        symbols=[Sym("n" * 4000, FLASH, 4), *(Sym("", FLASH, 4) for _ in range(40_000))],
    )
    data = bytearray(built.build())
    for index in range(40_000):
        at, _ = built.place(f"symbol{index + 1}", "name")
        data[at : at + 4] = (1).to_bytes(4, "little")
    return bytes(data)


SYMTAB = "section8"
"""Number of .symtab in arm_elf."""

MALFORMED: dict[str, Bad] = {
    "empty": Bad(lambda: b"", "is empty", "0 bytes"),
    "elf: only the magic": Bad(lambda: b"\x7fELF", "truncated", "4 bytes"),
    "elf: 64 bit": Bad(ident(4, 2), "no 32-bit ELF", "64-bit"),
    "elf: no class": Bad(ident(4, 7), "no 32-bit ELF", "class 7"),
    "elf: big endian": Bad(ident(5, 2), "no little-endian", "big endian"),
    "elf: version": Bad(ident(6, 9), "version is not known", "9"),
    "elf: x86": Bad(elf("header", "machine", 3), "another machine", "x86"),
    "elf: AArch64": Bad(elf("header", "machine", 183), "another machine", "AArch64"),
    "elf: Xtensa": Bad(elf("header", "machine", 94), "another machine", "Xtensa"),
    "elf: AVR": Bad(elf("header", "machine", 83), "another machine", "AVR"),
    "elf: unknown machine": Bad(elf("header", "machine", 4242), "another machine", "4242"),
    "elf: not the machine asked for": Bad(lambda: arm_elf().build(), "another machine", "arm", {"machine": "riscv32"}),
    "elf: RISC-V where Arm is asked for": Bad(
        lambda: riscv_elf().build(), "another machine", "riscv32", {"machine": "arm"}
    ),
    "elf: object file": Bad(elf("header", "type", 1), "no executable", "relocatable object"),
    "elf: shared object": Bad(elf("header", "type", 3), "no executable", "shared object"),
    "elf: core dump": Bad(elf("header", "type", 4), "no executable", "core dump"),
    "elf: no segments": Bad(elf("header", "phnum", 0), "no segments", "0 program headers"),
    "elf: nothing to load": Bad(loads(Load(FLASH, b"", memsz=0)), "no segments", "none of kind LOAD"),
    "elf: too many segments": Bad(elf("header", "phnum", 60_000), "too many program headers", "60,000"),
    "elf: too many sections": Bad(elf("header", "shnum", 60_000), "too many section headers", "60,000"),
    "elf: size of program headers": Bad(elf("header", "phentsize", 56), "program headers have a wrong size", "56"),
    "elf: size of section headers": Bad(elf("header", "shentsize", 0), "section headers have a wrong size", "0 bytes"),
    "elf: program headers beyond the file": Bad(elf("header", "phoff", 0xFFFFFFF0), "program headers lie", "0x10000"),
    "elf: section headers beyond the file": Bad(elf("header", "shoff", 1 << 30), "section headers lie", "0x40000"),
    "elf: cut off": Bad(lambda: arm_elf().build()[:-1], "section headers lie", "end at"),
    "elf: segment beyond the file": Bad(elf("program0", "filesz", 1 << 20), "a segment lies beyond", "of a file of"),
    "elf: segment starts beyond the file": Bad(elf("program0", "offset", 0xFFFFFF00), "a segment lies", "of a file of"),
    "elf: more bytes than memory": Bad(elf("program0", "memsz", 4), "more bytes than memory", "512 bytes"),
    "elf: address wraps": Bad(elf("program2", "vaddr", 0xFFFFFF00), "behind the last address", "0xffffff00"),
    "elf: load address wraps": Bad(elf("program1", "paddr", 0xFFFFFFF8), "behind the last address", "0xfffffff8"),
    "elf: huge memory": Bad(elf("program2", "memsz", 0xC0000000), "more memory than", "3,221,22"),
    "elf: huge in sum": Bad(
        loads(*(Load(0x1000_0000 * i, b"", 6, memsz=33 << 20) for i in (1, 2))), "more memory than", "69,206,016"
    ),
    "elf: overlap where stored": Bad(
        loads(Load(FLASH, bytes(64)), Load(RAM, bytes(64), 6, FLASH + 60)), "two segments overlap", "0x0800003c"
    ),
    "elf: overlap at run time": Bad(
        loads(Load(FLASH, bytes(64)), Load(RAM, b"", 6, memsz=64), Load(RAM + 63, b"", 6, memsz=8)),
        "(at run time) overlap",
        "0x2000003f",
    ),
    "elf: one inside another": Bad(
        loads(Load(FLASH, bytes(64)), Load(FLASH + 4, bytes(4))), "two segments overlap", "0x08000004 to 0x08000008"
    ),
    "elf: section beyond the file": Bad(elf("section2", "size", 1 << 28), "a section lies beyond", "section 2 ends"),
    "elf: no names of sections": Bad(elf("header", "shstrndx", 99), "names of sections", "section 99"),
    "elf: names of sections are none": Bad(elf("header", "shstrndx", 2), "names of sections", "section 2"),
    "elf: name outside": Bad(elf("section1", "name", 1 << 20), "outside of its string table", "0x100000"),
    "elf: symbol name outside": Bad(elf("symbol1", "name", 1 << 20), "outside of its string table", "0x100000"),
    "elf: program of an operating system": Bad(elf("program2", "type", 3), "is no firmware", "operating system"),
    "elf: no string table": Bad(elf(SYMTAB, "link", 1), "no string table", "section 1"),
    "elf: string table does not exist": Bad(elf(SYMTAB, "link", 1 << 31), "no string table", "2147483648"),
    "elf: size of the symbol table": Bad(elf(SYMTAB, "size", 33), "symbol table has a wrong size", "33 bytes"),
    "elf: size of symbols": Bad(elf(SYMTAB, "entsize", 24), "symbol table has a wrong size", "entries of 24"),
    "elf: names that share their bytes": Bad(many_names, "string table explains", "same bytes"),
    "hex: checksum": Bad(
        hex_lines(lambda x: x.__setitem__(2, x[2][:-2] + "00")), "line 3: a checksum is wrong", "00"
    ),
    "hex: digits": Bad(
        hex_lines(lambda x: x.__setitem__(4, x[4][:9] + "xy" + x[4][11:])), "line 5: a record has", "xy"
    ),
    "hex: odd digits": Bad(hex_lines(lambda x: x.__setitem__(1, x[1] + "0")), "line 2: a record has", ":10"),
    "hex: length": Bad(hex_lines(lambda x: x.__setitem__(1, x[1][:-2])), "line 2: a record has the wrong length", "15"),
    "hex: no record": Bad(hex_lines(lambda x: x.insert(3, "# comment")), "line 4: a line is no record", "# comment"),
    "hex: type": Bad(hex_lines(lambda x: x.insert(1, record(0, 6, b"ab"))), "line 2: the type of a record", "06"),
    "hex: address record": Bad(
        hex_lines(lambda x: x.insert(1, record(0, 4, b"a"))), "line 2: a record has the", "1 byte"
    ),
    "hex: end record with data": Bad(
        hex_lines(lambda x: x.insert(1, record(0, 1, b"a"))), "line 2: a record", "1 byte"
    ),
    "hex: overlap": Bad(hex_lines(lambda x: x.insert(5, x[2])), "two records overlap", "line 3) and"),
    "hex: no end": Bad(hex_lines(lambda x: x.pop()), "truncated", "no end record"),
    "hex: more behind the end": Bad(hex_lines(lambda x: x.append(x[0])), "more behind the end", ":02000004"),
    "hex: no data": Bad(lambda: b":00000001FF\n", "holds no data", "no record"),
    "hex: wraps in its segment": Bad(
        lambda: f"{record(0, 2, b'12')}\n{record(0xFFFE, 0, b'abcd')}\n:00000001FF".encode(),
        "line 2: a record wraps", "",
    ),
    "hex: behind the last address": Bad(
        lambda: f"{record(0, 4, bytes([255, 255]))}\n{record(0xFFFE, 0, b'abcd')}\n:00000001FF".encode(),
        "a record ends behind the last",
        "0xfffffffe",
    ),
    "uf2: size": Bad(lambda: write_uf2(image())[:-1], "UF2 file is truncated", "bytes"),
    "uf2: half missing": Bad(lambda: write_uf2(image())[:1024], "UF2 file is truncated", "2 of 3 blocks"),
    "uf2: second magic": Bad(uf2(1, 4, 7), "block 1 of the UF2 file has a wrong magic", "0x00000007"),
    "uf2: first magic of a later block": Bad(uf2(2, 0, 7), "block 2 of the UF2 file has a wrong magic", "0x00000007"),
    "uf2: last magic": Bad(uf2(0, 508, 0), "block 0 of the UF2 file has a wrong magic", "0x00000000"),
    "uf2: payload": Bad(uf2(1, 16, 477), "block 1 of the UF2 file has a wrong payload", "477"),
    "uf2: payload runs into the checksum": Bad(
        checksum(460, b""), "block 1 of the UF2 file has a wrong payload", "460"
    ),
    "uf2: checksum": Bad(checksum(256, bytes(16)), "checksum of 0x08000100 to 0x08000200 in the UF2 file is wrong", ""),
    "uf2: no payload": Bad(uf2(1, 16, 0), "block 1 of the UF2 file has a wrong payload", "0 bytes"),
    "uf2: number": Bad(uf2(1, 20, 3), "block 1 of the UF2 file has a wrong number", "3"),
    "uf2: number twice": Bad(uf2(1, 20, 2), "number 2 occurs in two blocks", "2 blocks"),
    "uf2: total": Bad(uf2(2, 24, 9), "block 2 of the UF2 file says another number", "9"),
    "uf2: overlap": Bad(uf2(1, 12, FLASH + 8), "two blocks overlap", "block 0) and"),
    "uf2: behind the last address": Bad(uf2(1, 12, 0xFFFFFFF0), "behind the last address", "0xfffffff0"),
    "uf2: two families": Bad(
        lambda: write_uf2(image(), "RP2040") + write_uf2(image(), 0xDEAD0001), "several device families", "0xdead0001"
    ),
    "uf2: not the family asked for": Bad(
        lambda: write_uf2(image(), "RP2040"), "nothing for SAMD51", "RP2040", {"family": "SAMD51"}
    ),
    "uf2: files only": Bad(
        lambda: b"".join(
            write_uf2(image())[i : i + 8] + struct.pack("<I", 0x1000) + write_uf2(image())[i + 12 : i + 512]
            for i in range(0, 1536, 512)
        ),
        "holds no firmware", "3 blocks of files",
    ),
    "raw: text": Bad(
        lambda: b"hello world, this is no firmware\n" * 9, "address of the raw image is missing", "no vector"
    ),
    "raw: model": Bad(lambda: b"\x1c\0\0\0TFL3" + bytes(100), "no firmware image", "a model file"),
    "raw: zip": Bad(lambda: b"PK\x03\x04" + bytes(100), "no firmware image", "zip"),
    "raw: RISC-V": Bad(lambda: bytes(64), "address of the raw image is missing", "RISC-V", {"machine": "riscv32"}),
    "raw: stack is no RAM": Bad(
        lambda: struct.pack("<4I", 0x5000_0000, CODE | 1, CODE | 1, CODE | 1) + bytes(512),
        "address of the raw", "no vector",
    ),
    "raw: wraps": Bad(lambda: bytes(64), "behind the last address", "0xfffffff0", {"base": 0xFFFFFFF0}),
    "raw: address": Bad(lambda: bytes(64), "base address is no address", "0x100000000", {"base": 1 << 32}),
}  # fmt: skip
