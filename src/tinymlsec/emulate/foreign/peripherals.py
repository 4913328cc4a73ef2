"""Peripherals as memory-mapped callbacks: what a register reads as, and where what is written to it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinymlsec.emulate.foreign.hardware import RegisterBlock

MAX_REGISTERS = 4096
"""Most registers of one block whose values or reads are kept."""
READS_BEFORE_CHANGE = 16
"""Reads of one register after which an "either" register shows its next value."""
PATTERNS = (0x00000000, 0xFFFFFFFF, 0xAAAAAAAA, 0x55555555)
"""What an "either" register reads as, in turn; then what was written last, then the number of reads so far.

Flags come and go, fields of two bits take each of their values, settings read back as they were made, counters grow:
what firmware waits for comes sooner or later.
"""

CYCLE_COUNTER, SYSTICK_CONTROL, SYSTICK_VALUE = 0xE0001004, 0xE000E010, 0xE000E018
"""Registers of a Cortex-M that change by themselves, and that firmware waits for without interrupts."""
COUNTED = 1 << 16
"""SysTick's COUNTFLAG: it has come to zero since the register was read last."""
STEP = 64
"""How far a counter has moved from one read to the next."""

Touch = Callable[[int, bool], None]
"""Told of every access: address of the word, whether it is a write."""
Sent = Callable[[int, int], None]
"""Told of every write: address, value."""


@dataclass
class PeripheralState:
    """What changes while firmware runs."""

    values: dict[int, int] = field(default_factory=dict)
    """Offset of a word -> what was written last, or its fixed value."""
    reads: dict[int, int] = field(default_factory=dict)
    """Offset of a word -> how often an "either" register was read."""

    def copy(self) -> PeripheralState:
        """The same, independent of this one."""
        return PeripheralState(dict(self.values), dict(self.reads))


class Peripheral:
    """One block of registers."""

    def __init__(self, block: RegisterBlock, touch: Touch, sent: Sent) -> None:
        self.block, self._touch, self._sent = block, touch, sent
        self._fixed = dict(block.values)
        self.state = PeripheralState()

    def read(self, uc: Any, offset: int, size: int, data: Any) -> int:
        """A load from the block."""
        word, shift = offset & ~3, 8 * (offset & 3)
        self._touch(self.block.address + word, False)
        return (self._word(word) >> shift) & ((1 << 8 * size) - 1)

    def write(self, uc: Any, offset: int, size: int, value: int, data: Any) -> None:
        """A store to the block."""
        word, shift = offset & ~3, 8 * (offset & 3)
        self._touch(self.block.address + word, True)
        self._sent(self.block.address + offset, value)
        values = self.state.values
        if word in values or len(values) < MAX_REGISTERS:
            mask = ((1 << 8 * size) - 1) << shift
            values[word] = values.get(word, 0) & ~mask | (value << shift) & mask & 0xFFFFFFFF

    def _word(self, word: int) -> int:
        if word in self._fixed:
            return self._fixed[word]
        written = self.state.values.get(word, 0)
        if self.block.reads == "written":
            return written
        if self.block.reads == "system":
            return self._system(word, written)
        return self._changing(word) if self.block.reads == "either" else self.block.reads

    def _count(self, word: int) -> int:
        """How often a register was read before."""
        reads = self.state.reads
        count = reads.get(word, 0)
        if word in reads or len(reads) < MAX_REGISTERS:
            reads[word] = count + 1
        return count

    def _system(self, word: int, written: int) -> int:
        """The core's own registers: as they were written, but for those that count."""
        address = self.block.address + word
        if address == CYCLE_COUNTER:
            return written + STEP * self._count(word) & 0xFFFFFFFF
        if address == SYSTICK_VALUE:
            return -STEP * self._count(word) & 0xFFFFFF
        if address == SYSTICK_CONTROL and written & 1 and self._count(word) % READS_BEFORE_CHANGE == 1:
            return written | COUNTED
        return written

    def _changing(self, word: int) -> int:
        count = self._count(word)
        turn = count // READS_BEFORE_CHANGE % (len(PATTERNS) + 2)
        if turn < len(PATTERNS):
            return PATTERNS[turn]
        return self.state.values.get(word, 0) if turn == len(PATTERNS) else count
