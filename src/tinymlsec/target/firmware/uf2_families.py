"""Device families of UF2 files by number.

Source: the public list of families in the repository of the format (microsoft/uf2, utils/uf2families.json), and the
RP2350 datasheet for its own. Numbers that are not here are kept as numbers.
"""

from __future__ import annotations

FAMILIES: dict[int, str] = {
    0x00FF6919: "STM32L4",
    0x04240BDF: "STM32L5",
    0x11DE784A: "M0SENSE (BL702)",
    0x16573617: "ATmega32",
    0x1851780A: "SAML21",
    0x1B57745F: "nRF52",
    0x1C5F21B0: "ESP32",
    0x1E1F432D: "STM32L1",
    0x202E3A91: "STM32L0",
    0x21460FF0: "STM32WL",
    0x2ABC77EC: "LPC55",
    0x2B88D29C: "ESP32-C2",
    0x300F5633: "STM32G0",
    0x31D228C6: "GD32F350",
    0x332726F6: "ESP32-H2",
    0x3D308E94: "ESP32-P4",
    0x4B684D71: "MaixPlay-U4 (BL618)",
    0x4C71240A: "STM32G4",
    0x4F6ACE52: "CSK4",
    0x4FB2D5BD: "i.MX RT10xx",
    0x53B80F00: "STM32F7",
    0x540DDF62: "ESP32-C6",
    0x55114460: "SAMD51",
    0x57755A57: "STM32F4",
    0x5A18069B: "FX2",
    0x5D1A0A2E: "STM32F2",
    0x5EE21072: "STM32F1",
    0x621E937A: "nRF52833",
    0x647824B6: "STM32F0",
    0x68ED2B88: "SAMD21",
    0x6B846188: "STM32F3",
    0x6D0922FA: "STM32F407",
    0x6DB66082: "STM32H7",
    0x6E7348A8: "CSK6",
    0x70D16653: "STM32WB",
    0x7EAB61ED: "ESP8266",
    0x7F83E793: "KL32L2",
    0x8FB060FE: "STM32F407VG",
    0x9517422F: "RZ/A1LU",
    0x9AF03E33: "GD32VF103",
    0xADA52840: "nRF52840",
    0xBFDD4EEE: "ESP32-S2",
    0xC47E5767: "ESP32-S3",
    0xD42BA06C: "ESP32-C3",
    0xE48BFF56: "RP2040",
    0xE48BFF57: "RP2XXX absolute",
    0xE48BFF58: "RP2XXX data",
    0xE48BFF59: "RP2350 (Arm, secure)",
    0xE48BFF5A: "RP2350 (RISC-V)",
    0xE48BFF5B: "RP2350 (Arm, non-secure)",
}

_RISCV = frozenset(
    (0x11DE784A, 0x2B88D29C, 0x332726F6, 0x3D308E94, 0x4B684D71, 0x540DDF62, 0x9AF03E33, 0xD42BA06C, 0xE48BFF5A)
)
_OTHER = {
    0x16573617: "AVR",
    0x1C5F21B0: "Xtensa",
    0x5A18069B: "8051",
    0x7EAB61ED: "Xtensa",
    0x9517422F: "Arm Cortex-A",
    0xBFDD4EEE: "Xtensa",
    0xC47E5767: "Xtensa",
}
SIDE_BLOCKS = frozenset((0xE48BFF57, 0xE48BFF58))
"""Blocks that tools for RP2350 put beside an image (erratum E10, data partitions); not an image of their own."""


def family_name(number: int) -> str:
    """Name of a family, or its number as hexadecimal digits."""
    return FAMILIES.get(number, f"0x{number:08x}")


def family_number(name: str) -> int | None:
    """Number of a family by name (any case) or by its digits; None where there is none."""
    for number, known in FAMILIES.items():
        if known.lower() == name.lower():
            return number
    try:
        number = int(name, 0)
    except ValueError:
        return None
    return number if 0 <= number < 1 << 32 else None


def family_machine(number: int) -> str:
    """arm, riscv32, or empty for a family that we do not know or that is neither."""
    if number in _RISCV:
        return "riscv32"
    return "arm" if number in FAMILIES and number not in _OTHER and number not in SIDE_BLOCKS else ""


def foreign_core(number: int) -> str:
    """Name of a core that cannot be emulated, empty for others."""
    return _OTHER.get(number, "")
