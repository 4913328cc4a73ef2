"""Runs as the parent asks for them: what is recorded, where it ends, what it left behind."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from tinymlsec.emulate.contract import RECORD, FlashLines
from tinymlsec.emulate.cycles.flash_cache import CFlash, flash_state
from tinymlsec.emulate.engine import library as lib
from tinymlsec.emulate.engine.alarm import Alarm
from tinymlsec.emulate.engine.emulator import Emulator
from tinymlsec.emulate.engine.shared import Shared
from tinymlsec.emulate.foreign.bench import Bench, BenchState
from tinymlsec.emulate.foreign.hardware import Hardware

CCR_UNALIGNED, CCR_DIVISION = 8, 16
MOST_SNAPSHOTS = 64
TRAP_REGISTERS = (0xE000ED14, 0xA8)
"""CCR, and the registers of the memory protection unit."""
MOST_WAITS = 1_000_000
MOST_LONELY_WAITS = 10_000
"""Waits without a clock: the architecture allows to go on after any of them, but nobody will ever end them all."""


class Running:
    """An emulated device with its peripherals.

    Args:
        emulator: with its memories mapped.
        hardware: peripherals, clock, sinks, as JSON.
        shared: where records go.
    """

    def __init__(self, emulator: Emulator, hardware: Mapping[str, Any], shared: Shared) -> None:
        self.emulator, self.shared = emulator, shared
        described = TypeAdapter(Hardware).validate_python(hardware)
        emulator.semihosting = described.semihosting
        self.bench = Bench(emulator.share(), described, emulator.cpu.arm, emulator.idle, Alarm(emulator.state))
        emulator.hook(True)
        self._saved: dict[int, BenchState] = {}
        self._flash: tuple[CFlash, list[Any]] | None = None

    def snapshot(self) -> int:
        """Everything that changes, to come back to.

        Raises:
            ValueError: too many.
        """
        if len(self._saved) >= MOST_SNAPSHOTS:
            raise ValueError(f"more than {MOST_SNAPSHOTS} snapshots")
        number = self.emulator.snapshot()
        self._saved[number] = self.bench.save()
        return number

    def restore(self, number: int) -> None:
        """Back to a snapshot."""
        self.bench.load(self._saved[number])
        self.emulator.restore(number)

    def drop(self, number: int) -> None:
        """Forgets a snapshot."""
        del self._saved[number]
        self.emulator.drop(number)

    def saved(self, number: int) -> BenchState:
        """State of the peripherals that goes with a snapshot."""
        return self._saved[number]

    def run(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        """One run; records, visits and counts lie in the shared memory one after the other."""
        began = time.monotonic()
        self._enter(request, payload)
        fast = request["fast"] and not self._guarded()
        before, traps = (self.snapshot(), self._trap_registers()) if fast else (0, b"")
        end = self._go(request, not fast)
        if fast:
            well = end in (lib.END_DONE, lib.END_DETECTED, lib.END_LIMIT)
            if not well or self._trap_registers() != traps:  # once more, to see what led to it, or with the traps
                self.restore(before)
                end = self._go(request, True)
            self.drop(before)
        return {**self._told(end), "seconds": time.monotonic() - began}

    def _guarded(self) -> bool:
        """Whether there are traps that only the tracer knows: the core's own, or what firmware switched on."""
        state = self.emulator.state
        own = state.traps & (lib.TRAP_DIVISION | lib.TRAP_UNALIGNED)
        return bool(own or state.mpu_on or state.control & (CCR_UNALIGNED | CCR_DIVISION))

    def _trap_registers(self) -> bytes:
        """Registers that decide about traps, as firmware last wrote them; the tracer alone acts upon them."""
        if not self.emulator.cpu.arm:
            return b""
        try:
            return self.emulator.read(*TRAP_REGISTERS)
        except ValueError:  # a described peripheral lies there
            return self.bench.written(*TRAP_REGISTERS)

    def _enter(self, request: Mapping[str, Any], payload: bytearray) -> None:
        emulator, cpu, at = self.emulator, self.emulator.cpu, 0
        for address, size in request["writes"]:
            emulator.write(address, bytes(payload[at : at + size]))
            at += size
        for number, value in request["registers"]:
            emulator.set_register(number, value)
        for number, value in zip(cpu.arguments, request["arguments"], strict=False):
            emulator.set_register(number, value)
        if request["stop"] is None:
            emulator.set_register(cpu.link, emulator.idle | int(cpu.arm))

    def prepare(self, request: Mapping[str, Any], *, watched: bool) -> None:
        """Tells the tracer what to look for."""
        state, fault, stop = self.emulator.state, request["fault"], request["stop"]
        start = self.emulator.registers()[-1] if request["start"] is None else request["start"]
        counted = not watched and stop is not None and (request["hit"] > 1 or start == stop)
        self.emulator.hook(watched, stop if counted else 0)
        state.want = request["want"]
        state.watch_registers = int(self.emulator.watches(request["want"], fault is not None))
        first = int(counted and start == stop)  # is not counted
        state.stop, state.stop_hit = (0, 0) if stop is None else (stop, request["hit"] + first)
        state.range_count = len(request["ranges"])
        for i, (start, end) in enumerate(request["ranges"]):
            state.range_from[i], state.range_to[i] = start, end
        self._visit_at = (ctypes.c_uint32 * max(1, len(request["visits"])))(*request["visits"])
        state.visit_at, state.visit_count = ctypes.addressof(self._visit_at), len(request["visits"])
        state.records, state.record_limit = self.shared.address, request["record_limit"]
        state.visits = self.shared.address + RECORD.itemsize * request["record_limit"]
        state.visit_limit = request["visit_limit"]
        self._prepare_flash(request["flash"])
        self._prepare_fault(fault)
        self.emulator.library.tms_marks_changed(self.emulator.reference)
        if request["want"] & lib.WANT_COUNTS:
            self.emulator.library.tms_counts_clear(self.emulator.reference)

    def _prepare_flash(self, lines: Mapping[str, Any] | None) -> None:
        self._flash = flash_state(TypeAdapter(FlashLines).validate_python(lines)) if lines is not None else None
        self.emulator.state.flash = ctypes.addressof(self._flash[0]) if self._flash else None
        if self._flash:
            self.emulator.library.tms_flash_begin(ctypes.byref(self._flash[0]))

    def _prepare_fault(self, fault: Mapping[str, Any] | None) -> None:
        state = self.emulator.state
        if fault is None:
            state.fault_kind = 0
            return
        state.fault_kind = lib.FAULTS[fault["kind"]]
        state.fault_index, state.fault_mask, state.fault_where = fault["index"], fault["mask"], fault["where"]
        state.fault_expected = fault["address"] or 0

    def _go(self, request: Mapping[str, Any], watched: bool) -> int:
        """Runs, over waits for interrupts, to an end."""
        self.prepare(request, watched=watched)
        emulator, state = self.emulator, self.emulator.state
        start = request["start"] if request["start"] is not None else emulator.registers()[-1]
        until = emulator.idle if watched or request["stop"] is None or emulator.how[1] else request["stop"]
        deadline = time.monotonic() + request["seconds"]
        if until == request["stop"]:
            emulator.forget(until)
        emulator.go(start, until, request["limit"], request["seconds"])
        waits = MOST_WAITS if self.bench.ticking else MOST_LONELY_WAITS
        while time.monotonic() <= deadline and self.bench.report.exit_code is None:
            counter = emulator.registers()[-1]
            if state.end in (lib.END_WAITS, lib.END_MISMATCH) and waits and self.bench.waited(counter):
                waits -= 1
            elif state.end != lib.END_ENGINE or not self.bench.answered():
                break
            state.end = lib.END_NONE
            emulator.library.tms_go(emulator.reference, counter, until)
        return int(state.end)

    def _told(self, end: int) -> dict[str, Any]:
        state, emulator = self.emulator.state, self.emulator
        registers = emulator.registers()
        told: dict[str, Any] = {
            "end": end, "instructions": state.n, "made": state.made, "visited": state.visited,
            "zero_divisions": state.zero_divisions, "registers": registers, "pc": state.fault_pc,
            "address": state.fault_address, "size": state.fault_size, "type": state.fault_type,
            "interrupt": state.interrupt, "last": self._last(), "fault_seen": state.fault_seen,
            "exit_code": self.bench.report.exit_code, "counted": 0,
        }  # fmt: skip
        if self._flash is not None:
            told["flash"] = [int(self._flash[0].code.misses), int(self._flash[0].data.misses)]
        if state.want & lib.WANT_COUNTS:
            told["counted"] = self._counts()
        return told

    def _last(self) -> list[int]:
        """Addresses of the last instructions, oldest first."""
        n, last = int(self.emulator.state.n), list(self.emulator.state.last)
        if not self.emulator.state.hooked:
            return []
        return [int(last[i % lib.LAST]) for i in range(max(0, n - lib.LAST), n)]

    def _counts(self) -> int:
        """Puts addresses and pairs behind records and visits; how many there are."""
        emulator, state = self.emulator, self.emulator.state
        count = int(emulator.library.tms_counts_read(emulator.reference, None, None, ctypes.c_uint64(0)))
        at = counts_at(state.record_limit, state.visit_limit, len(emulator.cpu.registers))
        addresses = self.shared.view(np.uint32, count, at)
        pairs = self.shared.view(np.uint32, 2 * count, at + 4 * count)
        emulator.library.tms_counts_read(
            emulator.reference, addresses.ctypes.data_as(ctypes.c_void_p), pairs.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(count),
        )  # fmt: skip
        return count

    def campaign(self, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
        """Many runs; see `campaigns`."""
        from tinymlsec.emulate.engine.campaigns import run_campaign

        return run_campaign(self, request, payload)


def counts_at(record_limit: int, visit_limit: int, registers: int) -> int:
    """Where counts begin in the shared memory."""
    return int(RECORD.itemsize * record_limit + 4 * (registers + 3) * visit_limit)
