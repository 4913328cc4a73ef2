"""Runs firmware that nobody has described, with guessed hardware, until an interpreter's tables lie in RAM, and on
until a whole inference was seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import Core, MemoryMap, Probe, RunEnd, RunResult, Window
from tinymlsec.emulate.foreign.bench import BenchReport
from tinymlsec.emulate.foreign.device_memory import running
from tinymlsec.emulate.foreign.finder.calls import Call, CallsOfInference, whole_inference
from tinymlsec.emulate.foreign.finder.layers import LayerWindow, layer_windows
from tinymlsec.emulate.foreign.finder.static import Findings, search
from tinymlsec.emulate.foreign.guess import PAGE, guessed_hardware
from tinymlsec.emulate.foreign.hardware import Clock
from tinymlsec.emulate.foreign.outcome import Ending, ending_of, reached_for

if TYPE_CHECKING:
    from tinymlsec.emulate.machine import Machine
    from tinymlsec.target.firmware.image import FirmwareImage

FIRST_SLICE = 200_000
LONGEST_SLICE = 64_000_000
WATCHED_SLICE = 4_000_000
"""Longest where calls of kernels are noted, of which there is room for some 65,000."""
WITHOUT_MODEL = 20_000_000
"""Instructions after which firmware is stopped in which no model was found: there is nothing to wait for."""
MAX_EXTRA_PAGES = 12
"""Most pages outside of all memories that are taken for registers, one restart each."""
MAX_READ = 4 << 20
"""Largest read of a kernel's lists."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """How long a first run may take."""

    instructions: int = 1_000_000_000
    seconds: float = 60.0


@dataclass(frozen=True)
class FirstRun:
    """What came of it."""

    ending: Ending
    """How it ended, where it went on after all was found too."""
    instructions: int
    findings: Findings
    windows: tuple[LayerWindow, ...]
    calls: CallsOfInference | None
    """The calls of one whole inference, with nodes that are the model's."""
    differs: str
    """Why there are none."""
    report: BenchReport
    clock: Clock | None
    extra: tuple[int, ...]
    """Pages that were taken for registers because the firmware reached for them."""

    @property
    def confirmed(self) -> bool:
        """A whole inference was seen."""
        return self.calls is not None


@dataclass(frozen=True)
class Subject:
    """What is run."""

    image: FirmwareImage
    core: Core
    memory: MemoryMap
    static: Findings
    """What was found in the image alone."""


def first_run(subject: Subject, limits: Limits | None = None, tell: Tell = lambda text: None) -> FirstRun:
    """Starts the firmware from its vector table or entry and watches it.

    Args:
        subject: the firmware.
        limits: of all of it together.
        tell: is told what goes on.

    Raises:
        MachineError: the worker process died or hung.
        CapabilityMissing: there is no engine.
    """
    limits = limits or Limits()
    ends = time.monotonic() + limits.seconds
    extra: tuple[int, ...] = ()
    while True:
        with _Attempt(subject, extra, replace(limits, seconds=ends - time.monotonic()), tell) as attempt:
            found = attempt.run()
        page = _page_reached_for(found, subject.image)
        if page is None or page in extra or len(extra) >= MAX_EXTRA_PAGES or time.monotonic() >= ends:
            return found
        extra = (*extra, page)
        tell(f"again, with registers at 0x{page:08x}")


def _page_reached_for(found: FirstRun, image: FirmwareImage) -> int | None:
    """Page outside of all memories whose access ended the run, where hardware may lie."""
    fault = found.ending.fault
    touched = reached_for(fault, image) if fault is not None and not found.confirmed else None
    return None if touched is None else touched & ~(PAGE - 1)


class _Attempt:
    """One machine, from reset on."""

    def __init__(self, subject: Subject, extra: tuple[int, ...], limits: Limits, tell: Tell) -> None:
        from tinymlsec.emulate.machine import Machine

        self.image, self.core, self.memory, self.static = subject.image, subject.core, subject.memory, subject.static
        self.limits, self.tell, self.extra = limits, tell, extra
        self.ends = time.monotonic() + limits.seconds
        self.hardware = guessed_hardware(self.image, self.core, self.memory, extra)
        self.machine: Machine = Machine(self.image, self.core, self.memory, hardware=self.hardware)
        self.reset = self.machine.snapshot()
        self.spent = 0

    def __enter__(self) -> _Attempt:
        return self

    def __exit__(self, *exception: object) -> None:
        self.machine.close()

    def run(self) -> FirstRun:
        """Until a whole inference was seen, the firmware died, or the limits are reached."""
        findings = self.static
        windows: tuple[LayerWindow, ...] = ()
        result: RunResult | None = None
        for result in self._slices(None):
            findings = self._look()
            windows = _windows(findings)
            self.tell(f"{self.spent:,} instructions, {_what(findings)}")
            if windows or result.end is not RunEnd.TIMEOUT or self._is_in_vain(findings):
                break
        calls, differs = None, "no layers are known"
        if windows and result is not None:
            result, calls, differs = self._watch(findings, windows, result)
            findings = self._look()  # the tables may have been half filled when they were found
            windows = _windows(findings) or windows
        ending = self._ending(result)
        report = self.machine.bench()
        return FirstRun(
            ending, self.spent, findings, windows, calls, differs, report, self.hardware.clock, self.extra
        )  # fmt: skip

    def _is_in_vain(self, findings: Findings) -> bool:
        return findings.blob is None and self.spent >= WITHOUT_MODEL

    def _watch(
        self, findings: Findings, windows: tuple[LayerWindow, ...], last: RunResult
    ) -> tuple[RunResult, CallsOfInference | None, str]:
        """From reset once more, until a whole inference was seen: so it is the first one."""
        assert findings.blob is not None
        kernels = tuple(sorted({window.invoke for window in windows}))
        calls: list[Call] = []
        differs = "no layer was entered"
        self.machine.restore(self.reset)
        self.spent = 0
        for last in self._slices(Probe(visits=kernels), WATCHED_SLICE):
            calls += _calls(last, self.core, self.spent - last.instructions)
            found, differs = whole_inference(calls, windows, findings.blob, self._read)
            self.tell(f"{self.spent:,} instructions, {len(calls)} layers entered")
            if found is not None:
                return last, found, ""
            if last.end is not RunEnd.TIMEOUT:
                break
        return last, None, differs

    def _slices(self, probe: Probe | None, longest: int = LONGEST_SLICE) -> Iterator[RunResult]:
        """Runs on and on, each time twice as far, within the limits."""
        length = FIRST_SLICE
        while self.spent < self.limits.instructions and time.monotonic() < self.ends:
            length = min(length, self.limits.instructions - self.spent)
            result = self._go(length, probe)
            self.spent += result.instructions
            yield result
            if result.seconds < (self.ends - time.monotonic()) / 4:
                length = min(2 * length, longest)

    def _go(self, length: int, probe: Probe | None) -> RunResult:
        seconds = max(self.ends - time.monotonic(), 0.1)
        if self.spent == 0:
            return self.machine.boot(None, instructions=length, seconds=seconds, probe=probe)
        nowhere = min(region.address for region in self.memory.regions)  # vectors lie there, or nothing is run there
        return self.machine.run(
            Window("on", None, (), nowhere), None, probe, instructions=length, seconds=seconds
        )  # fmt: skip

    def _look(self) -> Findings:
        thumb = self.core.machine == "arm"
        memory = running(self.image, self.memory, self.machine.read, thumb)
        return search(memory, {"": 0} if self.image.symbols else {}, self.static)

    def _read(self, address: int, size: int) -> bytes:
        for region in self.memory.regions:
            if region.address <= address < region.address + region.size:
                return self.machine.read(address, min(size, region.address + region.size - address, MAX_READ))
        return b""

    def _ending(self, result: RunResult | None) -> Ending:
        if result is None:
            return Ending(RunEnd.TIMEOUT, "there was no time to run it")
        ending = ending_of(result, self.machine.registers()[-1], self.image, self.machine.bench(), self.spent)
        return replace(ending, title="still running") if result.end is RunEnd.TIMEOUT else ending


def _windows(findings: Findings) -> tuple[LayerWindow, ...]:
    if findings.blob is None or findings.registrations is None or findings.tensors is None:
        return ()
    return layer_windows(findings.blob, findings.registrations, findings.tensors)


def _what(findings: Findings) -> str:
    parts = {"model": findings.blob, "kernels": findings.registrations, "tensors": findings.tensors}
    return ", ".join(name for name, found in parts.items() if found is not None) or "nothing found yet"


def _calls(result: RunResult, core: Core, before: int) -> list[Call]:
    """Calls of a slice; instructions are counted from reset on."""
    node, link = (1, 14) if core.machine == "arm" else (11, 1)
    return [
        Call(int(row[1]), int(row[2 + node]), int(row[2 + link]) & ~1, before + int(row[0]))
        for row in result.visits
    ]  # fmt: skip
