"""Raw images: bytes without a word on where they belong.

Without an address it is guessed from the vector table of a Cortex-M image: handlers are absolute addresses inside of
the image, so they say where it lies. The guess is said in the notes.
"""

from __future__ import annotations

import numpy as np

from tinymlsec.errors import FirmwareError
from tinymlsec.target.firmware.image import FirmwareImage, Segment
from tinymlsec.target.firmware.limits import ADDRESS_SPACE
from tinymlsec.target.firmware.pieces import access_at
from tinymlsec.target.firmware.ranges import Range, check_total, check_wrap
from tinymlsec.target.firmware.vectors import BOOT_OFFSETS, Spans, objection, vector_table

FLASH_STARTS = (
    0x0800_0000,  # STM32, GD32
    0x0000_0000,  # nRF, SAMD, LPC, Kinetis
    0x1000_0000,  # RP2040, RP2350
    0x6000_0000,  # i.MX RT
    0x0C00_0000,  # secure alias of STM32L5 and U5
    0x0020_0000,  # ITCM alias of STM32F7
    0x0002_6000,  # nRF52840 behind a SoftDevice (S140 6.x), 0x27000 with 7.x
    0x0002_7000,
    0x0000_2000,  # SAMD21 behind its boot loader
    0x0000_4000,  # SAMD51 behind its boot loader
)
_STEPS = (1 << 20, 1 << 18, 1 << 16, 1 << 14, 1 << 12)
"""Alignments of where an image may begin behind a boot loader, the coarsest first."""


def read_raw(data: bytes, base: int | None = None, machine: str | None = None) -> FirmwareImage:
    """Image of raw bytes.

    Args:
        data: the whole file.
        base: address of the first byte; None: guessed from the vector table.
        machine: what the firmware is for; None: Arm where a vector table is found.

    Raises:
        FirmwareError: the address is missing and cannot be guessed, or the image does not fit behind it.
    """
    check_total(len(data), None)
    notes: list[str] = []
    if base is None:
        base, notes = _guess(data, machine)
    if not 0 <= base < ADDRESS_SPACE:
        raise FirmwareError("the base address is no address", found=hex(base), expected="0 to 0xffffffff")
    check_wrap(Range(base, len(data), 0), "the image")
    segments = (Segment(base, data, len(data), access_at(base), offset=0),)
    vectors = vector_table(segments) if machine in (None, "arm") else None
    found = "arm" if vectors is not None and vectors.plausible else ""
    entry = vectors.reset if vectors is not None else None
    return FirmwareImage("raw", machine or found, entry, segments, vectors=vectors, notes=tuple(notes))


def _guess(data: bytes, machine: str | None) -> tuple[int, list[str]]:
    fits = _candidates(data) if machine in (None, "arm") else []
    if not fits:
        raise FirmwareError(
            "the address of the raw image is missing",
            offset=0,
            found="no vector table of a Cortex-M at its start" if machine != "riscv32" else "an image for RISC-V",
            expected="the address of its first byte",
            next_step="give the base address (0x08000000 on most STM32, 0 on nRF52, 0x10000000 on RP2040)",
        )
    others = ", ".join(f"0x{base:08x}" for base in fits[1:4])
    note = f"the base address 0x{fits[0]:08x} is guessed from the vector table"
    return fits[0], [note + (f"; {others} would fit as well" if others else "")]


def _candidates(data: bytes) -> list[int]:
    """Addresses at which the image would have a plausible vector table, the likeliest first."""
    fits: list[int] = []
    for offset in BOOT_OFFSETS:
        words = np.frombuffer(data[offset : offset + 64], "<u4", len(data[offset : offset + 64]) // 4).tolist()
        if len(words) < 4 or words[1] % 2 == 0:
            continue
        reset = words[1] - 1
        for base in (*FLASH_STARTS, *(reset & -step for step in _STEPS)):
            # Handlers lie behind the table that names them.
            inside = Spans([(base + offset + 8, base + len(data))])
            if base not in fits and not objection(words, inside):
                fits.append(base)
        if fits:
            break
    return fits
