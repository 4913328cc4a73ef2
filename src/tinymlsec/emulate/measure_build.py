"""Builds firmware, and says in bytes what the linker could not place."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tinymlsec.emulate.contract import Core, MemoryMap
from tinymlsec.emulate.measure_fit import DoesNotFit, Shortage, main_flash, main_ram
from tinymlsec.emulate.toolchain import Build, Toolchain, build_firmware
from tinymlsec.errors import BuildError

_OVERFLOW = re.compile(
    r"will not fit in region [`']?(?P<lld>\w+)'?: overflowed by (?P<lld_bytes>\d+) bytes"
    r"|region [`'](?P<gnu>\w+)' overflowed by (?P<gnu_bytes>\d+) bytes"
)


def build_fitting(
    files: Mapping[str, str], core: Core, device: str, memory: MemoryMap, optimize: str, toolchain: Toolchain | None
) -> Build:
    """Like `build_firmware`, with the linker's complaint about space in our words.

    Raises:
        DoesNotFit: a memory is short.
        BuildError: anything else that the compiler refused.
    """
    try:
        return build_firmware(files, core, optimize=optimize, toolchain=toolchain)
    except BuildError as error:
        missing = overflows(str(error))
        regions = (("flash", main_flash(memory)), ("ram", main_ram(memory)))
        short = tuple(
            Shortage(f"{name} ({region.name})", "the built firmware", region.size + missing[name], region.size)
            for name, region in regions
            if name in missing
        )
        if not short:
            raise
        raise DoesNotFit(device, short) from None


def overflows(words: str) -> dict[str, int]:
    """The regions that a linker says are short, with the largest number of bytes it names for each."""
    most: dict[str, int] = {}
    for match in _OVERFLOW.finditer(words):
        region = (match["lld"] or match["gnu"]).lower()
        most[region] = max(most.get(region, 0), int(match["lld_bytes"] or match["gnu_bytes"]))
    return most
