"""ELF files of known content: segments, sections, symbols, vector table, build id."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from firmware.elf_builder import Elf, Load, Sec, Sym
from firmware.sound_firmware import CODE, FLASH, RAM, SEEDS, VECTORS, arm_elf, riscv_elf
from tinymlsec.errors import FirmwareError
from tinymlsec.target.firmware import FirmwareImage, Segment, load_image


@pytest.fixture(scope="module")
def arm() -> FirmwareImage:
    return load_image(arm_elf().build())


def test_head(arm: FirmwareImage) -> None:
    assert (arm.kind, arm.machine, arm.entry, arm.stripped) == ("elf", "arm", CODE, False)
    assert arm.digest == hashlib.sha256(arm_elf().build()).hexdigest()
    assert arm.build_id == "0123456789abcdef"
    assert arm.producer == "GCC: (hand made) 1.0"
    assert arm.notes == ()


def test_segments_keep_stored_and_run_time_address_apart(arm: FirmwareImage) -> None:
    text, data, bss = (next(s for s in arm.segments if s.virtual_address == a) for a in (FLASH, RAM, RAM + 16))
    assert (text.address, text.memory_size, text.access) == (FLASH, 512, "rx")
    assert text.data[:64] == VECTORS
    assert (data.address, data.data, data.memory_size, data.access) == (FLASH + 512, b"initial values..", 16, "rw")
    assert (data.end, data.virtual_end) == (FLASH + 528, RAM + 16)
    assert (bss.data, bss.memory_size) == (b"", 0x400)
    assert arm.memory_size == 512 + 16 + 0x400
    assert arm.stored() == ((FLASH, text.data + data.data),)
    assert arm.read(FLASH + 512, 7) == b"initial"
    assert arm.read(FLASH + 520, 100) is None
    assert arm.read(FLASH + 508, 8) == text.data[-4:] + b"init", "across two segments"
    assert arm.read(FLASH, 528) == text.data + data.data
    assert arm.read(FLASH, 529) is None
    assert arm.read(FLASH + 528, 1) is None
    assert arm.read(FLASH, 0) == b""
    assert arm.read(RAM, 1) is None, "at power-on the RAM does not hold them yet"


def test_sections(arm: FirmwareImage) -> None:
    sections = {s.name: (s.address, s.size, s.flags) for s in arm.sections}
    assert sections[".text"] == (CODE, 256, "ax")
    assert sections[".data"] == (RAM, 16, "wa")
    assert sections[".bss"] == (RAM + 16, 0x400, "wan")


def test_symbols(arm: FirmwareImage) -> None:
    main = arm.symbols["main"]
    assert (main.address, main.size, main.kind, main.binding, main.section) == (CODE, 32, "function", "global", ".text")
    assert arm.symbols["values"][1:] == (RAM, 16, "object", "global", ".data")
    assert arm.symbols["_estack"][1:] == (RAM + 0x4000, 0, "label", "global", "")
    assert "$t" not in arm.symbols
    assert "missing" not in arm.symbols, "an undefined symbol has no address"
    assert [s.address for s in arm.symbols_named("twice")] == [CODE + 64, CODE + 72]
    assert arm.symbols["twice"].address == CODE + 64
    mangled = "_ZN6tflite12_GLOBAL__N_18ConvEvalEP13TfLiteContext"
    assert arm.symbols[mangled].short == "tflite::(anonymous namespace)::ConvEval"
    assert arm.symbols_named("tflite::(anonymous namespace)::ConvEval") == (arm.symbols[mangled],)
    assert arm.symbols_named("none of this name") == ()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (CODE - 1, None),
        (CODE, ("main", 0)),
        (CODE + 31, ("main", 31)),
        (CODE + 64, ("twice", 0)),
        (CODE + 79, ("twice", 7)),
        (CODE + 80, None),
        (CODE + 128, ("label", 0)),
        (CODE + 255, ("label", 127)),
        (CODE + 256, None),
        (RAM + 15, ("values", 15)),
        (RAM + 16, ("zeroed", 0)),
        (RAM + 0x40F, ("zeroed", 0x3FF)),
        (RAM + 0x410, None),
        (0, None),
        (0xFFFFFFFF, None),
    ],
)
def test_symbol_at(arm: FirmwareImage, address: int, expected: tuple[str, int] | None) -> None:
    assert arm.symbol_at(address) == expected


def test_vectors(arm: FirmwareImage) -> None:
    assert arm.vectors is not None
    assert arm.vectors.plausible, arm.vectors.reason
    assert (arm.vectors.address, arm.vectors.initial_sp, arm.vectors.reset) == (FLASH, RAM + 0x4000, CODE)
    assert arm.vectors.vectors[:16] == struct.unpack("<16I", VECTORS)


@pytest.mark.parametrize(
    ("word", "value", "reason"),
    [(0, 0x4000_0000 + 4, "stack pointer 0x40000004"), (1, CODE, "reset vector"), (3, 0x0900_0001, "vector 3")],
)
def test_a_named_table_that_is_none(word: int, value: int, reason: str) -> None:
    built = arm_elf()
    text = bytearray(built.loads[0].data)
    struct.pack_into("<I", text, 4 * word, value)
    built.loads[0].data = bytes(text)
    vectors = load_image(built.build()).vectors
    assert vectors is not None
    assert not vectors.plausible
    assert reason in vectors.reason


def test_riscv() -> None:
    image = load_image(riscv_elf().build())
    assert (image.machine, image.entry, image.vectors) == ("riscv32", 0x4200_0000, None)
    assert image.symbols["odd"].address == 0x4200_0021
    assert "$x" not in image.symbols
    assert [s.address for s in image.segments] == [0x4200_0000, 0x4200_0100]


def test_entry_that_the_header_leaves_out() -> None:
    """Some linkers write 0: then the reset vector tells, and 0 is meant only where RISC-V code lies there."""
    assert load_image(arm_elf().changed("header", "entry", 0)).entry == CODE
    assert load_image(riscv_elf().changed("header", "entry", 0)).entry is None
    odd = load_image(arm_elf().changed("header", "entry", RAM + 0x10001))
    assert (odd.entry, odd.notes) == (RAM + 0x10000, ("the entry 0x20010000 lies outside of all segments",))
    built = riscv_elf()
    built.loads[0].vaddr = built.entry = 0
    assert load_image(built.build()).entry == 0


def test_a_file_without_section_table_is_stripped() -> None:
    built = arm_elf()
    built.section_table = False
    image = load_image(built.build())
    assert image.stripped
    assert image.sections == ()
    assert image.symbol_at(CODE) is None
    assert image.line_at(CODE) == ""
    assert image.vectors is not None
    assert image.vectors.plausible, "the table is found at the start of flash"


@pytest.mark.parametrize("offset", [0, 52, 0xFFFFFFF0])
def test_a_table_of_no_sections_may_lie_anywhere(offset: int) -> None:
    data = bytearray(arm_elf().changed("header", "shoff", offset))
    struct.pack_into("<HH", data, 48, 0, 0)
    image = load_image(bytes(data))
    assert image.sections == ()
    assert image.stripped


def attributes(*values: bytes, vendor: bytes = b"aeabi\0") -> bytes:
    """Build attributes of the whole file; each value is a tag with what follows it."""
    body = b"".join(values)
    part = b"\x01" + struct.pack("<I", 5 + len(body)) + body
    return b"A" + struct.pack("<I", 4 + len(vendor) + len(part)) + vendor + part


def with_attributes(content: bytes) -> Elf:
    built = arm_elf()
    built.sections.append(Sec(".ARM.attributes", content, 0x70000003))
    return built


@pytest.mark.parametrize(
    ("values", "architecture"),
    [
        ((b"\x05Cortex-M4\0", b"\x06\x0d", b"\x07M"), "Armv7E-M"),
        ((b"\x06\x0a", b"\x07M"), "Armv7-M"),
        ((b"\x06\x0c",), "Armv6-M"),
        ((b"\x43" + b"2.09\0", b"\x06\x11", b"\x20\x01gnu\0", b"\x22\x01"), "Armv8-M Mainline"),
        ((b"\x06\x63",), ""),
        ((b"\x06\xff\xff",), ""),
        ((b"\x05Cortex-M4",), ""),
    ],
)
def test_architecture_that_a_file_says_it_is_built_for(values: tuple[bytes, ...], architecture: str) -> None:
    assert load_image(with_attributes(attributes(*values)).build()).architecture == architecture


@pytest.mark.parametrize(
    "content", [b"", b"A", b"B" + bytes(20), b"A\0\0\0\0", b"A\xff\xff\xff\xffaeabi", b"A" + bytes(4000)]
)
def test_attributes_that_make_no_sense_say_nothing(content: bytes) -> None:
    assert load_image(with_attributes(content).build()).architecture == ""


def test_attributes_of_another_vendor_are_passed_over() -> None:
    other = attributes(b"\x06\x0e", vendor=b"gnu\0")
    assert load_image(with_attributes(other).build()).architecture == ""
    both = other + attributes(b"\x06\x0d")[1:]
    assert load_image(with_attributes(both).build()).architecture == "Armv7E-M"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((b"\x05Cortex-A9\0", b"\x06\x0a", b"\x07A"), "Armv7-A in its attributes (Cortex-A9)"),
        ((b"\x06\x0a", b"\x07R"), "Armv7-R"),
        ((b"\x06\x0e",), "Armv8-A"),
    ],
)
def test_firmware_of_application_processors_is_refused(values: tuple[bytes, ...], found: str) -> None:
    built = with_attributes(attributes(*values))
    data = built.build()
    with pytest.raises(FirmwareError, match="for another machine") as caught:
        load_image(data)
    assert found in str(caught.value.found)
    assert data[caught.value.offset :][:1] == b"A"


def test_control_characters_of_names_do_not_get_through() -> None:
    built = arm_elf()
    built.symbols.append(Sym("red\x1b[31m\n", CODE + 0x90, 4, 2, 1, 2))
    assert load_image(built.build()).symbol_at(CODE + 0x90) == (
        "red\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}",
        0,
    )


def test_without_physical_addresses_the_virtual_ones_count() -> None:
    image = load_image(Elf(loads=[Load(FLASH, b"code", paddr=0), Load(RAM, b"data", 6, paddr=0)], entry=FLASH).build())
    assert [s.address for s in image.segments] == [FLASH, RAM]
    assert "no physical addresses" in image.notes[0]


def test_path_and_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "firmware.hex"  # the suffix says nothing
    path.write_bytes(SEEDS["elf arm"]())
    assert load_image(path) == load_image(str(path)) == load_image(SEEDS["elf arm"]())


def test_segment_without_virtual_address() -> None:
    assert Segment(16, b"ab", 2, "rx").virtual_address == 16
