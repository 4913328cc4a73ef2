"""Sound firmware files that tests start from."""

from __future__ import annotations

import struct

from firmware.elf_builder import FUNC, GLOBAL, LOCAL, NOBITS, NOTE, NOTYPE, OBJECT, RISCV, WEAK, Elf, Load, Sec, Sym
from firmware.line_builder import line_table
from tinymlsec.target.firmware import FirmwareImage, Segment, load_image, write_bin, write_hex, write_uf2

FLASH, RAM = 0x0800_0000, 0x2000_0000
CODE = FLASH + 0x100
VECTORS = struct.pack("<16I", RAM + 0x4000, CODE | 1, *[CODE + 0x21] * 14)
ALLOC, WRITE, EXEC = 2, 1, 4
BUILD_ID = bytes.fromhex("0123456789abcdef")


def arm_elf() -> Elf:
    """Vector table, code, initialized variables (stored in flash, used in RAM), zeroed ones, symbols, lines."""
    text = VECTORS + bytes(0xC0) + bytes(range(128)) * 2
    return Elf(
        loads=[
            Load(FLASH, text),
            Load(RAM, b"initial values..", flags=6, paddr=FLASH + len(text)),
            Load(RAM + 16, b"", flags=6, memsz=0x400),
        ],
        sections=[
            Sec(".isr_vector", flags=ALLOC, addr=FLASH, size=len(VECTORS)),
            Sec(".text", flags=ALLOC | EXEC, addr=CODE, size=256),
            Sec(".data", flags=ALLOC | WRITE, addr=RAM, size=16),
            Sec(".bss", kind=NOBITS, flags=ALLOC | WRITE, addr=RAM + 16, size=0x400),
            Sec(".note.gnu.build-id", struct.pack("<III4s", 4, 8, 3, b"GNU\0") + BUILD_ID, NOTE),
            Sec(".comment", b"GCC: (hand made) 1.0\0GCC: (hand made) 1.0\0"),
            Sec(".debug_line", line_table(CODE, [(0, 10), (4, 11), (8, 0), (12, 14)], 32, "main.c")),
        ],
        symbols=[
            Sym("$t", CODE, kind=NOTYPE, bind=LOCAL, section=2),
            Sym("main", CODE | 1, 32, FUNC, GLOBAL, 2),
            Sym("_ZN6tflite12_GLOBAL__N_18ConvEvalEP13TfLiteContext", (CODE + 32) | 1, 32, FUNC, LOCAL, 2),
            Sym("twice", (CODE + 64) | 1, 8, FUNC, LOCAL, 2),
            Sym("twice", (CODE + 72) | 1, 8, FUNC, LOCAL, 2),
            Sym("alias", CODE | 1, 32, FUNC, WEAK, 2),
            Sym("label", CODE + 128, 0, NOTYPE, LOCAL, 2),
            Sym("values", RAM, 16, OBJECT, GLOBAL, 3),
            Sym("zeroed", RAM + 16, 0x400, OBJECT, GLOBAL, 4),
            Sym("_estack", RAM + 0x4000, 0, NOTYPE, GLOBAL, 0xFFF1),
            Sym("missing", 0, 0, NOTYPE, GLOBAL, 0),
        ],
        entry=CODE | 1,
    )  # fmt: skip


def riscv_elf() -> Elf:
    code = bytes(range(64))
    return Elf(
        loads=[Load(0x4200_0000, code), Load(0x3FC8_0000, b"data", flags=6, paddr=0x4200_0100)],
        sections=[Sec(".text", flags=ALLOC | EXEC, addr=0x4200_0000, size=64)],
        symbols=[Sym("_start", 0x4200_0000, 32), Sym("odd", 0x4200_0021, 4, OBJECT), Sym("$x", 0x4200_0000, 0, NOTYPE)],
        machine=RISCV,
        entry=0x4200_0000,
    )


def image() -> FirmwareImage:
    return load_image(arm_elf().build())


def scattered() -> FirmwareImage:
    """Data with gaps, odd addresses, and a 64 KiB border."""
    runs = ((0x0800_0003, b"\x01\x02\x03"), (0x0800_FFF0, bytes(range(64))), (0x1FFF_7800, b"option bytes"))
    return FirmwareImage("raw", "", 0x0800_0100, tuple(Segment(a, d, len(d), "rx") for a, d in runs))


SEEDS = {
    "elf arm": lambda: arm_elf().build(),
    "elf riscv": lambda: riscv_elf().build(),
    "hex": lambda: write_hex(image()),
    "hex scattered": lambda: write_hex(scattered()),
    "uf2": lambda: write_uf2(image(), "STM32L4"),
    "uf2 pages": lambda: write_uf2(scattered(), pages=True),
    "raw": lambda: write_bin(image()),
}
"""Name -> bytes of a file that is read without complaint."""
