"""Raw images: with an address, and with one that is guessed."""

from __future__ import annotations

import struct

import pytest

from firmware.sound_firmware import CODE, FLASH, image
from tinymlsec.errors import FirmwareError
from tinymlsec.target.firmware import load_image, write_bin

RAM_END = 0x2001_0000


def cortex_m(base: int, *, size: int = 0x4000, front: int = 0, reset: int = 0x201) -> bytes:
    handlers = [base + front + reset] + [base + front + 0x301] * 14
    table = struct.pack("<16I", RAM_END, *handlers)
    return bytes(front) + table + bytes(size - len(table) - front)


def test_with_an_address() -> None:
    found = load_image(write_bin(image()), base=FLASH)
    assert found.stored() == image().stored()
    assert (found.kind, found.machine, found.entry, found.notes) == ("raw", "arm", CODE, ())


def test_anything_goes_with_an_address() -> None:
    found = load_image(b"anything", base=0x1000)
    assert (found.stored(), found.machine, found.entry) == (((0x1000, b"anything"),), "", None)
    assert load_image(bytes(64), base=0, machine="riscv32").machine == "riscv32"


@pytest.mark.parametrize("base", [0x0800_0000, 0, 0x0002_6000, 0x6000_0000, 0x0801_0000, 0x0040_0000, 0x0804_0000])
def test_guessed_address(base: int) -> None:
    """Also behind boot loaders that nobody knows: the handlers say where the image lies."""
    found = load_image(cortex_m(base))
    assert found.stored()[0][0] == base
    assert found.notes[0].startswith(f"the base address 0x{base:08x} is guessed from the vector table")
    assert found.machine == "arm"
    assert found.vectors is not None
    assert found.vectors.reset == base + 0x200


def test_stack_in_the_low_sram_of_psoc6() -> None:
    """Its SRAM lies where STM32 have their flash: a stack there is none where the image itself lies."""
    psoc = cortex_m(0x1000_0000).replace(struct.pack("<I", RAM_END), struct.pack("<I", 0x0804_7000))
    assert load_image(psoc).stored()[0][0] == 0x1000_0000
    stm32 = cortex_m(0x0800_0000).replace(struct.pack("<I", RAM_END), struct.pack("<I", 0x0800_0800))
    with pytest.raises(FirmwareError, match="address of the raw image is missing"):
        load_image(stm32)


def test_boot_block_of_rp2040() -> None:
    found = load_image(cortex_m(0x1000_0000, front=0x100))
    assert found.stored()[0][0] == 0x1000_0000
    assert found.vectors is not None
    assert found.vectors.address == 0x1000_0100


def test_other_addresses_that_fit_are_named() -> None:
    """Handlers at 0x08043200 and 0x08043300 of an image of 16 KiB: it may begin at several round addresses."""
    found = load_image(cortex_m(0x0804_3000))
    assert found.stored()[0][0] == 0x0804_0000
    assert "0x08043000 would fit as well" in found.notes[0]


@pytest.mark.parametrize(
    "data",
    [
        cortex_m(0x0800_0000)[:12],
        b"\xff" * 4096,
        bytes(4096),
        cortex_m(0x0800_0000).replace(struct.pack("<I", 0x0800_0201), struct.pack("<I", 0x0800_0200)),
        cortex_m(0x0800_0000).replace(struct.pack("<I", 0x0800_0301), struct.pack("<I", 0x0900_0301)),
        cortex_m(0x0800_0000).replace(struct.pack("<I", RAM_END), struct.pack("<I", RAM_END + 2)),
    ],
    ids=["short", "erased", "zeros", "reset without Thumb bit", "handlers elsewhere", "odd stack"],
)
def test_nothing_is_guessed_without_a_table(data: bytes) -> None:
    with pytest.raises(FirmwareError, match="address of the raw image is missing") as caught:
        load_image(data)
    assert "0x08000000 on most STM32" in str(caught.value.next_step)
