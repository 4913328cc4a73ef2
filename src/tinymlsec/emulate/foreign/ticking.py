"""A clock for emulated firmware: every so many instructions a counter grows or an interrupt handler runs.

The handler is entered the way the core would: between two instructions, only while interrupts are allowed, with every
register put back afterwards. It is entered by moving the program counter and left by a hook at an address where
nothing else ever comes to, never by starting the engine inside of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tinymlsec.emulate.foreign.hardware import Clock
from tinymlsec.emulate.foreign.peek import read_or_nothing

_AROUND = {"arm": b"\xfe\xe7", "riscv32": b"\x01\xa0"}
"""A jump to itself: a block of one instruction."""
SOON = 20
"""Instructions after which a tick is tried again that could not come."""


class Alarm(Protocol):
    """What counts the instructions, fast, and calls at the first basic block after so many of them.

    Not at a block that begins inside of an IT block, whose condition the handler would be run under.
    """

    left: int
    """Instructions until it rings."""
    inside: bool
    """A handler is under way; like `left` it goes back with snapshots of the machine."""

    def connect(self, ring: Callable[[int], bool]) -> None:
        """Says whom to call, with the address of the block; the answer is whether the core was sent elsewhere."""


class Ticking:
    """Drives a clock by executed instructions, to the basic block.

    Args:
        uc: the engine, before it runs.
        clock: what ticks.
        arm: an Arm core; else RISC-V.
        back: a mapped, executable, even address that firmware never comes to; handlers return to it.
        enabled: whether the clock is switched on, asked before every tick.
        alarm: counts instructions.
    """

    def __init__(self, uc: Any, clock: Clock, arm: bool, back: int, enabled: Callable[[], bool], alarm: Alarm) -> None:
        from unicorn import UC_HOOK_CODE

        self.uc, self.clock, self.back, self.alarm = uc, clock, back, alarm
        self._enabled = enabled
        self.ticks = 0
        self.interrupted: tuple[Any, int] | None = None
        """Registers and address of what the handler interrupted; of no account where none is under way."""
        self._registers = _Registers(arm)
        self._hook = self._returned  # kept alive for the engine
        uc.mem_write(back, _AROUND["arm" if arm else "riscv32"])
        if clock.handler is not None:
            uc.hook_add(UC_HOOK_CODE, self._hook, begin=back, end=back)
        alarm.left = clock.every
        alarm.connect(self._ring)

    def hurry(self) -> None:
        """Makes the next tick due: the core waits for an interrupt."""
        self.alarm.left = 0

    def _ring(self, address: int) -> bool:
        """A tick is due where a block begins. Where it cannot come now, it comes at one of the next blocks."""
        if self.alarm.inside or address == self.back:
            return False
        if not self._enabled():
            self.alarm.left = self.clock.every
            return False
        if self.clock.handler is not None and not self._registers.interruptible(self.uc):
            self.alarm.left = SOON
            return False
        self.alarm.left = self.clock.every
        self.ticks += 1
        return self._tick(address)

    def _tick(self, address: int) -> bool:
        if self.clock.counter is not None:
            old = int.from_bytes(read_or_nothing(self.uc, self.clock.counter, 4), "little")
            self.uc.mem_write(self.clock.counter, (old + 1 & 0xFFFFFFFF).to_bytes(4, "little"))
        if self.clock.handler is None:
            return False
        self.interrupted, self.alarm.inside = (self.uc.context_save(), address), True
        self._registers.enter(self.uc, self.clock.handler, self.back)
        return True

    def _returned(self, uc: Any, address: int, size: int, data: Any) -> None:
        if self.alarm.inside and self.interrupted is not None:
            saved, interrupted = self.interrupted
            self.alarm.inside = False
            self.alarm.left = max(self.alarm.left, 1)  # what was interrupted gets on, however long the handler takes
            uc.context_restore(saved)
            self._registers.go(uc, interrupted)


class _Registers:
    """The registers of an interrupt."""

    def __init__(self, arm: bool) -> None:
        from unicorn import arm_const as a
        from unicorn import riscv_const as r

        self.arm = arm
        self.counter = a.UC_ARM_REG_PC if arm else r.UC_RISCV_REG_PC
        self.links = (a.UC_ARM_REG_LR,) if arm else (r.UC_RISCV_REG_RA, r.UC_RISCV_REG_MEPC)
        self.masks = (a.UC_ARM_REG_PRIMASK, a.UC_ARM_REG_FAULTMASK, a.UC_ARM_REG_BASEPRI) if arm else ()

    def interruptible(self, uc: Any) -> bool:
        """Interrupts are allowed. On RISC-V a described handler is always taken for allowed."""
        return not any(uc.reg_read(mask) for mask in self.masks)

    def enter(self, uc: Any, handler: int, back: int) -> None:
        """Goes to the handler, which returns by its link register (or on RISC-V by mret as well)."""
        for link in self.links:
            uc.reg_write(link, back | self.arm)
        self.go(uc, handler)

    def go(self, uc: Any, address: int) -> None:
        """Goes on at an address, in Thumb state on Arm."""
        uc.reg_write(self.counter, address | self.arm)
