"""Hardware for a first run of firmware that nobody has described: registers that end most waits, and a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import Core, MemoryMap
from tinymlsec.emulate.foreign.hardware import Clock, Hardware, RegisterBlock
from tinymlsec.emulate.foreign.plan import SYSTEM_REGISTERS, SYSTICK_GATE, SYSTICK_VECTOR

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

TICK = 10_000
"""Instructions from tick to tick; about a millisecond at the speed of a small device."""
PAGE = 0x1000
_ARM_SPANS = ((0x40000000, 0x60000000), (0xD0000000, 0xD1000000))
"""Peripherals by the architecture's memory map, and the single-cycle ports of some."""
_RISCV_SPANS = ((0x02000000, 0x02010000), (0x0C000000, 0x10000000), (0x40000000, 0x70000000))
"""Where timers, interrupt controllers and peripherals of RISC-V devices are used to lie."""


def guessed_hardware(image: FirmwareImage, core: Core, memory: MemoryMap, extra: tuple[int, ...] = ()) -> Hardware:
    """Registers wherever peripherals may lie, and the clock that the vector table names.

    Args:
        image: the firmware.
        core: what it runs on.
        memory: its memories; registers lie around them.
        extra: addresses of pages that are taken for registers too, because the firmware reached for them.
    """
    arm = core.machine == "arm"
    spans = [*(_ARM_SPANS if arm else _RISCV_SPANS), *((page, page + PAGE) for page in extra)]
    blocks = [RegisterBlock(f"0x{a:08x}", a, b - a, "either") for a, b in _free(spans, memory)]
    return Hardware(
        blocks=(*blocks, SYSTEM_REGISTERS) if arm else tuple(blocks),
        clock=_clock(image) if arm else None,
        semihosting=True,
        listens=True,
    )


def _clock(image: FirmwareImage) -> Clock | None:
    """SysTick with its own handler. One handler for everything is where firmware ends that has no use for it."""
    vectors = image.vectors
    if vectors is None or not vectors.plausible or len(vectors.vectors) <= SYSTICK_VECTOR:
        return None
    handler = vectors.vectors[SYSTICK_VECTOR]
    if not handler & 1 or vectors.vectors[2:].count(handler) > 1:
        return None
    return Clock(TICK, handler & ~1, gate=SYSTICK_GATE)


def _free(spans: list[tuple[int, int]], memory: MemoryMap) -> list[tuple[int, int]]:
    """The spans without the pages of memories, and without what lies in another span."""
    taken = sorted((r.address & ~(PAGE - 1), r.address + r.size + PAGE - 1 & ~(PAGE - 1)) for r in memory.regions)
    free: list[tuple[int, int]] = []
    for start, end in spans:
        pieces = [(start, end)]
        for low, high in [*taken, *free]:
            pieces = [p for a, b in pieces for p in ((a, min(b, low)), (max(a, high), b)) if p[0] < p[1]]
        free += pieces
    return free
