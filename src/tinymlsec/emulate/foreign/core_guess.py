"""Which core a firmware was built for, where nobody says: build attributes of the ELF, the family of a UF2, a guess.

Source: Arm, "Addenda to, and Errata in, the ABI for the Arm Architecture" (build attributes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import Core
from tinymlsec.emulate.cores import CORES

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

MAX_BYTES = 4096
"""Of attributes that are read; real ones have less than a hundred."""
CPU_RAW_NAME, CPU_NAME, CPU_ARCH, FP_ARCH, VFP_ARGS, COMPATIBILITY = 4, 5, 6, 10, 28, 32
FALLBACK = "cortex-m4f"

_ARCHITECTURES = {
    10: ("cortex-m3", "Armv7-M"),
    11: ("cortex-m0plus", "Armv6-M"),
    12: ("cortex-m0plus", "Armv6S-M"),
    13: ("cortex-m4", "Armv7E-M"),
    16: ("cortex-m33", "Armv8-M Baseline, which the Cortex-M33 contains"),
    17: ("cortex-m33", "Armv8-M Mainline"),
    21: ("cortex-m33", "Armv8.1-M Mainline; the vector extension (Helium) does not run"),
}
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


def guess_core(image: FirmwareImage, data: bytes) -> CoreGuess:
    """The core that runs an image.

    Args:
        image: the firmware.
        data: its file, for the attributes that are not in the image.
    """
    if image.machine == "riscv32":
        return CoreGuess(CORES["rv32imc"], "code for RISC-V")
    section = next((s for s in image.sections if s.name == ".ARM.attributes"), None)
    if image.kind == "elf" and section is not None:
        found = attributes(data[section.offset : section.offset + min(section.size, MAX_BYTES)])
        if (guess := _by_attributes(found)) is not None:
            return guess
    if image.family in _FAMILIES:
        return CoreGuess(CORES[_FAMILIES[image.family]], f"UF2 family {image.family}")
    return CoreGuess(CORES[FALLBACK], "a guess, since the file does not tell; name it with --core or --device")


def attributes(section: bytes) -> dict[int, int | str]:
    """Public attributes of the whole file by tag; as far as they can be read."""
    found: dict[int, int | str] = {}
    if not section.startswith(b"A") or section[5:11] != b"aeabi\0":
        return found
    end = min(1 + int.from_bytes(section[1:5], "little"), len(section))
    at = 11
    if at + 5 > end or section[at] != 1:
        return found
    end = min(end, at + int.from_bytes(section[at + 1 : at + 5], "little"))
    at += 5
    while at < end:
        tag, at = _number(section, at, end)
        value: int | str
        if tag in (CPU_RAW_NAME, CPU_NAME) or (tag > COMPATIBILITY and tag % 2):
            value, at = _text(section, at, end)
        else:
            value, at = _number(section, at, end)
            if tag == COMPATIBILITY:
                _, at = _text(section, at, end)
        found[tag] = value
    return found


def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """An unsigned number in base 128, and where it ends."""
    value = shift = 0
    while at < end and shift < 35:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return value, at
    return value, end


def _text(data: bytes, at: int, end: int) -> tuple[str, int]:
    stop = data.find(b"\0", at, end)
    stop = end if stop < 0 else stop
    return data[at:stop].decode("ascii", "replace"), min(stop + 1, end)


def _by_attributes(found: dict[int, int | str]) -> CoreGuess | None:
    named = str(found.get(CPU_NAME, "")).lower()
    arch = found.get(CPU_ARCH)
    known = _ARCHITECTURES.get(arch) if isinstance(arch, int) else None
    if "cortex-m7" in named:
        known = ("cortex-m7", "Cortex-M7")
    if known is None:
        return None
    core, words = known
    if core == "cortex-m4" and (found.get(FP_ARCH) or found.get(VFP_ARGS)):
        core, words = "cortex-m4f", f"{words} with floating-point unit"
    return CoreGuess(CORES[core], f"build attributes of the ELF: {words}")
