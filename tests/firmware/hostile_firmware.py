"""Files that are small for what they ask for: each tries to take minutes or gigabytes of whoever reads it.

    python tests/firmware/hostile_firmware.py NAME

reads one and prints what became of it, how long it took and how much memory. One process a file, so that the peak of
its memory is its own.
"""

from __future__ import annotations

import json
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from firmware import line_builder as lb
from firmware.elf_builder import NOTE, Elf, Load, Sec, Sym
from firmware.malformed_firmware import record
from firmware.sound_firmware import FLASH, RAM
from tinymlsec.errors import InputError
from tinymlsec.target.firmware import load_image
from tinymlsec.target.firmware.limits import MAX_FILE_BYTES, MAX_LINE_BYTES, MAX_RECORDS, MAX_SYMBOLS

TABLE = struct.pack("<4I", RAM + 0x4000, 1, 1, 1)
"""Looks like a vector table at first, and is none."""


def hex_of(pieces: int, data: bytes, step: int) -> bytes:
    lines, upper = [], -1
    for index in range(pieces):
        address = FLASH + index * step
        if address >> 16 != upper:
            upper = address >> 16
            lines.append(record(0, 4, upper.to_bytes(2, "big")))
        lines.append(record(address & 0xFFFF, 0, data))
    return ("\n".join([*lines, ":00000001FF"]) + "\n").encode()


def uf2_of(blocks: int, payload: int, *, flags: int, step: int, families: int = 1, checksums: bool = False) -> bytes:
    import numpy as np

    from tinymlsec.target.firmware.uf2_layout import BLOCK, END, START_0, START_1

    table = np.zeros(blocks, BLOCK)
    numbers = np.arange(blocks)
    table["start0"], table["start1"], table["end"], table["flags"] = START_0, START_1, END, flags
    table["payload"], table["count"], table["number"] = payload, blocks, numbers
    table["address"], table["family"] = FLASH + step * numbers, 0x12345678 + numbers % families
    table["data"][:, :16] = np.frombuffer(TABLE, np.uint8)
    if checksums:
        table["data"][:, -24:-20] = (FLASH + 0x1000_0000 + numbers).astype("<u4").view(np.uint8).reshape(-1, 4)
    return table.tobytes()


def lines(content: bytes, flags: int = 0) -> bytes:
    sections = [Sec(".text", flags=6, addr=FLASH, size=64), Sec(".debug_line", content, flags=flags)]
    return Elf([Load(FLASH, bytes(64))], sections, entry=FLASH).build()


def filled(table: bytes) -> bytes:
    return table * (MAX_LINE_BYTES // len(table))


def many_files() -> bytes:
    """Version 5: eight million files of one byte each, which is a number and no name."""
    count = MAX_LINE_BYTES - 64
    names = bytes((0, 0)) + bytes((1, 1, 0x0F)) + lb.leb(count) + bytes(count)
    return lines(lb.table(lb.program(FLASH, [(0, 1)], 4), version=5, names=names))


def million_rows() -> bytes:
    start = lb.extended(2, FLASH.to_bytes(4, "little"))
    return lines(lb.table(start + b"\x01" * 1_900_000 + b"\x02\x04" + lb.extended(1)))


def many_tables() -> bytes:
    """256 segments and 16,000 sections that are named as vector tables are."""
    loads = [Load(FLASH + 0x1000 * i, TABLE * 4) for i in range(256)]
    sections = [Sec(".isr_vector", flags=2, addr=FLASH + 0x10 * i, size=16) for i in range(16_000)]
    return Elf(loads, sections, entry=FLASH).build()


def many_notes() -> bytes:
    """16,000 sections that are each the whole file, and each to be looked into for a build id."""
    built = Elf([Load(FLASH, bytes(64))], [Sec(".note", b"x", NOTE) for _ in range(16_000)], entry=FLASH)
    data = bytearray(built.build()) + bytes(64 << 20)
    for index in range(1, 16_001):
        at, _ = built.place(f"section{index}", "offset")
        data[at : at + 8] = struct.pack("<II", 0, len(data))
    return bytes(data)


def many_symbols() -> bytes:
    built = Elf(
        [Load(FLASH, bytes(64))], [Sec(".text", flags=6, addr=FLASH, size=64)], [Sym("n", FLASH, 4)], entry=FLASH
    )
    data = bytearray(built.build())
    rows = b"".join(struct.pack("<IIIBBH", 8 * i, FLASH + i, 0, 0x12, 0, 1) for i in range(MAX_SYMBOLS))
    names = b"".join(b"%07d\0" % i for i in range(MAX_SYMBOLS))
    for section, content in (("section2", rows), ("section3", names)):
        at = built.at[section]
        data[at + 16 : at + 24] = struct.pack("<II", len(data), len(content))
        data += content
    return bytes(data)


def huge_names() -> bytes:
    """Symbols without end of their name in a table of 200 MiB."""
    built = Elf([Load(FLASH, bytes(64))], [Sec(".text", flags=6, addr=FLASH, size=64)],
                [Sym("n", FLASH, 4) for _ in range(100_000)], entry=FLASH)  # fmt: skip
    data = bytearray(built.build()) + b"\xc3\xa4" * (100 << 20)
    at = built.at["section3"]  # .strtab
    data[at + 16 : at + 24] = struct.pack("<II", len(data) - (200 << 20), 200 << 20)
    for index in range(100_000):
        place, _ = built.place(f"symbol{index}", "name")
        data[place : place + 4] = struct.pack("<I", 2000 * index)
    return bytes(data)


def bombs() -> bytes:
    packed = (1).to_bytes(4, "little") + bytes(8) + zlib.compress(bytes(64 << 20))
    names = (".debug_line", ".debug_line_str", ".debug_str")
    sections = [Sec(".text", flags=6, addr=FLASH, size=64), *(Sec(name, packed, flags=0x800) for name in names)]
    return Elf([Load(FLASH, bytes(64))], sections, entry=FLASH).build()


def huge_segment() -> bytes:
    """One segment of 250 MiB that is in the file."""
    built = Elf([Load(FLASH, bytes(64))], entry=FLASH)
    data = bytearray(built.build()) + bytes(250 << 20)
    at = built.at["program0"]
    data[at + 4 : at + 24] = struct.pack("<5I", 0, FLASH, FLASH, 250 << 20, 250 << 20)
    return bytes(data)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "elf: 16,000 notes of 64 MiB": many_notes,
    "elf: half a million symbols": many_symbols,
    "elf: names of 400 MB": huge_names,
    "elf: 16,000 vector tables": many_tables,
    "elf: segment of 250 MiB": huge_segment,
    "hex: 65,000 pieces like vector tables": lambda: hex_of(65_000, TABLE, 32),
    "hex: a record for every byte": lambda: hex_of(MAX_RECORDS - 100, b"x", 1),
    "hex: one line of 60 MiB": lambda: b":00000001" + b"0" * (60 << 20),
    "lines: one for every byte": lambda: lines(lb.table(b"\x01" * (MAX_LINE_BYTES - 200))),
    "lines: two million": million_rows,
    "lines: eight million files": many_files,
    "lines: half a million empty tables": lambda: lines(filled(lb.table(b"", names=b"\0\0"))),
    "lines: half a million damaged tables": lambda: lines(filled(struct.pack("<IHI", 6, 9, 0))),
    "lines: packed 64 MiB three times": bombs,
    "lines: tables of one row": lambda: lines(filled(lb.table(lb.program(FLASH, [(0, 1)], 4)))),
    "raw: 256 MiB": lambda: bytes(MAX_FILE_BYTES),
    "uf2: half a million blocks of one byte": lambda: uf2_of(500_000, 1, flags=0, step=1),
    "uf2: half a million checksums": lambda: uf2_of(500_000, 1, flags=0x4000, step=1, checksums=True),
    "uf2: 60,000 pieces": lambda: uf2_of(60_000, 64, flags=0, step=512),
    "uf2: half a million families": lambda: uf2_of(500_000, 16, flags=0x2000, step=16, families=500_000),
}
"""Name -> bytes of a file."""


def use(data: bytes) -> str:
    """Reads a file and asks for everything that is looked up; returns what became of it."""
    try:
        image = load_image(data)
    except InputError as error:
        return f"refused: {error.message}"
    image.symbol_at(FLASH)
    image.symbols_named("none")
    image.line_at(FLASH)
    image.read(FLASH, 1 << 20)
    return f"read: {len(image.stored())} runs, {len(image.symbols)} symbols, {len(image.lines)} lines"


def memory(field: str) -> int:
    """A number of KiB that the kernel tells of this process: VmRSS, what it has now, or VmHWM, the most it had."""
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(field)).split()[1])


def main() -> None:
    data = HOSTILE[sys.argv[1]]()
    measured = Path("/proc/self/clear_refs").exists()
    if measured:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the file
    before = memory("VmRSS") if measured else 0
    start = time.process_time()
    outcome = use(data)
    seconds = time.process_time() - start
    more = memory("VmHWM") - before if measured else None
    print(json.dumps({"outcome": outcome, "seconds": round(seconds, 2), "more_kib": more, "file_kib": len(data) >> 10}))


if __name__ == "__main__":
    main()
