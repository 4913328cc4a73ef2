"""The hardware around an emulated core; runs in the worker process, beside the engine.

Peripherals are memory-mapped callbacks, so only accesses to them cost time. Text that leaves through a stubbed
function, a data register or semihosting is collected, bounded. A clock counts instructions block by block. All that
changes can be saved and put back, so that every run from a snapshot of the machine starts alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinymlsec.emulate.foreign.hardware import Clock, Hardware, RegisterBlock, SinkFunction
from tinymlsec.emulate.foreign.peek import read_or_nothing, text_at
from tinymlsec.emulate.foreign.peripherals import Peripheral, PeripheralState
from tinymlsec.emulate.foreign.semihosting import Semihosting
from tinymlsec.emulate.foreign.ticking import Alarm, Ticking

MAX_TEXT = 1 << 20
"""Most bytes that are kept of one sink."""
MAX_SENT = 4096
"""Most bytes of one buffer that is sent."""
MAX_TOUCHED = 4096
"""Most registers of which accesses are counted."""
MAX_LISTENED = 256
"""Most registers whose text is collected without being asked for."""
PRINTABLE = frozenset({9, 10, 13, *range(32, 127)})
WAITS_ARM = (b"\x30\xbf", b"\x20\xbf", b"\x10\xbf")  # wfi, wfe, yield
WAITS_RISCV = (b"\x73\x00\x50\x10",)  # wfi
"""Instructions that wait for something; the engine stops behind them."""


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


@dataclass(frozen=True)
class BenchState:
    """All that changes while firmware runs."""

    report: BenchReport
    peripherals: tuple[PeripheralState, ...]
    ticks: int = 0
    interrupted: tuple[Any, int] | None = None
    """What the clock's handler interrupted, where it is under way. The time to the next tick goes with the machine."""


class Bench:
    """Attaches hardware to an engine that has not run yet.

    Args:
        uc: the engine, with its memories mapped and the image loaded.
        hardware: what to attach.
        arm: the core is an Arm; else RISC-V.
        idle: a mapped, executable, even address that is never executed, with 16 bytes of room: the clock's handler
            returns to `idle + 8`. On Arm it must lie below 0xE0000000, where nothing can be executed.
        alarm: counts instructions for the clock.
    """

    def __init__(self, uc: Any, hardware: Hardware, arm: bool, idle: int, alarm: Alarm) -> None:
        self.uc, self.arm = uc, arm
        self._report = BenchReport()
        self._registers = {register.address: register.name for register in hardware.registers}
        self._listens = hardware.listens
        self._arguments = _argument_registers(arm)
        self._hooks: list[Any] = []
        self._peripherals = [self._map(block) for block in hardware.blocks]
        for sink in hardware.sinks:
            self._watch(sink)
        self.semihosting: Semihosting | None = None
        if hardware.semihosting:
            self.semihosting = Semihosting(uc, arm, self.collect, self._exited)
        self.ticking = None if hardware.clock is None else self._clock(hardware.clock, idle + 8, alarm)

    @property
    def report(self) -> BenchReport:
        """What was seen so far."""
        self._report.ticks = 0 if self.ticking is None else self.ticking.ticks
        return self._report

    def save(self) -> BenchState:
        """The state of everything, to go with a snapshot of registers and memories."""
        report = BenchReport(dict(self.report.text), dict(self._report.touched), self._report.ticks)
        peripherals = tuple(p.state.copy() for p in self._peripherals)
        return BenchState(report, peripherals, report.ticks, self.ticking.interrupted if self.ticking else None)

    def load(self, state: BenchState) -> None:
        """Puts a state back; it can be put back again."""
        self._report = BenchReport(dict(state.report.text), dict(state.report.touched), state.report.ticks)
        for peripheral, saved in zip(self._peripherals, state.peripherals, strict=True):
            peripheral.state = saved.copy()
        if self.ticking is not None:
            self.ticking.ticks, self.ticking.interrupted = state.ticks, state.interrupted

    def written(self, start: int, size: int) -> bytes:
        """What was written last to the registers of a stretch of addresses; zeros where nothing was."""
        found = bytearray(size)
        for peripheral in self._peripherals:
            for offset, value in peripheral.state.values.items():
                at = peripheral.block.address + offset - start
                if 0 <= at <= size - 4:
                    found[at : at + 4] = value.to_bytes(4, "little")
        return bytes(found)

    def waited(self, counter: int) -> bool:
        """Whether the engine stopped just behind an instruction that waits for something; the next tick is due then.

        Args:
            counter: the program counter, without the Thumb bit.
        """
        known = WAITS_ARM if self.arm else WAITS_RISCV
        if read_or_nothing(self.uc, counter - len(known[0]), len(known[0])) not in known:
            return False
        if self.ticking is not None:
            self.ticking.hurry()
        return True

    def answered(self) -> bool:
        """Whether the engine ended because of a request through semihosting that was answered; asked once for each."""
        if self.semihosting is None or not self.semihosting.answered:
            return False
        self.semihosting.answered = False
        return True

    def collect(self, name: str, data: bytes) -> None:
        """Keeps text of a sink, up to a bound."""
        kept = self._report.text.get(name, b"")
        self._report.text[name] = kept + data[: MAX_TEXT - len(kept)]

    def _exited(self, code: int) -> None:
        self._report.exit_code = code
        self.uc.emu_stop()

    def _map(self, block: RegisterBlock) -> Peripheral:
        peripheral = Peripheral(block, self._touch, self._sent)
        self.uc.mmio_map(block.address, block.size, peripheral.read, None, peripheral.write, None)
        return peripheral

    def _clock(self, clock: Clock, back: int, alarm: Alarm) -> Ticking:
        return Ticking(self.uc, clock, self.arm, back, lambda: self._enabled(clock.gate), alarm)

    def _enabled(self, gate: tuple[int, int] | None) -> bool:
        if gate is None:
            return True
        address, bits = gate
        blocks = (p for p in self._peripherals if 0 <= address - p.block.address < p.block.size)
        written = (p.state.values.get(address - p.block.address, 0) for p in blocks)
        return any(value & bits == bits for value in written)

    def _watch(self, sink: SinkFunction) -> None:
        from unicorn import UC_HOOK_CODE

        def sent(uc: Any, address: int, size: int, data: Any) -> None:
            first = uc.reg_read(self._arguments[sink.argument])
            if sink.takes == "char":
                self.collect(sink.name, bytes([first & 0xFF]))
            elif sink.takes == "text":
                self.collect(sink.name, text_at(uc, first, MAX_SENT))
            else:
                length = min(uc.reg_read(self._arguments[sink.argument + 1]), MAX_SENT)
                self.collect(sink.name, read_or_nothing(uc, first, length))

        self._hooks.append(sent)
        self.uc.hook_add(UC_HOOK_CODE, sent, begin=sink.address, end=sink.address)

    def _touch(self, address: int, write: bool) -> None:
        touched = self._report.touched
        if address in touched or len(touched) < MAX_TOUCHED:
            reads, writes = touched.get(address, (0, 0))
            touched[address] = (reads + (not write), writes + write)

    def _sent(self, address: int, value: int) -> None:
        name = self._registers.get(address)
        if name is not None:
            self.collect(name, bytes([value & 0xFF]))
        elif self._listens and value in PRINTABLE:
            heard = f"0x{address:08x}"
            if heard in self._report.text or len(self._report.text) < MAX_LISTENED:
                self.collect(heard, bytes([value]))


def _argument_registers(arm: bool) -> tuple[int, ...]:
    if arm:
        from unicorn import arm_const as a

        return (a.UC_ARM_REG_R0, a.UC_ARM_REG_R1, a.UC_ARM_REG_R2, a.UC_ARM_REG_R3)
    from unicorn import riscv_const as r

    return (r.UC_RISCV_REG_A0, r.UC_RISCV_REG_A1, r.UC_RISCV_REG_A2, r.UC_RISCV_REG_A3)
