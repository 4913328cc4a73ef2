"""Line tables of DWARF 2 to 5, hand made; damaged ones cost lines and leave a note, and nothing is ever raised."""

from __future__ import annotations

import struct
import time
import zlib

import pytest

from firmware import line_builder as lb
from firmware.elf_builder import Elf, Load, Sec
from firmware.sound_firmware import CODE, FLASH, arm_elf
from tinymlsec.target.firmware import FirmwareImage, line_header, load_image
from tinymlsec.target.firmware import lines as lines_module
from tinymlsec.target.firmware.limits import MAX_LINE_NOTES
from tinymlsec.target.firmware.lines import DebugSections, LineTable

ROWS = [(0, 10), (4, 11), (8, 0), (12, 14)]
EVERYWHERE = ((0, 1 << 32),)


def with_lines(content: bytes, *, start: int = FLASH, flags: int = 0) -> FirmwareImage:
    sections = [Sec(".text", flags=6, addr=start, size=0x200), Sec(".debug_line", content, flags=flags)]
    return load_image(Elf(loads=[Load(start, bytes(0x200))], sections=sections, entry=start).build())


def reader(content: bytes, *, code: tuple[tuple[int, int], ...] = EVERYWHERE, zero: bool = False) -> LineTable:
    return LineTable(lambda: DebugSections(content), code, zero)


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_versions(version: int) -> None:
    lines = with_lines(lb.line_table(FLASH, ROWS, 32, "conv.c", version=version))
    expected = {0: "conv.c:10", 3: "conv.c:10", 4: "conv.c:11", 8: "", 11: "", 12: "conv.c:14", 31: "conv.c:14", 32: ""}
    assert {at: lines.line_at(FLASH + at) for at in expected} == expected
    assert lines.line_at(FLASH - 1) == ""
    assert lines.lines.notes == ()


@pytest.mark.parametrize("version", [2, 4, 5])
def test_folder_is_shown_but_not_that_of_the_build(version: int) -> None:
    lines = with_lines(lb.line_table(FLASH, ROWS, 32, "conv.c", version=version, directory="kernels"))
    assert lines.line_at(FLASH) == "kernels/conv.c:10"


def test_several_tables_and_sequences() -> None:
    body = lb.program(CODE, ROWS, 32) + lb.program(CODE + 64, [(0, 99)], 4)
    content = lb.table(body) + lb.line_table(CODE + 32, [(0, 7)], 8, "b.c", version=5)
    lines = with_lines(content)
    assert [lines.line_at(CODE + a) for a in (31, 32, 39, 40, 64)] == ["a.c:14", "b.c:7", "b.c:7", "", "a.c:99"]


def test_dropped_functions_do_not_shadow_code() -> None:
    """The linker moves what it drops to address 0 or to the last one; the former may be flash."""
    dropped = lb.program(0, [(0, 1), (2, 2), (0x102, 3)], 0x200) + lb.program(0xFFFFFFFF, [(0, 5), (0x105, 6)], 0x200)
    lines = with_lines(lb.table(dropped + lb.program(0x100, ROWS, 32), name="kept.c"), start=0)
    assert lines.line_at(0x100) == "kept.c:10"
    assert lines.line_at(2) == ""
    riscv = reader(lb.table(lb.program(0, ROWS, 32)), zero=True)
    assert riscv.at(0) == "a.c:10"


def test_special_opcodes_and_advances() -> None:
    """address += (op - 13) // 14, line += (op - 13) % 14 - 5; const_add_pc adds that of opcode 255, 17."""
    body = lb.extended(2, CODE.to_bytes(4, "little")) + bytes(
        [13 + 5 + 3, 8, 13 + 14 * 2 + 5, 9, 6, 0, 1, 10, 5, 7, 11]
    )
    body += bytes([12, 3, 1]) + b"\x02\x02" + lb.extended(1)
    table = reader(lb.table(body))
    assert [table.at(CODE + a) for a in (0, 18, 19, 24, 25, 26, 27)] == [
        "a.c:4", "a.c:4", "a.c:4", "a.c:4", "a.c:4", "a.c:4", ""
    ]  # fmt: skip


def test_compressed_section() -> None:
    plain = lb.line_table(FLASH, ROWS, 32, "packed.c")
    packed = (1).to_bytes(4, "little") + len(plain).to_bytes(4, "little") + bytes(4) + zlib.compress(plain)
    assert with_lines(packed, flags=0x800).line_at(FLASH) == "packed.c:10"
    assert with_lines(packed).line_at(FLASH) == "", "not marked as compressed"


def huge_count() -> bytes:
    """Version 5: 2^60 file names that consist of nothing."""
    return lb.table(b"", version=5, names=bytes((0,)) + lb.leb(1 << 60) + bytes((0,)) + lb.leb(1 << 60))


GOOD = lb.line_table(CODE, ROWS, 32, "good.c")
DAMAGED = {
    "length beyond the section": (b"\xf0\xff\xff\x7f" + GOOD[4:], "is damaged"),
    "no length": (bytes(64), "is damaged"),
    "only a length": (b"\x10", "is damaged"),
    "64 bit, beyond": (b"\xff\xff\xff\xff" + b"\xff" * 8 + GOOD, "is damaged"),
    "version": (GOOD[:4] + b"\x09\x00" + GOOD[6:], "version 9 is not known"),
    "header longer than the table": (GOOD[:6] + b"\xff\xff\x00\x00" + GOOD[10:], "longer than the table"),
    "line range of zero": (GOOD[:14] + b"\0" + GOOD[15:], "opcodes make no sense"),
    "no opcodes": (GOOD[:15] + b"\0" + GOOD[16:], "opcodes make no sense"),
    "long instruction words": (GOOD[:11] + b"\x04" + GOOD[12:], "long instruction words"),
    "text without end": (lb.table(b"", names=b"x" * 5000), "text does not end"),
    "files without end": (lb.table(b"", names=b"\0a\0" + b"\x80" * 40), "number does not end"),
    "2^60 files of nothing": (huge_count(), "entries in"),
    "unknown form": (lb.table(b"", version=5, names=bytes((1, 1, 0x7E, 1, 65, 0, 0, 0))), "form 0x7e"),
    "number without end": (lb.table(b"\x02" + b"\x80" * 5000), "number does not end"),
    "extended opcode too long": (lb.table(b"\0\x70\x02"), "extended opcode is longer"),
    "extended opcode of nothing": (lb.table(b"\0\0\0\0"), "extended opcode is longer"),
    "address cut off": (lb.table(lb.extended(2, b"abc")), "shorter than four bytes"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_costs_lines_and_leaves_a_note(name: str) -> None:
    content, note = DAMAGED[name]
    image = with_lines(content)
    start = time.perf_counter()
    assert image.line_at(CODE) == ""
    assert time.perf_counter() - start < 0.2
    assert note in " ".join(image.lines.notes)


def test_other_tables_survive_a_damaged_one() -> None:
    bad = lb.table(b"\x02" + b"\x80" * 20, name="bad.c")
    lines = with_lines(bad + GOOD)
    assert lines.line_at(CODE) == "good.c:10"
    assert len(lines.lines.notes) == 1


def test_finished_sequences_survive_an_unfinished_one() -> None:
    lines = with_lines(lb.table(lb.program(CODE, ROWS, 32) + lb.program(CODE + 64, [(0, 9)], 8)[:-3]))
    assert lines.line_at(CODE) == "a.c:10"
    assert lines.line_at(CODE + 64) == ""


def test_file_that_does_not_exist() -> None:
    body = b"\x04\x63" + lb.program(CODE, [(0, 3)], 8)
    assert reader(lb.table(body)).at(CODE) == "?:3"
    following = lb.table(body) + lb.line_table(CODE + 64, [(0, 3)], 8, "next.c")
    assert reader(following).at(CODE) == "?:3", "not the first file of the next table"


def test_compressed_bomb_and_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = (1).to_bytes(4, "little") + bytes(8) + zlib.compress(bytes(65 << 20))
    image = with_lines(bomb, flags=0x800)
    assert image.line_at(CODE) == ""
    assert "unpacks to more" in image.lines.notes[0]
    noise = with_lines((1).to_bytes(4, "little") + bytes(8) + b"noise", flags=0x800)
    assert noise.line_at(CODE) == ""
    assert "cannot be unpacked" in noise.lines.notes[0]
    other = with_lines((2).to_bytes(4, "little") + bytes(80), flags=0x800)
    assert other.line_at(CODE) == ""
    assert "another method" in other.lines.notes[0]


def test_too_many_lines() -> None:
    """8 MiB of single-byte rows: 2,000,000 are read, then it is said that there are more."""
    body = lb.extended(2, CODE.to_bytes(4, "little")) + b"\x12" * (3 << 20) + lb.extended(1)
    table = reader(lb.table(body))
    start = time.perf_counter()
    assert table.at(CODE) == ""
    assert time.perf_counter() - start < 10
    assert "more than 2,000,000 lines" in table.notes[0]
    large = reader(bytes(9 << 20))
    assert large.at(CODE) == ""
    assert "too large" in large.notes[0]


def test_too_many_tables_files_and_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_TABLES", 3)
    few = reader(GOOD + lb.table(b"") * 2 + lb.line_table(CODE + 64, [(0, 3)], 8, "fourth.c"))
    assert few.at(CODE) == "good.c:10"
    assert few.at(CODE + 64) == ""
    assert few.notes == ("more than 3 line tables: the lines of the others are missing",)
    monkeypatch.undo()
    noisy = reader(struct.pack("<IHI", 6, 9, 0) * 100 + GOOD)
    assert noisy.at(CODE) == "good.c:10"
    assert len(noisy.notes) == MAX_LINE_NOTES + 1
    assert noisy.notes[-1] == "68 more notes on line tables are left out"
    monkeypatch.setattr(line_header, "MAX_LINE_FILES", 1)
    monkeypatch.setattr(line_header.FileBudget, "__init__", lambda self: setattr(self, "left", 1))
    two = reader(GOOD + lb.line_table(CODE + 64, [(0, 3)], 8, "second.c"))
    assert (two.at(CODE), two.at(CODE + 64)) == ("good.c:10", "")
    assert "more than 1 files in all" in two.notes[0]


def test_control_characters_of_file_names_do_not_get_through() -> None:
    table = reader(lb.line_table(CODE, ROWS, 32, "a\x1b[2J.c"))
    assert table.at(CODE) == "a\N{REPLACEMENT CHARACTER}[2J.c:10"


def test_rows_outside_of_all_code_are_left_out() -> None:
    code = ((CODE + 0x100, CODE + 0x110), (CODE, CODE + 8), (CODE + 4, CODE + 6))
    body = lb.program(CODE, ROWS, 32) + lb.program(CODE + 0x110, [(0, 9)], 4) + lb.program(CODE + 0x10C, [(0, 8)], 4)
    table = reader(lb.table(body), code=code)
    assert [table.at(CODE + a) for a in (0, 4, 12, 0x10C, 0x110)] == ["a.c:10", "a.c:11", "", "a.c:8", ""]
    assert len(reader(lb.table(body), code=())) == 0


def test_thousands_of_look_ups_are_quick() -> None:
    rows = [(2 * i, i + 1) for i in range(20_000)]
    table = reader(lb.line_table(FLASH, rows, 40_000, "long.c"))
    assert table.at(FLASH) == "long.c:1"
    start = time.perf_counter()
    found = [table.at(FLASH + i) for i in range(40_000)]
    assert time.perf_counter() - start < 0.5
    assert found == [f"long.c:{i // 2 + 1}" for i in range(40_000)]


def test_line_table_of_the_sound_elf() -> None:
    assert load_image(arm_elf().build()).line_at(CODE + 5) == "main.c:11"
