"""UF2 files of known content."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest

from firmware.sound_firmware import CODE, FLASH, image, scattered
from tinymlsec.errors import FirmwareError
from tinymlsec.target.firmware import FirmwareImage, Segment, load_image, write_uf2
from tinymlsec.target.firmware.uf2_families import FAMILIES, family_machine, family_name, family_number


def block(address: int, data: bytes, number: int, count: int, flags: int = 0, family: int = 0) -> bytes:
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, address, len(data), number, count, family)
    return head + data.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)


def test_two_blocks_of_known_bytes() -> None:
    data = block(0x10000000, b"a" * 256, 0, 2, 0x2000, 0xE48BFF56) + block(
        0x10000100, b"b" * 256, 1, 2, 0x2000, 0xE48BFF56
    )
    found = load_image(data)
    assert found.stored() == ((0x10000000, b"a" * 256 + b"b" * 256),)
    assert (found.kind, found.machine, found.family, found.entry) == ("uf2", "arm", "RP2040", None)


def test_blocks_may_come_in_any_order() -> None:
    data = write_uf2(image(), "SAMD51")
    blocks = [data[i : i + 512] for i in range(0, len(data), 512)]
    random.Random(4).shuffle(blocks)
    assert load_image(b"".join(blocks)).stored() == image().stored()


@pytest.mark.parametrize(
    ("family", "machine"),
    [("nRF52840", "arm"), ("SAMD21", "arm"), ("STM32F4", "arm"), ("ESP32-C3", "riscv32"), ("0xdeadbeef", "arm")],
)
def test_families(family: str, machine: str) -> None:
    """An unknown family is kept as number; here the vector table tells that it is Arm."""
    found = load_image(write_uf2(image(), family))
    assert (found.family, found.machine) == (family, machine)


def test_family_of_a_core_that_is_not_emulated() -> None:
    found = load_image(write_uf2(scattered(), "ESP32-S3"))
    assert (found.family, found.machine) == ("ESP32-S3", "")
    assert "Xtensa core" in found.notes[0]


def test_without_family_the_vector_table_tells() -> None:
    found = load_image(write_uf2(image()))
    assert (found.family, found.machine, found.entry) == ("", "arm", CODE)
    assert load_image(write_uf2(scattered())).machine == ""
    assert load_image(write_uf2(scattered()), machine="riscv32").machine == "riscv32"


def test_one_of_several_families() -> None:
    other = FirmwareImage("raw", "", None, (Segment(0x1000_0000, b"other", 5, "rx"),))
    both = write_uf2(image(), "STM32F4") + write_uf2(other, "ESP32-C3")
    with pytest.raises(FirmwareError, match="several device families") as caught:
        load_image(both)
    assert caught.value.found == "STM32F4, ESP32-C3"
    assert load_image(both, family="stm32f4").stored() == image().stored()
    found = load_image(both, machine="riscv32")
    assert (found.stored(), found.machine) == (other.stored(), "riscv32")
    assert found.notes[0] == "blocks for STM32F4 are left out"


def test_many_families_are_not_all_named() -> None:
    blocks = [block(64 * i, b"data", 0, 1, 0x2000, 0x1000 + i) for i in range(40)]
    with pytest.raises(FirmwareError, match="several device families") as caught:
        load_image(b"".join(blocks))
    assert str(caught.value.found).endswith("0x00001007 and 32 more")
    found = load_image(b"".join(blocks), family="0x1003")
    assert found.stored() == ((0xC0, b"data"),)
    assert len(found.notes) == 1
    assert "and 31 more are left out" in found.notes[0]


def test_block_that_tools_of_rp2350_put_in_front() -> None:
    front = block(0x10FFFF00, b"\xef" * 256, 0, 2, 0x2000, 0xE48BFF57)
    found = load_image(front + write_uf2(image(), "RP2350 (Arm, secure)"))
    assert found.stored() == image().stored()
    assert found.family == "RP2350 (Arm, secure)"


def test_blocks_that_are_not_for_the_flash() -> None:
    data = (
        block(0x1000, b"code", 0, 3)
        + block(0x9000, b"source text", 1, 3, 0x1)
        + block(0, b"file", 2, 3, 0x1000, 4)
    )  # fmt: skip
    found = load_image(data)
    assert found.stored() == ((0x1000, b"code"),)
    assert found.notes == ("2 blocks that are not for the main flash are left out",)


def test_untagged_comment_counts_among_tagged_blocks() -> None:
    data = block(0x1000, b"code", 0, 2, 0x2000, 0xE48BFF56) + block(0, b"comment", 1, 2, 0x1)
    assert load_image(data).stored() == ((0x1000, b"code"),)


def test_extension_tags() -> None:
    version = bytes((9, 0xBC, 0xC7, 0x9F)) + b"0.1.2" + bytes(3)
    device = bytes((0x14, 0x9D, 0x0D, 0x65)) + b"ACME Toaster mk3"
    found = load_image(block(0, b"code", 0, 1, 0x8000)[: 32 + 4] + (version + device + b"\xff" * 4).ljust(472, b"\0")
                       + struct.pack("<I", 0x0AB16F30))  # fmt: skip
    assert found.notes == ("firmware version: 0.1.2", "made for: ACME Toaster mk3")
    for damaged in (b"\xff\xbc\xc7\x9f" * 118, b"\x03\xbc\xc7\x9f" * 118, bytes((4, 1, 2, 3)) * 118):
        data = block(0, b"code" + damaged, 0, 1, 0x8000)
        assert load_image(data[:16] + struct.pack("<I", 4) + data[20:]).stored() == ((0, b"code"),)


def test_checksums() -> None:
    payload = bytes(range(256))
    right = struct.pack("<II", 0x1000, 256) + hashlib.md5(payload).digest()
    data = block(0x1000, payload.ljust(452, b"\0") + right, 0, 1, 0x4000)
    data = data[:16] + struct.pack("<I", 256) + data[20:]
    assert load_image(data).notes == ()
    assert "do not hold" not in str(load_image(data).notes)
    far = data[:484] + struct.pack("<II", 0x1000, 0x10000) + data[492:]
    assert "1 checksums (MD5) are of regions" in load_image(far).notes[0]
    with pytest.raises(FirmwareError, match="checksum of 0x00001000"):
        load_image(data.replace(bytes(range(10)), bytes(10)))


def test_family_table() -> None:
    assert len(FAMILIES) >= 47
    assert len(set(FAMILIES.values())) == len(FAMILIES)
    for number, name in FAMILIES.items():
        assert family_number(name.upper()) == number
        assert family_name(number) == name
        assert family_machine(number) in ("arm", "riscv32", "")
    assert family_name(0x1234) == "0x00001234"
    assert family_number("0x1234") == 0x1234
    assert family_number("-1") is None
    assert family_number("1" * 5000) is None


def test_first_address_of_the_flash() -> None:
    assert load_image(write_uf2(image(), "STM32L4")).stored()[0][0] == FLASH
