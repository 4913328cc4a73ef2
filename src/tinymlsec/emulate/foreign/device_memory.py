"""Memory of a device as the finder sees it, from an image and from a machine that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import MemoryMap
from tinymlsec.emulate.foreign.finder.memory import Block, Memory

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

Read = Callable[[int, int], bytes]


def flash_of(image: FirmwareImage, thumb: bool) -> Memory:
    """What an image holds, where it is stored; all of it may be code, since images without sections do not tell."""
    blocks = tuple(Block(address, data, True) for address, data in image.stored())
    return Memory(blocks, thumb=thumb)


def running(image: FirmwareImage, memory: MemoryMap, read: Read, thumb: bool) -> Memory:
    """Flash from the image, RAM as it is now.

    RAM in which code lies (copied there by start-up, or loaded by something else) is executable as well.
    """
    ram = tuple(
        Block(region.address, read(region.address, region.size), _has_code(image, region.address, region.size))
        for region in memory.regions
        if "w" in region.access
    )
    flash = tuple(
        Block(address, data, True)
        for address, data in image.stored()
        if not any(block.address <= address < block.end for block in ram)
    )
    return Memory(flash, ram, thumb)


def _has_code(image: FirmwareImage, start: int, size: int) -> bool:
    return any("x" in s.access and s.virtual_address < start + size and start < s.virtual_end for s in image.segments)
