"""Bytes of a built firmware in flash and RAM, from its sections and symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.emulate.codegen.program import Program
from tinymlsec.emulate.contract import MemoryMap
from tinymlsec.emulate.measure_fit import DoesNotFit, Shortage, main_flash, main_ram
from tinymlsec.emulate.measure_records import FlashUse, MemoryUse, RamUse

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage, Section

ARENA = "tms_arena"


def memory_use(
    image: FirmwareImage, program: Program, memory: MemoryMap, *, stack: int, stack_reserved: int
) -> MemoryUse:
    """What a built firmware takes.

    Args:
        image: the ELF.
        program: what it was generated from; says how many bytes of constants are the model's.
        memory: of the device.
        stack: deepest stack that was seen.
        stack_reserved: what the linker script sets aside for it.
    """
    arena = image.symbols[ARENA].size if ARENA in image.symbols else program.arena.bytes
    return MemoryUse(
        flash=flash_use(image, program.weights_bytes),
        ram=RamUse(arena=arena, variables=max(0, _written(image) - arena), stack=stack, stack_reserved=stack_reserved),
        flash_bytes=main_flash(memory).size,
        ram_bytes=main_ram(memory).size,
        arena_bound=program.arena.bound,
        source=memory.source,
    )


def _loaded(image: FirmwareImage) -> list[Section]:
    return [section for section in image.sections if "a" in section.flags]


def _written(image: FirmwareImage) -> int:
    """.data and .bss; what the linker script sets aside for the stack is not counted as variables."""
    return sum(s.size for s in _loaded(image) if "w" in s.flags and "stack" not in s.name)


def flash_use(image: FirmwareImage, weights: int) -> FlashUse:
    """Code by the sizes of functions; what is neither code nor the model's tables are constants and padding."""
    stored = [section for section in _loaded(image) if "n" not in section.flags]
    fixed = [(s.address, s.address + s.size) for s in stored if "w" not in s.flags]
    whole = sum(end - start for start, end in fixed)
    functions = {
        symbol.address: symbol.size
        for symbol in image.all_symbols
        if symbol.kind == "function" and any(start <= symbol.address < end for start, end in fixed)
    }
    code = min(whole, sum(functions.values()))
    tables = min(weights, whole - code)
    return FlashUse(
        code=code,
        weights=tables,
        constants=whole - code - tables,
        initial=sum(s.size for s in stored if "w" in s.flags),
    )


def check_built(device: str, use: MemoryUse) -> None:
    """Refuses a build that is larger than the device's memory, should the linker have let it pass.

    Raises:
        DoesNotFit: it names each memory that is short and by how much.
    """
    reserved = use.ram.arena + use.ram.variables + max(use.ram.stack, use.ram.stack_reserved)
    found = (
        Shortage("RAM", "arena, variables and stack", reserved, use.ram_bytes),
        Shortage("flash", "the firmware", use.flash.total, use.flash_bytes),
    )
    short = tuple(each for each in found if each.missing > 0)
    if short:
        raise DoesNotFit(device, short)
