"""Builds firmware, and says in bytes what the linker could not place."""

from __future__ import annotations

from collections.abc import Mapping

from tinymlsec.emulate.compiler_run import TooLarge
from tinymlsec.emulate.contract import Core, MemoryMap
from tinymlsec.emulate.measure_fit import DoesNotFit, Shortage, main_flash, main_ram
from tinymlsec.emulate.toolchain import Build, Toolchain, build_firmware


def build_fitting(
    files: Mapping[str, str], core: Core, device: str, memory: MemoryMap, optimize: str, toolchain: Toolchain | None
) -> Build:
    """Like `build_firmware`, with the linker's complaint about space in the words of the check before the build.

    Raises:
        DoesNotFit: a memory is short.
        BuildError: anything else that the compiler refused.
    """
    try:
        return build_firmware(files, core, optimize=optimize, toolchain=toolchain)
    except TooLarge as error:
        regions = (("flash", main_flash(memory)), ("RAM", main_ram(memory)))
        missing = {name.lower(): size for name, size in error.short.items()}
        short = tuple(
            Shortage(f"{name} ({region.name})", "the built firmware", region.size + missing[name.lower()], region.size)
            for name, region in regions
            if name.lower() in missing
        )
        raise DoesNotFit(device, short) from None
