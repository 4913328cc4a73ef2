"""Builds firmware images by code: a good one that no image rule objects to, and changes that break one rule each."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from firmware.elf_builder import FUNC, NOTYPE, OBJECT, Elf, Load, Sec, Sym
from tinymlsec.records import Finding
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Subject
from tinymlsec.rules.subjects import ImageFile
from tinymlsec.target.device import load_device
from tinymlsec.target.firmware import load_image

FLASH, RAM = 0x0800_0000, 0x2000_0000
CODE = FLASH + 0x100
DATA = FLASH + 0x800
ALLOC, WRITE, EXEC = 2, 1, 4
BX_LR = b"\x70\x47"


def movw(register: int, value: int) -> bytes:
    return _wide_move(0xF240, register, value & 0xFFFF)


def movt(register: int, value: int) -> bytes:
    return _wide_move(0xF2C0, register, value)


def _wide_move(first: int, register: int, value: int) -> bytes:
    top, rest = first | (value >> 11 & 1) << 10 | value >> 12, (value >> 8 & 7) << 12 | register << 8 | value & 0xFF
    return struct.pack("<HH", top, rest)


def store(address: int, value: int) -> bytes:
    """Code that stores a small constant to an address: MOVW, MOVT, MOVS, STR."""
    moved = movw(0, address) + movt(0, address >> 16)
    constant = struct.pack("<H", 0x2100 | value) if value < 256 else movw(1, value) + movt(1, value >> 16)
    return moved + constant + b"\x01\x60"


ENABLE_MPU = store(0xE000ED94, 5)
SYMBOLS = (
    Sym("Reset_Handler", CODE | 1, 64, FUNC, section=1),
    Sym("__stack_chk_fail", (CODE + 64) | 1, 4, FUNC, section=1),
)


@dataclass(frozen=True)
class Firmware:
    """What to build."""

    code: bytes = ENABLE_MPU
    content: bytes = b""
    """Stored at DATA."""
    symbols: tuple[Sym, ...] = SYMBOLS
    stack: int = RAM + 0x1000
    ram: tuple[Load, ...] = (Load(RAM + 0x1000, b"", flags=6, memsz=0x400),)
    """Variables lie above the stack: an overflow faults."""
    extra: tuple[Load, ...] = ()
    sections: tuple[Sec, ...] = ()
    device: str = "stm32l475vg"
    models: tuple[bytes, ...] = ()
    vectors: bool = True

    def elf(self) -> tuple[bytes, Elf]:
        table = struct.pack("<16I", self.stack, CODE | 1, *[(CODE + 0x21)] * 14) if self.vectors else bytes(64)
        text = (table.ljust(0x100, b"\0") + self.code + BX_LR).ljust(0x800, b"\0") + self.content
        text += bytes(-len(text) % 4)
        elf = Elf(
            loads=[Load(FLASH, text), *self.ram, *self.extra],
            sections=[Sec(".text", flags=ALLOC | EXEC, addr=CODE, size=len(text) - 0x100), *self.sections],
            symbols=list(self.symbols),
            entry=CODE | 1,
        )
        return elf.build(), elf

    def file(self) -> ImageFile:
        data, _ = self.elf()
        return ImageFile("test.elf", data, load_image(data), load_device(self.device), self.models)

    def raw(self, device: str | None = None) -> ImageFile:
        """The same flash content without ELF around it."""
        _, elf = self.elf()
        flash = elf.loads[0].data
        return ImageFile(
            "test.bin", flash, load_image(flash, base=FLASH), load_device(device or self.device), self.models
        )

    def offset(self, address: int) -> int:
        """File offset in the ELF file of a byte in flash."""
        _, elf = self.elf()
        return elf.at["load0"] + address - FLASH


def findings(file: ImageFile) -> list[Finding]:
    """What all image rules of these families say."""
    families = ("MEM", "SECRET", "BUILD", "DUMP")
    rules = [rule for rule in rule_book().about(Subject.IMAGE) if rule.family in families]
    return [finding for rule in rules for finding in rule.findings(file)]


def ids(file: ImageFile) -> list[str]:
    return [finding.id for finding in findings(file)]


def with_text(text: bytes) -> Firmware:
    """The good firmware with a text in flash."""
    return Firmware(content=b"\0" + text + b"\0")


def without_canaries(firmware: Firmware) -> Firmware:
    return replace(firmware, symbols=tuple(s for s in firmware.symbols if "stack_chk" not in s.name))


def constant(name: str, content: bytes) -> Firmware:
    """The good firmware with a named constant at DATA."""
    symbol = Sym(name, DATA, len(content), OBJECT, section=1)
    return Firmware(content=content, symbols=(*SYMBOLS, symbol))


def function(name: str) -> Firmware:
    symbol = Sym(name, (CODE + 68) | 1, 4, FUNC, section=1)
    return Firmware(symbols=(*SYMBOLS, symbol))


__all__ = [
    "CODE", "DATA", "FLASH", "NOTYPE", "RAM", "SYMBOLS", "Firmware", "constant", "findings", "function", "ids", "store",
    "with_text", "without_canaries",
]  # fmt: skip
