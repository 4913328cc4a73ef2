"""Where the fields of a 32-bit little-endian ELF file lie, and names of its numbers.

Source: System V Application Binary Interface, Object Files; ELF for the Arm Architecture (IHI 0044); RISC-V ELF psABI.
"""

from __future__ import annotations

import numpy as np

HEADER = np.dtype(
    [
        ("ident", "V16"),
        ("type", "<u2"),
        ("machine", "<u2"),
        ("version", "<u4"),
        ("entry", "<u4"),
        ("phoff", "<u4"),
        ("shoff", "<u4"),
        ("flags", "<u4"),
        ("ehsize", "<u2"),
        ("phentsize", "<u2"),
        ("phnum", "<u2"),
        ("shentsize", "<u2"),
        ("shnum", "<u2"),
        ("shstrndx", "<u2"),
    ]
)
PROGRAM = np.dtype(
    [(name, "<u4") for name in ("type", "offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align")]
)
SECTION = np.dtype(
    [
        (name, "<u4")
        for name in ("name", "type", "flags", "addr", "offset", "size", "link", "info", "addralign", "entsize")
    ]
)
SYMBOL = np.dtype(
    [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("shndx", "<u2")]
)

MACHINES = {40: "arm", 243: "riscv32"}
OTHER_MACHINES = {
    2: "SPARC",
    3: "x86 (32 bit)",
    4: "Motorola 68000",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC (64 bit)",
    22: "IBM S/390",
    42: "SuperH",
    62: "x86-64",
    83: "AVR",
    92: "OpenRISC",
    93: "ARC",
    94: "Xtensa",
    105: "TI MSP430",
    113: "Altera Nios II",
    164: "Qualcomm Hexagon",
    173: "Renesas RX",
    183: "AArch64",
    189: "MicroBlaze",
    195: "ARC (ARCv2)",
    252: "C-SKY",
    258: "LoongArch",
}
TYPES = {0: "no type", 1: "a relocatable object", 2: "an executable", 3: "a shared object", 4: "a core dump"}

LOAD, INTERPRETER = 1, 3
EXECUTE, WRITE, READ = 1, 2, 4
SYMTAB, STRTAB, NOTE, NOBITS = 2, 3, 7, 8
FLAG_WRITE, FLAG_ALLOC, FLAG_EXEC, FLAG_COMPRESSED = 1, 2, 4, 0x800
ABSOLUTE, RESERVED = 0xFFF1, 0xFF00
