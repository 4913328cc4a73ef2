"""Machine code of functions that return a value at once, put over the functions that a description stubs."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tinymlsec.emulate.foreign.description import DescriptionError

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage, Segment

_MOVS_R0, _LDR_R0_PC, _BX_LR, _NOP = 0x2000, 0x4800, 0x4770, 0xBF00
_ADDI_A0_A0, _LUI_A0, _LI_A0, _C_RET = 0x00050513, 0x00000537, 0x00000513, 0x8082


def stub_code(machine: str, address: int, value: int) -> bytes:
    """Instructions that return a value; they run on the smallest core of the machine.

    Args:
        machine: arm or riscv32.
        address: where they will lie; a literal has to be aligned.
        value: 32 bits.
    """
    if machine == "riscv32":
        low = (value & 0xFFF) - ((value & 0x800) << 1)
        high = (value - low) & 0xFFFFF000
        words = [_LUI_A0 | high, (_ADDI_A0_A0 | (low & 0xFFF) << 20)] if high else [_LI_A0 | (low & 0xFFF) << 20]
        return struct.pack(f"<{len(words)}IH", *words, _C_RET)
    if value < 256:
        return struct.pack("<HH", _MOVS_R0 | value, _BX_LR)
    if address % 4 == 0:
        return struct.pack("<HHI", _LDR_R0_PC, _BX_LR, value)
    return struct.pack("<HHHI", _LDR_R0_PC | 1, _BX_LR, _NOP, value)


def with_stubs(image: FirmwareImage, stubs: Mapping[int, int] | Iterable[tuple[int, int]]) -> FirmwareImage:
    """The image with functions replaced.

    Args:
        image: the user's.
        stubs: address of a function, and what it returns.

    Raises:
        DescriptionError: a function is too short for the code that returns its value, or lies outside of the image.
    """
    segments = list(image.segments)
    for address, value in dict(stubs).items():
        code = stub_code(image.machine or "arm", address, value)
        _check_room(image, address, code)
        index = next((i for i, s in enumerate(segments) if _holds(s, address, len(code))), None)
        if index is None:
            raise DescriptionError(f"the stub at 0x{address:08x} lies outside of the image")
        segment = segments[index]
        start = address - segment.virtual_address
        data = segment.data[:start] + code + segment.data[start + len(code) :]
        segments[index] = replace(segment, data=data)
    return replace(image, segments=tuple(segments))


def _holds(segment: Segment, address: int, size: int) -> bool:
    return segment.virtual_address <= address and address + size <= segment.virtual_address + len(segment.data)


def _check_room(image: FirmwareImage, address: int, code: bytes) -> None:
    """What follows a short function must stay as it is."""
    at = image.symbol_at(address)
    symbol = image.symbols.get(at[0]) if at else None
    if symbol is not None and symbol.size and at is not None and symbol.size - at[1] < len(code):
        raise DescriptionError(
            f"the function {symbol.short!r} is too short to be stubbed with that value",
            found=f"{symbol.size} bytes",
            expected=f"at least {len(code)} bytes",
            next_step="return a value below 256, or stub its caller",
        )
