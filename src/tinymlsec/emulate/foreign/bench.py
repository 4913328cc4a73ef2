"""The hardware around an emulated core; runs in the worker process, beside the engine.

Peripherals are memory-mapped callbacks, so only accesses to them cost time. Text that leaves through a stubbed
function, a data register or semihosting is collected, bounded. A clock counts instructions block by block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinymlsec.emulate.foreign.hardware import Clock, Hardware, RegisterBlock, SinkFunction
from tinymlsec.emulate.foreign.semihosting import Semihosting

MAX_TEXT = 1 << 20
"""Most bytes that are kept of one sink."""
MAX_SENT = 4096
"""Most bytes of one buffer that is sent."""
MAX_TOUCHED = 4096
"""Most registers of which accesses are counted."""
READS_BEFORE_CHANGE = 16
"""Reads of one register in a row after which an "either" register shows its other value."""

HANDLER_MICROSECONDS = 1_000_000
"""Longest an interrupt handler may run."""


@dataclass
class BenchReport:
    """What the hardware saw."""

    text: dict[str, bytes] = field(default_factory=dict)
    """By name of the sink."""
    touched: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Address of a register -> (reads, writes)."""
    ticks: int = 0
    exit_code: int | None = None
    """What the firmware ended with through semihosting."""


class Bench:
    """Attaches hardware to an engine that has not run yet.

    Args:
        uc: the engine, with its memories mapped and the image loaded.
        hardware: what to attach.
        arm: the core is an Arm; else RISC-V.
        idle: a mapped, even address that is never executed; interrupt handlers return to it.
    """

    def __init__(self, uc: Any, hardware: Hardware, arm: bool, idle: int) -> None:
        self.uc, self.arm, self.idle = uc, arm, idle
        self.report = BenchReport()
        self._registers = {register.address: register.name for register in hardware.registers}
        self._arguments = _argument_registers(arm)
        self._hooks: list[Any] = []
        for block in hardware.blocks:
            self._map(block)
        for sink in hardware.sinks:
            self._watch(sink)
        if hardware.semihosting:
            self.semihosting = Semihosting(uc, arm, self.collect, self._exited)
        if hardware.clock is not None:
            self.clock = _Ticking(self, hardware.clock)

    def collect(self, name: str, data: bytes) -> None:
        """Keeps text of a sink, up to a bound."""
        kept = self.report.text.get(name, b"")
        self.report.text[name] = kept + data[: MAX_TEXT - len(kept)]

    def _exited(self, code: int) -> None:
        self.report.exit_code = code
        self.uc.emu_stop()

    def _map(self, block: RegisterBlock) -> None:
        peripheral = _Peripheral(block, self)
        self.uc.mmio_map(block.address, block.size, peripheral.read, None, peripheral.write, None)

    def _watch(self, sink: SinkFunction) -> None:
        from unicorn import UC_HOOK_CODE

        def sent(uc: Any, address: int, size: int, data: Any) -> None:
            first = uc.reg_read(self._arguments[sink.argument])
            if sink.takes == "char":
                self.collect(sink.name, bytes([first & 0xFF]))
            else:
                length = min(uc.reg_read(self._arguments[sink.argument + 1]), MAX_SENT)
                self.collect(sink.name, read_or_nothing(uc, first, length))

        self._hooks.append(sent)
        self.uc.hook_add(UC_HOOK_CODE, sent, begin=sink.address, end=sink.address + 1)

    def touch(self, address: int, write: bool) -> None:
        """Counts an access to a register and collects what is written to a sink's."""
        touched = self.report.touched
        if address in touched or len(touched) < MAX_TOUCHED:
            reads, writes = touched.get(address, (0, 0))
            touched[address] = (reads + (not write), writes + write)

    def sent(self, address: int, value: int) -> None:
        """Takes a write to a register that may be a sink."""
        name = self._registers.get(address)
        if name is not None:
            self.collect(name, bytes([value & 0xFF]))


class _Peripheral:
    """One block of registers."""

    def __init__(self, block: RegisterBlock, bench: Bench) -> None:
        self.block, self.bench = block, bench
        self._values = dict(block.values)
        self._last, self._repeats, self._ones = -1, 0, False

    def read(self, uc: Any, offset: int, size: int, data: Any) -> int:
        word, shift = offset & ~3, 8 * (offset & 3)
        self.bench.touch(self.block.address + word, False)
        return (self._word(word) >> shift) & ((1 << 8 * size) - 1)

    def write(self, uc: Any, offset: int, size: int, value: int, data: Any) -> None:
        word, shift = offset & ~3, 8 * (offset & 3)
        self.bench.touch(self.block.address + word, True)
        self.bench.sent(self.block.address + offset, value)
        if self.block.reads == "written" and len(self._values) < MAX_TOUCHED:
            mask = ((1 << 8 * size) - 1) << shift
            self._values[word] = self._values.get(word, 0) & ~mask | (value << shift) & mask & 0xFFFFFFFF

    def _word(self, word: int) -> int:
        if word in self._values:
            return self._values[word]
        if self.block.reads == "written":
            return 0
        return self._changing(word) if self.block.reads == "either" else int(self.block.reads)

    def _changing(self, word: int) -> int:
        """All ones or zero: the other one once the same register has been read again and again."""
        if word == self._last:
            self._repeats += 1
            if self._repeats % READS_BEFORE_CHANGE == 0:
                self._ones = not self._ones
        else:
            self._last, self._repeats, self._ones = word, 0, False
        return 0xFFFFFFFF if self._ones else 0


class _Ticking:
    """A clock that is driven by executed instructions, exactly to the block."""

    def __init__(self, bench: Bench, clock: Clock) -> None:
        from unicorn import UC_HOOK_BLOCK

        self.bench, self.clock = bench, clock
        self._left = clock.every
        self._lengths: dict[tuple[int, int], int] = {}
        self._inside = False
        self._hook: Callable[..., None] = self._block
        bench.uc.hook_add(UC_HOOK_BLOCK, self._hook)

    def _block(self, uc: Any, address: int, size: int, data: Any) -> None:
        key = (address, size)
        count = self._lengths.get(key)
        if count is None:
            count = self._lengths[key] = instructions_in(read_or_nothing(uc, address, size), self.bench.arm)
        self._left -= count
        if self._left <= 0 and not self._inside:
            self._left = self.clock.every
            self.bench.report.ticks += 1
            self._tick(uc)

    def _tick(self, uc: Any) -> None:
        if self.clock.counter is not None:
            value = int.from_bytes(uc.mem_read(self.clock.counter, 4), "little") + 1
            uc.mem_write(self.clock.counter, (value & 0xFFFFFFFF).to_bytes(4, "little"))
        if self.clock.handler is not None:
            self._interrupt(uc, self.clock.handler)

    def _interrupt(self, uc: Any, handler: int) -> None:
        """Calls the handler with the stack as it is and puts every register back: what it wrote to memory stays."""
        link, odd = _link_register(self.bench.arm), int(self.bench.arm)
        self._inside = True
        saved = uc.context_save()
        uc.reg_write(link, self.bench.idle | odd)
        uc.emu_start(handler | odd, self.bench.idle, timeout=HANDLER_MICROSECONDS)
        uc.context_restore(saved)
        self._inside = False


def instructions_in(code: bytes, arm: bool) -> int:
    """Number of instructions in a stretch of Thumb or compressed RISC-V code."""
    at = count = 0
    while at + 1 < len(code):
        half = code[at] | code[at + 1] << 8
        wide = half >> 11 >= 0x1D if arm else half & 3 == 3
        at += 4 if wide else 2
        count += 1
    return count


def read_or_nothing(uc: Any, address: int, size: int) -> bytes:
    """Bytes at an address; none where nothing is mapped."""
    from unicorn.unicorn_py3.unicorn import UcError

    try:
        return bytes(uc.mem_read(address, size)) if size > 0 else b""
    except UcError:
        return b""


def _argument_registers(arm: bool) -> tuple[int, ...]:
    if arm:
        from unicorn import arm_const as a

        return (a.UC_ARM_REG_R0, a.UC_ARM_REG_R1, a.UC_ARM_REG_R2, a.UC_ARM_REG_R3)
    from unicorn import riscv_const as r

    return (r.UC_RISCV_REG_A0, r.UC_RISCV_REG_A1, r.UC_RISCV_REG_A2, r.UC_RISCV_REG_A3)


def _link_register(arm: bool) -> int:
    if arm:
        from unicorn.arm_const import UC_ARM_REG_LR

        return int(UC_ARM_REG_LR)
    from unicorn.riscv_const import UC_RISCV_REG_RA

    return int(UC_RISCV_REG_RA)
