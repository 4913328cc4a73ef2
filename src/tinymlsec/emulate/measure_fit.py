"""Whether a model fits a device, before anything is built: which memory is short, and by how many bytes."""

from __future__ import annotations

from dataclasses import dataclass

from tinymlsec.emulate.codegen.layout import SMALLEST_CODE, SMALLEST_DATA
from tinymlsec.emulate.codegen.program import Program
from tinymlsec.emulate.contract import MemoryMap, Region
from tinymlsec.errors import DeviceError


class DoesNotFit(DeviceError):
    """The model needs more memory than the device has.

    Args:
        shortages: what is short.
    """

    def __init__(self, device: str, shortages: tuple[Shortage, ...]) -> None:
        self.shortages = shortages
        super().__init__(
            f"the model does not fit {device}: " + "; ".join(f"{s.memory} is short by {s.words}" for s in shortages),
            found="; ".join(s.found for s in shortages),
            next_step="choose a device with more memory (tinymlsec list devices) or a smaller model",
        )


@dataclass(frozen=True)
class Shortage:
    """A memory that is too small."""

    memory: str
    """RAM or flash, with the region's name."""
    needs: str
    """What it would have to hold."""
    needed: int
    has: int
    at_least: bool = False
    """More may be missing: not everything is known before a build."""

    @property
    def missing(self) -> int:
        """Bytes."""
        return self.needed - self.has

    @property
    def found(self) -> str:
        """What was to go where."""
        has = f" of {self.has:,} bytes" if self.has else ""
        return f"{self.needs} ({self.needed:,} bytes) for {self.memory}{has}"

    @property
    def words(self) -> str:
        """How much is missing."""
        return f"{'at least ' if self.at_least else ''}{self.missing:,} bytes"


def main_flash(memory: MemoryMap) -> Region:
    """The memory that code and constants go to: the largest that is executed and not written."""
    return _largest([region for region in memory.regions if "x" in region.access and "w" not in region.access], "flash")


def main_ram(memory: MemoryMap) -> Region:
    """The memory that arena, variables and stack go to: the largest that is written."""
    return _largest([region for region in memory.regions if "w" in region.access], "RAM")


def _largest(regions: list[Region], what: str) -> Region:
    if not regions:
        raise DeviceError(f"the device has no {what} of known size", next_step="give a device file with its memories")
    return max(regions, key=lambda region: region.size)


def shortages(program: Program, memory: MemoryMap, stack_bytes: int) -> tuple[Shortage, ...]:
    """What is short before a build; code is not yet known, so flash is compared with the tables alone."""
    flash, ram = main_flash(memory), main_ram(memory)
    in_ram = program.arena.bytes + program.variables_bytes + stack_bytes + SMALLEST_DATA
    in_flash = program.weights_bytes + SMALLEST_CODE
    found = (
        Shortage(f"RAM ({ram.name})", f"activation arena, state and {stack_bytes:,} of stack", in_ram, ram.size),
        Shortage(f"flash ({flash.name})", "weights and some code", in_flash, flash.size, at_least=True),
    )
    return tuple(each for each in found if each.missing > 0)


def check_fits(program: Program, device: str, memory: MemoryMap, stack_bytes: int) -> None:
    """Refuses a model that cannot fit.

    Raises:
        DoesNotFit: it names each memory that is short and by how much.
    """
    found = shortages(program, memory, stack_bytes)
    if found:
        raise DoesNotFit(device, found)
