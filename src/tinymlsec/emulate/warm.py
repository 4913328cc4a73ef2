"""Builds something small for every core once, so that the first real build does not wait for runtime libraries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from tinymlsec.context import Progress, silent
from tinymlsec.emulate.contract import Core, MemoryMap, Region
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.toolchain import Toolchain, build_firmware
from tinymlsec.errors import MachineError, ToolchainError

# Division of 64-bit numbers comes from the runtime library that is to be warmed.
_MAIN = """\
#include <stdint.h>
#include <string.h>
volatile uint64_t tms_a, tms_b;
uint8_t tms_memory[16];
void tms_start(void)
{
    tms_a = 0xd00000000d;
    tms_b = 0x1000000001;
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

_REGIONS = (Region("flash", 0x08000000, 0x10000, "rx"), Region("ram", 0x20000000, 0x10000, "rwx"))

SMALL = {"main.c": _MAIN, "link.ld": _SCRIPT}
"""Minimal firmware that links for every core."""


LIBRARIES = (
    ("flash cache", "tinymlsec.emulate.cycles.flash_cache", "_library"),
    ("follower of inputs", "tinymlsec.attacks.side_channel._timing_flow", "library"),
    ("tracer", "tinymlsec.emulate.engine.library", "build"),
)
"""Libraries of this host: name, and the module and function that build them."""

MOST_SECONDS = 300.0
"""After that much time nothing further is begun; on an idle machine all takes a quarter of it."""


@dataclass(frozen=True)
class Warmed:
    """One thing that was built, or failed to."""

    what: str
    """Id of a core, or name of a library of `LIBRARIES`."""
    seconds: float
    """Wall clock, little where it was built before."""
    problem: str = ""
    """Why it cannot be built."""
    fix: str = ""
    """What to do about it, where that is known."""


def warm(toolchain: Toolchain, progress: Progress = silent) -> Iterator[Warmed]:
    """Builds for every core that the toolchain builds for, then the libraries of this host.

    Args:
        toolchain: from `find_toolchain`.
        progress: told before each build.
    """
    jobs = [
        (core.id, _builder(core, toolchain)) for core in CORES.values() if toolchain.name == "zig" or core.gcc_flags
    ]
    jobs += [(name, _maker(module, function)) for name, module, function in LIBRARIES]
    began = time.monotonic()
    for number, (what, build) in enumerate(jobs):
        progress(number, len(jobs), f"building for {what}" if what in CORES else f"building the {what}")
        if time.monotonic() - began > MOST_SECONDS:
            yield Warmed(what, 0.0, f"not tried: the builds before it took more than {MOST_SECONDS:.0f} s")
        else:
            yield _timed(what, build)


def _builder(core: Core, toolchain: Toolchain) -> Callable[[], object]:
    return lambda: build_firmware(SMALL, core, toolchain=toolchain, timeout=MOST_SECONDS / 2)


def _maker(module: str, function: str) -> Callable[[], object]:
    return lambda: getattr(import_module(module), function)()


def _timed(what: str, build: Callable[[], object]) -> Warmed:
    began = time.monotonic()
    try:
        build()
    except ToolchainError as error:
        words = f"{error.message}: {error.found}" if error.found else error.message
        return Warmed(what, time.monotonic() - began, words, error.next_step or "")
    except OSError as error:
        fix = "set TINYMLSEC_CACHE to a folder that libraries may be loaded from"
        return Warmed(what, time.monotonic() - began, str(error), fix)
    return Warmed(what, time.monotonic() - began)


def self_test(toolchain: Toolchain) -> str:
    """Runs the small firmware in the emulator, for one Arm core and for RISC-V; says on which.

    Raises:
        TinymlsecError: it does not run, or computes something wrong.
    """
    from tinymlsec.emulate.machine import Machine
    from tinymlsec.target.firmware import load_image

    ran = []
    for core in (CORES["cortex-m4"], CORES["rv32imc"]):
        if toolchain.name != "zig" and not core.gcc_flags:
            continue
        image = load_image(build_firmware(SMALL, core, toolchain=toolchain).elf)
        with Machine(image, core, MemoryMap(_REGIONS, "self-test")) as machine:
            machine.boot(None, stack=_REGIONS[1].address + _REGIONS[1].size, instructions=20_000, seconds=20.0)
            found = machine.read(image.symbols["tms_memory"].address, 16)
        if found != b"\x0d" * 16:
            raise MachineError(f"firmware for {core.id} goes wrong", found=found.hex(), expected="0d" * 16)
        ran.append(core.id)
    return " and ".join(ran)
