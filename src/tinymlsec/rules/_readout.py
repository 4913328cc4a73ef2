"""Readout protection, where an image itself sets it: option bytes, configuration fields and locks at known addresses.

Most parts keep these beside the program; programming files (Intel HEX, ELF) often carry them. Where an image holds
nothing at the address, it says nothing.

Sources: ST reference manuals RM0008 (STM32F1), RM0091 (F0), RM0316 (F3), RM0090 (F4), RM0351 (L4), RM0440 (G4); NXP
UM10360 (LPC17xx, code read protection) and K64P144M120SF5RM (Kinetis, flash configuration field); Nordic nRF52840
Product Specification, UICR.APPROTECT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinymlsec.rules.subjects import ImageFile

OFF, ON, PERMANENT = "off", "on", "permanent"
_CRP = {
    0x12345678: (ON, "CRP1"), 0x87654321: (ON, "CRP2"), 0x43218765: (PERMANENT, "CRP3"), 0x4E697370: (OFF, "NO_ISP"),
}  # fmt: skip


@dataclass(frozen=True)
class Readout:
    """One setting that an image holds."""

    state: str
    """off, on (can be lowered) or permanent"""
    address: int
    what: str
    """The setting and its value, such as ``RDP level 0 (0xaa)``."""


def readouts(file: ImageFile) -> tuple[Readout, ...]:
    """Every setting of readout protection in the image."""
    found = [each for look in _LOOKS for each in look(file)]
    return tuple(found)


def _word(file: ImageFile, address: int, size: int = 4) -> int | None:
    data = file.image.read(address, size)
    return None if data is None else int.from_bytes(data, "little")


def _level(byte: int, *, open_at: int) -> tuple[str, str]:
    if byte == open_at:
        return OFF, f"RDP level 0 (0x{byte:02x})"
    return (PERMANENT, "RDP level 2 (0xcc)") if byte == 0xCC else (ON, f"RDP level 1 (0x{byte:02x})")


def _stm32_pairs(file: ImageFile) -> Iterator[Readout]:
    """STM32F0, F1, F3: a byte and its complement at 0x1FFFF800; level 0 is 0xAA, on the F1 0xA5."""
    word = _word(file, 0x1FFFF800, 2)
    if word is None or word >> 8 != ~word & 0xFF:
        return
    byte = word & 0xFF
    state, what = _level(byte, open_at=byte if byte in (0xAA, 0xA5) else 0x100)
    yield Readout(state, 0x1FFFF800, f"option byte {what}")


def _stm32_word(file: ImageFile) -> Iterator[Readout]:
    """STM32L4, G4, WB (0x1FFF7800, bits 0 to 7) and F2, F4 (0x1FFFC000, bits 8 to 15)."""
    for address, size, shift in ((0x1FFF7800, 4, 0), (0x1FFFC000, 2, 8)):
        word = _word(file, address, size)
        if word is not None and word != (1 << 8 * size) - 1:
            state, what = _level(word >> shift & 0xFF, open_at=0xAA)
            yield Readout(state, address, f"option byte {what}")


def _nordic(file: ImageFile) -> Iterator[Readout]:
    """nRF52: UICR.APPROTECT; erased and 0x5A leave the port open (the latter by software that asks for it)."""
    word = _word(file, 0x10001208)
    if word is None:
        return
    state = OFF if word & 0xFF in (0xFF, 0x5A) else ON
    yield Readout(state, 0x10001208, f"UICR.APPROTECT 0x{word & 0xFF:02x}")


def _kinetis(file: ImageFile) -> Iterator[Readout]:
    """Kinetis: FSEC at 0x40C. Told from ordinary code by its section, or by 8 key bytes and FPROT that are erased."""
    named = any(s.name.lower() in (".flashconfig", ".cfmprotect", ".flash_config") for s in file.image.sections)
    field = file.image.read(0x400, 16)
    if field is None or not (named or (field[:12] == b"\xff" * 12 and field[13:16] != b"\xff" * 3)):
        return
    fsec = field[12]
    if fsec & 3 == 2:
        yield Readout(OFF, 0x40C, f"FSEC 0x{fsec:02x} (unsecured)")
    else:
        for_good = fsec >> 4 & 3 == 2 and fsec >> 6 != 2  # no mass erase, no backdoor key
        yield Readout(PERMANENT if for_good else ON, 0x40C, f"FSEC 0x{fsec:02x} (secured)")


def _lpc(file: ImageFile) -> Iterator[Readout]:
    """LPC11xx to LPC17xx: the word at 0x2FC. Other values leave the part open, which only a known LPC part tells."""
    word = _word(file, 0x2FC)
    if word is None:
        return
    if word in _CRP:
        state, name = _CRP[word]
        yield Readout(state, 0x2FC, f"code read protection {name}")
    elif any(s.name.lower() in (".crp", ".crp_section") for s in file.image.sections):
        yield Readout(OFF, 0x2FC, f"code read protection 0x{word:08x} (none)")


_LOOKS: tuple[Callable[[ImageFile], Iterator[Readout]], ...] = (_stm32_pairs, _stm32_word, _nordic, _kinetis, _lpc)
