"""Intel HEX files of known content."""

from __future__ import annotations

import time

import pytest

from firmware.malformed_firmware import record
from firmware.sound_firmware import CODE, FLASH, image
from tinymlsec.errors import FirmwareError
from tinymlsec.target.firmware import load_image, write_hex
from tinymlsec.target.firmware.limits import MAX_RECORDS
from tinymlsec.target.firmware.load import kind_of

END = ":00000001FF"


def load(*lines: str, ending: str = "\n"):
    return load_image((ending.join(lines) + ending).encode())


def test_example_of_the_specification() -> None:
    """Data at 0x0100; the checksum of the record is given there as 40."""
    found = load(":10010000214601360121470136007EFE09D2190140", END)
    assert found.stored() == ((0x100, bytes.fromhex("214601360121470136007EFE09D21901")),)
    assert (found.kind, found.machine, found.entry, found.stripped) == ("hex", "", None, True)


def test_all_kinds_of_records() -> None:
    found = load(
        record(0, 4, b"\x08\x00"),
        record(0x10, 0, b"linear"),
        record(0, 2, b"\x10\x00"),
        record(0x20, 0, b"segment"),
        record(0, 3, b"\x12\x34\x56\x78"),
        record(0, 5, b"\x08\x00\x01\x01"),
        END,
    )
    assert found.stored() == ((0x10020, b"segment"), (0x0800_0010, b"linear"))
    assert found.entry == 0x0800_0100


def test_neighbors_are_joined_whatever_their_order() -> None:
    found = load(record(4, 0, b"efgh"), record(16, 0, b"xyz"), record(0, 0, b"abcd"), END)
    assert found.stored() == ((0, b"abcdefgh"), (16, b"xyz"))
    assert [(s.address, s.memory_size, s.access) for s in found.segments] == [(0, 8, "rx"), (16, 3, "rx")]
    shuffled = load(record(8, 0, b"ij"), record(0, 0, b"abcd"), record(10, 0, b"k"), record(4, 0, b"efgh"), END)
    assert shuffled.stored() == ((0, b"abcdefghijk"),)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\n\n", " \t\r\n"])
def test_line_ends_and_letters(ending: str) -> None:
    lines = write_hex(image()).decode().splitlines()
    assert load(*lines, ending=ending).stored() == image().stored()
    assert load(*(line.lower() for line in lines), ending=ending).stored() == image().stored()


def test_byte_order_mark_and_old_end_mark() -> None:
    data = write_hex(image())
    assert load_image(b"\xef\xbb\xbf" + data).stored() == image().stored()
    assert load_image(b"\r\n" + data + b"\x1a" + bytes(5)).stored() == image().stored()


@pytest.mark.parametrize(("ending", "number"), [("\n", 3), ("\r\n", 3), ("\r", 3), ("\n\n", 5)])
def test_line_numbers(ending: str, number: int) -> None:
    with pytest.raises(FirmwareError, match=f"line {number}: a checksum") as caught:
        load(record(0, 0, b"a"), record(1, 0, b"b"), ":0100020063FF", END, ending=ending)
    assert caught.value.expected == "9A"


def test_vector_table_tells_machine_and_entry() -> None:
    without_entry = [line for line in write_hex(image()).decode().splitlines() if line[7:9] != "05"]
    found = load(*without_entry)
    assert found.machine == "arm"
    assert found.entry == CODE
    assert found.vectors is not None
    assert found.vectors.address == FLASH
    assert load_image(("\n".join(without_entry)).encode(), machine="riscv32").vectors is None


def test_address_space_ends() -> None:
    assert load(record(0, 4, b"\xff\xff"), record(0xFFFC, 0, b"last"), END).stored() == ((0xFFFF_FFFC, b"last"),)


def test_the_kind_is_seen_by_the_content() -> None:
    assert kind_of(write_hex(image())) == "hex"
    assert kind_of(b":hello") == "raw"


def test_many_pieces_and_a_large_file() -> None:
    lines = [record(2 * i % 65536, 0, b"x") for i in range(32_768)]
    parts = [line for high in range(3) for line in (record(0, 4, bytes([0, high])), *lines)]
    with pytest.raises(FirmwareError, match="too many pieces") as caught:
        load(*parts, END)
    assert caught.value.found == "98,304"
    with pytest.raises(FirmwareError, match="too long") as caught:
        load_image(b":0000000000\n" * (MAX_RECORDS + 1))
    assert caught.value.offset == 12 * MAX_RECORDS
    start = time.perf_counter()
    with pytest.raises(FirmwareError, match="too large"):
        load_image(b":00000001FF\n" * (6 << 20))
    assert time.perf_counter() - start < 1
