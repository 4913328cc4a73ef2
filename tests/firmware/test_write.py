"""What is written is read back: the same bytes at the same addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.sound_firmware import CODE, FLASH, image, scattered
from tinymlsec.errors import UsageError
from tinymlsec.target.firmware import FirmwareImage, Segment, load_image, write_bin, write_hex, write_uf2

WRITERS = {"hex": write_hex, "uf2": write_uf2}


@pytest.mark.parametrize("make", [image, scattered])
@pytest.mark.parametrize("kind", WRITERS)
def test_round_trip(kind: str, make: Callable[[], FirmwareImage]) -> None:
    written = WRITERS[kind](make())
    found = load_image(written)
    assert found.kind == kind
    assert found.stored() == make().stored()
    assert WRITERS[kind](found) == written


gaps = st.lists(st.tuples(st.integers(0, 70_000), st.binary(min_size=1, max_size=700)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, 0xFFF0_0000), runs=gaps)
def test_round_trip_of_any_image(start: int, runs: list[tuple[int, bytes]]) -> None:
    segments = []
    for gap, data in runs:
        start += gap
        segments.append(Segment(start, data, len(data), "rx"))
        start += len(data)
    made = FirmwareImage("raw", "", None, tuple(segments))
    for writer in WRITERS.values():
        assert load_image(writer(made), machine="riscv32").stored() == made.stored()
    flat = load_image(write_bin(made), base=segments[0].address).stored()[0][1]
    for address, data in made.stored():
        assert flat[address - segments[0].address :][: len(data)] == data


def test_entry_survives_in_hex_only() -> None:
    assert load_image(write_hex(scattered())).entry == 0x0800_0100
    assert load_image(write_uf2(scattered())).entry is None


def test_hex_lines_are_the_usual_ones() -> None:
    lines = write_hex(image()).decode().splitlines()
    assert lines[0] == ":020000040800F2"
    assert lines[1].startswith(":10000000")
    assert lines[-2] == ":0400000508000100EE"
    assert lines[-1] == ":00000001FF"
    assert {len(line) for line in lines[1:-2]} == {43}


def test_pages_are_filled() -> None:
    written = write_uf2(scattered(), "RP2040", pages=True)
    found = load_image(written)
    assert all(s.address % 256 == 0 and len(s.data) % 256 == 0 for s in found.segments)
    assert found.read(0x0800_0000, 8) == b"\xff\xff\xff\x01\x02\x03\xff\xff"
    for address, data in scattered().stored():
        assert found.read(address, len(data)) == data


def test_family_is_kept() -> None:
    found = load_image(write_uf2(image(), 0x1234_5678))
    assert found.family == "0x12345678"
    assert load_image(write_uf2(found)).family == "0x12345678"
    with pytest.raises(UsageError, match="family is not known"):
        write_uf2(image(), "toaster")


def test_binary_with_gaps() -> None:
    near = FirmwareImage("raw", "", None, (Segment(16, b"ab", 2, "rx"), Segment(20, b"cd", 2, "rx")))
    assert write_bin(near) == b"ab\xff\xffcd"
    assert write_bin(near, fill=0) == b"ab\0\0cd"
    assert write_bin(image()) == image().stored()[0][1]
    with pytest.raises(UsageError, match="spread too widely"):
        write_bin(scattered())


def test_initialized_variables_are_written_where_they_are_stored() -> None:
    found = load_image(write_hex(image()))
    assert found.read(FLASH + 512, 16) == b"initial values.."
    assert found.read(CODE, 4) == bytes(range(4))
