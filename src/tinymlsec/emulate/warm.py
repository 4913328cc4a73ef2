"""Builds something small for every core once, so that the first real build does not wait for runtime libraries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from tinymlsec.emulate.contract import Core
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.toolchain import Toolchain, build_firmware
from tinymlsec.errors import ToolchainError

# Division of 64-bit numbers comes from the runtime library that is to be warmed.
_MAIN = """\
#include <stdint.h>
#include <string.h>
volatile uint64_t tms_a = 1, tms_b = 1;
uint8_t tms_memory[16];
void tms_start(void)
{
    tms_a = tms_a / tms_b;
    memset(tms_memory, (int)tms_a, sizeof tms_memory);
    for (;;)
        ;
}
"""

_SCRIPT = """\
ENTRY(tms_start)
MEMORY
{
    FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 0x10000
    RAM (rw) : ORIGIN = 0x20000000, LENGTH = 0x10000
}
SECTIONS
{
    .text : { *(.text*) *(.rodata*) } > FLASH
    .ARM.exidx : { *(.ARM.exidx*) } > FLASH
    .data : { *(.data*) *(.sdata*) } > RAM AT > FLASH
    .bss (NOLOAD) : { *(.bss*) *(.sbss*) *(COMMON) } > RAM
}
"""

SMALL = {"main.c": _MAIN, "link.ld": _SCRIPT}
"""Minimal firmware that links for every core."""


LIBRARIES = (("flash cache", "tinymlsec.emulate.cycles.flash_cache", "_library"),)
"""Libraries of this host: name, and the module and function that build them."""


@dataclass(frozen=True)
class Warmed:
    """One thing that was built, or failed to."""

    what: str
    """Id of a core, or name of a library of `LIBRARIES`."""
    seconds: float
    """Wall clock, little where it was built before."""
    problem: str = ""
    """Why it cannot be built."""


def warm(toolchain: Toolchain) -> Iterator[Warmed]:
    """Builds for every core that the toolchain builds for, then the libraries of this host.

    Args:
        toolchain: from `find_toolchain`.
    """
    for core in CORES.values():
        if toolchain.name == "zig" or core.gcc_flags:
            yield _timed(core.id, _builder(core, toolchain))
    for name, module, function in LIBRARIES:
        if find_spec(module) is not None:
            yield _timed(name, getattr(import_module(module), function))


def _builder(core: Core, toolchain: Toolchain) -> Callable[[], object]:
    return lambda: build_firmware(SMALL, core, toolchain=toolchain)


def _timed(what: str, build: Callable[[], object]) -> Warmed:
    began = time.monotonic()
    try:
        build()
    except ToolchainError as error:
        return Warmed(what, time.monotonic() - began, str(error))
    return Warmed(what, time.monotonic() - began)
