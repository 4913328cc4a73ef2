"""DUMP: settings of readout protection that an image holds, and the model that a readout gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware.elf_builder import Load
from rules.image_builder import DATA, Firmware, findings, ids
from tinymlsec.attacks._twins import linear_twin
from tinymlsec.rules._readout import readouts
from tinymlsec.rules.subjects import ImageFile
from tinymlsec.scan.image_facts import seen_in
from tinymlsec.target.firmware import FirmwareImage, Segment, load_image, write_hex


def option(address: int, content: bytes) -> ImageFile:
    """The good firmware as Intel HEX with a setting beside it."""
    image = load_image(replace(Firmware(), extra=(Load(address, content, flags=4),)).elf()[0])
    data = write_hex(image)
    return ImageFile("test.hex", data, load_image(data))


def field(fsec: int, fopt: int = 0xFF) -> ImageFile:
    """A Kinetis image: vectors at 0, the configuration field at 0x400."""
    content = bytes(0x400) + b"\xff" * 12 + bytes([fsec, fopt, 0xF3, 0xFF]) + bytes(64)
    return at_zero(content)


def at_zero(content: bytes) -> ImageFile:
    flash = Segment(0, content, len(content), "rx", offset=0)
    return ImageFile("test.bin", content, FirmwareImage("raw", "arm", 0x100, (flash,)))


def crp(word: int) -> ImageFile:
    return at_zero(bytes(0x2FC) + word.to_bytes(4, "little") + bytes(64))


SETTINGS = {
    "F1 open": (option(0x1FFFF800, b"\xa5\x5a"), "off", 0x1FFFF800),
    "F0 open": (option(0x1FFFF800, b"\xaa\x55"), "off", 0x1FFFF800),
    "F0 level 1": (option(0x1FFFF800, b"\x00\xff"), "on", 0x1FFFF800),
    "F0 level 2": (option(0x1FFFF800, b"\xcc\x33"), "permanent", 0x1FFFF800),
    "L4 open": (option(0x1FFF7800, b"\xaa\xf8\xff\xff"), "off", 0x1FFF7800),
    "L4 level 1": (option(0x1FFF7800, b"\xbb\xf8\xff\xff"), "on", 0x1FFF7800),
    "F4 level 2": (option(0x1FFFC000, b"\xed\xcc"), "permanent", 0x1FFFC000),
    "nRF open": (option(0x10001208, b"\x5a\xff\xff\xff"), "off", 0x10001208),
    "nRF locked": (option(0x10001208, b"\x00\xff\xff\xff"), "on", 0x10001208),
    "Kinetis open": (field(0xFE), "off", 0x40C),
    "Kinetis secured": (field(0xFC), "on", 0x40C),
    "Kinetis for good": (field(0x64), "permanent", 0x40C),
    "LPC level 1": (crp(0x12345678), "on", 0x2FC),
    "LPC level 3": (crp(0x43218765), "permanent", 0x2FC),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_read_as_the_manuals_say(name: str) -> None:
    file, state, address = SETTINGS[name]
    assert [(r.state, r.address) for r in readouts(file)] == [(state, address)]
    found = [f for f in findings(file) if f.id.startswith("DUMP")]
    wanted = {"off": ["DUMP-01"], "on": ["DUMP-02"], "permanent": []}[state]
    assert [f.id for f in found] == wanted
    assert all(f.location.address == address for f in found)
    assert seen_in(file)["image.readout_protection"] == state


@pytest.mark.parametrize(
    "file",
    [
        option(0x1FFFF800, b"\xaa\xaa"), option(0x1FFF7800, b"\xff\xff\xff\xff"), at_zero(bytes(0x800)),
        at_zero(b"\xff" * 0x800), crp(0x00000000),
    ],
)  # fmt: skip
def test_other_bytes_at_these_addresses_say_nothing(file: ImageFile) -> None:
    assert readouts(file) == ()
    assert "image.readout_protection" not in seen_in(file)


class TestModel:
    model = linear_twin(8)

    def test_a_model_in_the_clear_is_one_finding(self) -> None:
        firmware = Firmware(content=bytes(16) + self.model, models=(self.model,))
        found = findings(firmware.file())
        assert [(f.id, f.location.address) for f in found] == [("DUMP-03", DATA + 16)]
        assert "130 weights and biases" in found[0].message

    def test_a_hidden_model_is_none(self) -> None:
        hidden = bytes(b ^ 0x5A for b in self.model)
        assert ids(Firmware(content=hidden, models=(self.model,)).file()) == []
        assert ids(Firmware(content=self.model).file()) == []
