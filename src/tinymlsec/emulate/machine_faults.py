"""From the engine's numbers to what went wrong in firmware, where, and in which memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinymlsec.emulate.contract import EmulationFault, MemoryMap
from tinymlsec.emulate.engine import library as lib

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

_MEMORY = {
    19: ("read where there is no memory", "read"),
    20: ("write where there is no memory", "write"),
    21: ("jump to where there is no memory", "fetch"),
    22: ("write to read-only memory", "write"),
    23: ("read of unreadable memory", "read"),
    24: ("jump to memory that holds no code", "fetch"),
}
"""Kinds of invalid accesses, as the engine numbers them."""

_ARM = {
    1: "undefined instruction", 2: "supervisor call, which nobody answers", 3: "jump to where there is no memory",
    4: "access where there is no memory", 7: "breakpoint", 8: "return from an exception that was not taken",
    17: "floating-point instruction without a unit that is switched on", 18: "jump to an address without the Thumb bit",
    19: "stack below its limit", 22: "unaligned access",
}  # fmt: skip
_RISCV = {
    0: "jump to an odd address", 1: "jump to where there is no memory", 2: "undefined instruction", 3: "breakpoint",
    4: "unaligned access", 5: "read where there is no memory", 6: "unaligned access",
    7: "write where there is no memory",
    8: "environment call, which nobody answers", 11: "environment call, which nobody answers",
}  # fmt: skip
_OWN = {
    lib.END_UNALIGNED: "unaligned access",
    lib.END_DIVISION: "division by zero",
    lib.END_PROTECTED: "access that the memory protection unit forbids",
    lib.END_INVALID: "undefined instruction",
    lib.END_WAITS: "wait for an interrupt that never comes",
}
_EBREAK = (b"\x73\x00\x10\x00",)
_RIGHTS = {1: "read", 2: "write", 4: "fetch"}


def fault_of(told: Mapping[str, Any], image: FirmwareImage, memory: MemoryMap, arm: bool) -> EmulationFault:
    """What a run that ended badly died of.

    Args:
        told: the worker's reply.
        image: names addresses.
        memory: names memories.
        arm: an Arm core; else RISC-V.
    """
    end, pc = told["end"], told["pc"] & ~1
    kind, access, touched = _what(told, end, arm)
    if not arm and kind == "undefined instruction" and (image.read(pc, 4) or b"")[:4] in _EBREAK:
        kind = "breakpoint"  # which the engine does not know
    found = image.symbol_at(pc)
    return EmulationFault(
        kind=kind,
        pc=pc,
        symbol=f"{found[0]}+0x{found[1]:x}" if found else "",
        line=image.line_at(pc),
        access=access,
        region=region_name(memory, touched) if access else "",
        last=tuple(told["last"]),
    )


def _what(told: Mapping[str, Any], end: int, arm: bool) -> tuple[str, str, int]:
    """Kind, access in words, and the address that was touched."""
    address, counter = told["address"], told["registers"][-1]
    if end == lib.END_ENGINE and told["type"] in _MEMORY:
        kind, word = _MEMORY[told["type"]]
        return kind, f"{word} at 0x{address:08x}", address
    if end == lib.END_EXCEPTION:
        number = told["interrupt"] - 1
        kind = (_ARM if arm else _RISCV).get(number, f"exception {number}")
        return kind, f"fetch at 0x{counter:08x}" if number == (3 if arm else 1) else "", counter
    if end in (lib.END_MISMATCH, lib.END_ENGINE) and told["exit_code"] is not None:
        return f"the firmware ended itself with code {told['exit_code']}", "", counter
    if end == lib.END_PROTECTED:
        return _OWN[end], f"{_RIGHTS.get(told['type'], 'access')} at 0x{address:08x}", address
    if end == lib.END_UNALIGNED:
        return _OWN[end], f"access at 0x{address:08x}", address
    return _OWN.get(end, "undefined instruction" if end == lib.END_ENGINE else "the engine stopped"), "", counter


def region_name(memory: MemoryMap, address: int) -> str:
    """Name of the memory at an address, or 'none'."""
    return next((r.name for r in memory.regions if r.address <= address < r.address + r.size), "none")
