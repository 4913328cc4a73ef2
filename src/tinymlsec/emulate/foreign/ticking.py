"""A clock for emulated firmware: every so many instructions a counter grows or an interrupt handler runs.

The handler is entered the way the core would: between two instructions, only while interrupts are allowed, with every
register put back afterwards. It is entered by moving the program counter and left by a hook at an address where
nothing else ever comes to, never by starting the engine inside of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinymlsec.emulate.foreign.hardware import Clock
from tinymlsec.emulate.foreign.peek import instructions_in, read_or_nothing

IT_STATE = 0x0600FC00
"""Bits of the program status register that hold the conditions of an IT block; the engine's blocks may begin in one."""
MAX_BLOCKS = 1 << 16
"""Most basic blocks whose number of instructions is kept."""


@dataclass
class TickState:
    """What changes while firmware runs."""

    left: int
    """Instructions to the next tick."""
    ticks: int = 0
    inside: tuple[Any, int] | None = None
    """Registers and address of the code that the handler interrupted."""
    counted: bool = False
    """The block that comes next was counted before the handler interrupted it; it is not interrupted again."""


class Ticking:
    """Drives a clock by executed instructions, to the basic block.

    Args:
        uc: the engine, before it runs.
        clock: what ticks.
        arm: an Arm core; else RISC-V.
        back: a mapped, executable, even address that firmware never comes to; handlers return to it.
        enabled: whether the clock is switched on, asked before every tick.
    """

    def __init__(self, uc: Any, clock: Clock, arm: bool, back: int, enabled: Any = None) -> None:
        from unicorn import UC_HOOK_BLOCK, UC_HOOK_CODE

        self.uc, self.clock, self.arm, self.back = uc, clock, arm, back
        self._enabled = enabled or (lambda: True)
        self.state = TickState(clock.every)
        self._lengths: dict[tuple[int, int], int] = {}
        self._registers = _Registers(arm)
        self._hooks = (self._block, self._returned)  # kept alive for the engine
        uc.hook_add(UC_HOOK_BLOCK, self._hooks[0])
        if clock.handler is not None:
            uc.hook_add(UC_HOOK_CODE, self._hooks[1], begin=back, end=back)

    def hurry(self) -> None:
        """Makes the next tick due: the core waits for an interrupt."""
        self.state.left = 0

    def _block(self, uc: Any, address: int, size: int, data: Any) -> None:
        state = self.state
        if state.counted:
            state.counted = False
            return
        state.left -= self._length(address, size)
        if state.left > 0 or state.inside is not None or address == self.back:
            return
        if not self._enabled():
            state.left = self.clock.every
        elif self.clock.handler is None or self._registers.interruptible(uc):
            state.left = self.clock.every
            state.ticks += 1
            self._tick(uc, address)

    def _length(self, address: int, size: int) -> int:
        key = (address, size)
        count = self._lengths.get(key)
        if count is None:
            count = instructions_in(read_or_nothing(self.uc, address, size), self.arm)
            if len(self._lengths) < MAX_BLOCKS:
                self._lengths[key] = count
        return count

    def _tick(self, uc: Any, address: int) -> None:
        if self.clock.counter is not None:
            old = int.from_bytes(read_or_nothing(uc, self.clock.counter, 4), "little")
            uc.mem_write(self.clock.counter, (old + 1 & 0xFFFFFFFF).to_bytes(4, "little"))
        if self.clock.handler is not None:
            self.state.inside = (uc.context_save(), address)
            self._registers.enter(uc, self.clock.handler, self.back)

    def _returned(self, uc: Any, address: int, size: int, data: Any) -> None:
        if self.state.inside is not None:
            saved, interrupted = self.state.inside
            self.state.inside, self.state.counted = None, True
            uc.context_restore(saved)
            self._registers.go(uc, interrupted)


class _Registers:
    """The registers of an interrupt."""

    def __init__(self, arm: bool) -> None:
        from unicorn import arm_const as a
        from unicorn import riscv_const as r

        self.arm = arm
        self.counter = a.UC_ARM_REG_PC if arm else r.UC_RISCV_REG_PC
        self.status = a.UC_ARM_REG_XPSR
        self.links = (a.UC_ARM_REG_LR,) if arm else (r.UC_RISCV_REG_RA, r.UC_RISCV_REG_MEPC)
        self.masks = (a.UC_ARM_REG_PRIMASK, a.UC_ARM_REG_FAULTMASK, a.UC_ARM_REG_BASEPRI) if arm else ()

    def interruptible(self, uc: Any) -> bool:
        """Interrupts are allowed, and no IT block is under way, whose conditions the handler would be run under.

        On RISC-V a described handler is always taken for allowed.
        """
        if not self.arm:
            return True
        return not (uc.reg_read(self.status) & IT_STATE or any(uc.reg_read(mask) for mask in self.masks))

    def enter(self, uc: Any, handler: int, back: int) -> None:
        """Goes to the handler, which returns by its link register (or on RISC-V by mret as well)."""
        for link in self.links:
            uc.reg_write(link, back | self.arm)
        self.go(uc, handler)

    def go(self, uc: Any, address: int) -> None:
        """Goes on at an address, in Thumb state on Arm."""
        uc.reg_write(self.counter, address | self.arm)
