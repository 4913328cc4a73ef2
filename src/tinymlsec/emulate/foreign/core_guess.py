"""Which core runs a firmware where nobody says: by the architecture an ELF names, the family of a UF2, or a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import Core
from tinymlsec.emulate.cores import CORES

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

FALLBACK = "cortex-m4f"

_ARCHITECTURES = {
    "Armv6-M": "cortex-m0plus",
    "Armv7-M": "cortex-m3",
    "Armv7E-M": "cortex-m4f",
    "Armv8-M Baseline": "cortex-m33",
    "Armv8-M Mainline": "cortex-m33",
    "Armv8.1-M": "cortex-m33",
}
"""Cores that have all instructions of an architecture, but for the vector extension of Armv8.1-M."""
_FAMILIES = {
    "RP2040": "cortex-m0plus",
    "SAML21": "cortex-m0plus",
    "SAMD21": "cortex-m0plus",
    "STM32L0": "cortex-m0plus",
    "STM32G0": "cortex-m0plus",
    "STM32F0": "cortex-m0plus",
    "STM32F1": "cortex-m3",
    "STM32F2": "cortex-m3",
    "STM32L1": "cortex-m3",
    "STM32L5": "cortex-m33",
    "LPC55": "cortex-m33",
    "STM32F7": "cortex-m7",
    "STM32H7": "cortex-m7",
    "i.MX RT10xx": "cortex-m7",
}
"""UF2 families by core; of those that are not here most have a Cortex-M4 with a floating-point unit."""


@dataclass(frozen=True)
class CoreGuess:
    """A core and why."""

    core: Core
    reason: str


def guess_core(image: FirmwareImage) -> CoreGuess:
    """The core that runs an image."""
    if image.machine == "riscv32":
        return CoreGuess(CORES["rv32imc"], "code for RISC-V")
    if image.architecture in _ARCHITECTURES:
        return CoreGuess(CORES[_ARCHITECTURES[image.architecture]], f"attributes of the ELF: {image.architecture}")
    if image.family in _FAMILIES:
        return CoreGuess(CORES[_FAMILIES[image.family]], f"UF2 family {image.family}")
    return CoreGuess(CORES[FALLBACK], "a guess, since the file does not tell; name it with --core or --device")
