"""Firmware in an emulator, in a process of its own: load, start, run windows, record, inject, go back.

    with Machine(image, CORES["cortex-m4"], memory) as machine:
        machine.boot(until=image.symbols["tms_idle"].address)
        result = machine.call("tms_infer", 0, 0, probe=Probe(registers=True, bus=True))
        result.records["hw"]

The engine is Unicorn; everything that happens for each instruction happens in C (`engine/tracer.c`). Firmware that goes
wrong is a result (`RunResult.fault`), not an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import (
    Behavior,
    Campaign,
    Core,
    Fault,
    MemoryMap,
    Probe,
    RunEnd,
    RunResult,
    Window,
)
from tinymlsec.emulate.foreign.bench import BenchReport
from tinymlsec.emulate.foreign.hardware import Hardware
from tinymlsec.emulate.machine_link import Link, sound
from tinymlsec.emulate.machine_request import EMPTY, load_request, load_segments, run_request, traps_of
from tinymlsec.emulate.machine_result import result_of
from tinymlsec.errors import MachineError, UsageError

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

INSTRUCTIONS = 2_000_000_000
SECONDS = 120.0


class Machine:
    """One device with its firmware. A context manager.

    Args:
        image: the firmware.
        core: that it is run on.
        memory: of the device; regions begin on pages of 4 KiB.
        hardware: peripherals, clock and sinks around the core.
        behavior: what the core does where firmware goes wrong.

    Raises:
        CapabilityMissing: the emulator is not installed.
        MachineError: image and memories do not fit, or the process does not start.
        ToolchainError: the tracer cannot be built.
    """

    def __init__(
        self,
        image: FirmwareImage,
        core: Core,
        memory: MemoryMap,
        *,
        hardware: Hardware | None = None,
        behavior: Behavior | None = None,
    ) -> None:
        from tinymlsec.emulate.engine import library

        self.image, self.core, self.memory = image, core, memory
        request = load_request(image, core, memory, hardware or Hardware(), traps_of(core, behavior or Behavior()))
        tracer = library.build()
        self.link = Link()
        try:
            told = self.link.ask("load", {**request, "tracer": str(tracer)}, load_segments(image), seconds=60.0)
        except BaseException:
            self.link.close()
            raise
        self.plain = (hardware or Hardware()) == Hardware()
        """No peripherals: then firmware can also be run without any hook on its instructions."""
        self.idle = int(told["idle"])
        """An address that firmware never comes to: functions that are called return to it."""

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self.link.close()

    def boot(
        self,
        until: int | None,
        *,
        start: int | None = None,
        stack: int | None = None,
        hit: int = 1,
        instructions: int = 50_000_000,
        seconds: float = 60.0,
        probe: Probe | None = None,
    ) -> RunResult:
        """From reset until an address is reached.

        Args:
            until: address; None runs until the limit of instructions.
            start: address to begin at; by default the image's entry or reset vector.
            stack: initial stack pointer; by default that of the vector table, where there is one.
            hit: how many times `until` must be reached.
            instructions: limit.
            seconds: limit.
            probe: what to record.

        Where there are no peripherals it is run twice, without hooks first: hooks must change nothing.

        Raises:
            MachineError: the image does not say where it starts, or hooks change what is computed.
        """
        entry = self.image.entry if start is None else start
        if entry is None:
            raise MachineError("the image does not tell where it starts", next_step="give the address to start at")
        vectors = self.image.vectors
        top = vectors.initial_sp if stack is None and vectors is not None and vectors.plausible else stack
        registers = [(2 if self.core.machine == "riscv32" else 13, top)] if top is not None else []
        window = Window("boot", entry, (), until if until is not None else self.idle, hit)
        seen = self._unwatched(window, instructions, seconds, registers) if self.plain and hit == 1 else None
        result = self._run(window, EMPTY, probe or Probe(), None, instructions, seconds, registers)
        if seen is not None and result.end is RunEnd.DONE and seen != (self.registers(), self.memory_digest()):
            raise MachineError(
                "the emulator computes otherwise when it is watched: start-up",
                next_step="report this with the firmware: records of this firmware cannot be trusted",
            )
        return result

    def _unwatched(
        self, window: Window, instructions: int, seconds: float, registers: Sequence[tuple[int, int]]
    ) -> tuple[tuple[int, ...], str] | None:
        """Registers and memory after a run without hooks, which is then taken back; None where it does not end well."""
        before = self.snapshot()
        result = self._run(window, EMPTY, None, None, instructions, seconds, registers)
        seen = (self.registers(), self.memory_digest()) if result.end is RunEnd.DONE else None
        self.restore(before)
        self.drop(before)
        return seen

    def run(
        self,
        window: Window,
        inputs: Mapping[int, bytes] | None = None,
        probe: Probe | None = None,
        fault: Fault | None = None,
        *,
        instructions: int = INSTRUCTIONS,
        seconds: float = SECONDS,
    ) -> RunResult:
        """Runs a window; what it changed stays changed.

        Args:
            window: what to run.
            inputs: address -> bytes that are written before.
            probe: what to record; None records nothing and is the fastest.
            fault: to inject.
            instructions: limit.
            seconds: limit.

        Raises:
            UsageError: a window without start and stop.
            MachineError: more records than the probe allows, or the process died or hung.
        """
        if window.start is None and window.stop is None:
            raise UsageError(f"the window {window.name!r} has neither start nor stop")
        return self._run(window, inputs or EMPTY, probe, fault, instructions, seconds, ())

    def call(
        self,
        function: int | str,
        *arguments: int,
        probe: Probe | None = None,
        inputs: Mapping[int, bytes] | None = None,
        fault: Fault | None = None,
        instructions: int = INSTRUCTIONS,
        seconds: float = SECONDS,
    ) -> RunResult:
        """Calls a function and runs until it returns.

        Args:
            function: symbol or address.
            arguments: at most four on Arm, eight on RISC-V.
            probe: as in `run`; so are the others.

        Raises:
            UsageError: no such symbol.
        """
        name = function if isinstance(function, str) else f"0x{function:08x}"
        window = Window(name, self.address_of(function), arguments)
        return self.run(window, inputs, probe, fault, instructions=instructions, seconds=seconds)

    def address_of(self, function: int | str) -> int:
        """Address of a function.

        Raises:
            UsageError: no such symbol.
        """
        if isinstance(function, int):
            return function & ~1 if self.core.machine == "arm" else function
        if function not in self.image.symbols:
            raise UsageError(f"the image has no symbol {function!r}", next_step="give its address")
        return self.image.symbols[function].address

    def _run(
        self,
        window: Window,
        inputs: Mapping[int, bytes],
        probe: Probe | None,
        fault: Fault | None,
        instructions: int,
        seconds: float,
        registers: Sequence[tuple[int, int]],
    ) -> RunResult:
        request = run_request(window, inputs, probe, fault, instructions, seconds, registers)
        told = self.link.ask("run", request, b"".join(inputs.values()), seconds=seconds)
        with sound("run"):
            return result_of(told, request, self)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of a memory of the map.

        Raises:
            MachineError: there is no such memory.
        """
        self.link.ask("read", {"address": address, "size": size})
        return self.link.shared.take(np.uint8, size).tobytes()

    def write(self, address: int, data: bytes) -> None:
        """Writes a memory of the map, flash too.

        Raises:
            MachineError: there is no such memory.
        """
        self.link.ask("write", {"address": address}, data)

    def registers(self) -> tuple[int, ...]:
        """r0 to r14 and the program counter (Arm), or x0 to x31 and the program counter."""
        with sound("registers"):
            return tuple(int(value) for value in self.link.ask("registers")["registers"])

    def snapshot(self) -> int:
        """Number of a snapshot of registers, written memories and peripherals."""
        with sound("snapshot"):
            return int(self.link.ask("snapshot")["snapshot"])

    def restore(self, snapshot: int) -> None:
        """Goes back to a snapshot, which stays."""
        self.link.ask("restore", {"snapshot": snapshot})

    def drop(self, snapshot: int) -> None:
        """Forgets a snapshot."""
        self.link.ask("drop", {"snapshot": snapshot})

    def bench(self) -> BenchReport:
        """What the peripherals saw."""
        told = self.link.ask("bench")
        with sound("bench"):
            text, at = {}, 0
            for name, size in told["texts"]:
                text[str(name)] = self.link.shared.take(np.uint8, size, at).tobytes()
                at += size
            touched = {int(address): (int(reads), int(writes)) for address, reads, writes in told["touched"]}
            return BenchReport(text, touched, int(told["ticks"]), told["exit_code"])

    def memory_digest(self) -> str:
        """SHA-256 over all memories that can be written."""
        digest = hashlib.sha256()
        for region in self.memory.regions:
            if "w" in region.access:
                digest.update(self.read(region.address, region.size))
        return digest.hexdigest()

    def verify(self, window: Window, *, seconds: float = SECONDS) -> None:
        """Runs a window without and with all hooks and compares registers and memories: hooks must change nothing.

        Raises:
            MachineError: they do; then nothing that is recorded can be trusted.
        """
        before, seen = self.snapshot(), []
        for probe in (None, Probe(counts=True), Probe(registers=True, bus=True, addresses=True, ranges=((0, 2),))):
            self.restore(before)
            result = self.run(window, probe=probe, seconds=seconds)
            seen.append((result.end, result.instructions, self.registers(), self.memory_digest()))
        self.restore(before)
        self.drop(before)
        if len(set(seen)) != 1:
            raise MachineError(
                f"the emulator computes otherwise when it is watched: {window.name}",
                found="; ".join(
                    f"{end.value} after {n} instructions, memory {digest[:12]}" for end, n, _, digest in seen
                ),
                next_step="report this with the firmware: records of this firmware cannot be trusted",
            )

    def campaign(
        self,
        window: Window,
        writes: Sequence[tuple[int, NDArray[np.uint8]]] = (),
        *,
        take: Sequence[str] = ("hw",),
        points: NDArray[np.integer[Any]] | None = None,
        ranges: Sequence[tuple[int, int]] = (),
        outputs: Sequence[tuple[int, int]] = (),
        arguments: NDArray[np.integer[Any]] | None = None,
        faults: Sequence[Fault] | None = None,
        runs: int | None = None,
        instructions: int = 10_000_000,
    ) -> Campaign:
        """Runs a window again and again, each time from the state the machine is in now.

        Peripherals keep their state from run to run within a campaign.

        Args:
            window: what to run.
            writes: (address, (n, bytes)) that are written before run i: row i.
            take: what to keep of each record: hd, hw, bus_hd, bus_hw, value, bus, address, pc.
            points: numbers of the records that are kept, ascending; None keeps all, as many as the first run has.
            ranges: [from, to) addresses whose instructions are recorded; all by default.
            outputs: (address, bytes) that are read after each run.
            arguments: (n, k) arguments of the function; by default those of the window.
            faults: one for each run.
            runs: n, where nothing of the above tells.
            instructions: limit of each run.

        Raises:
            UsageError: arrays that do not belong together.
            MachineError: the process died or hung.
        """
        from tinymlsec.emulate.machine_campaign import run_campaign

        return run_campaign(
            self, window, writes, take=take, points=points, ranges=ranges, outputs=outputs, arguments=arguments,
            faults=faults, runs=runs, instructions=instructions,
        )  # fmt: skip
