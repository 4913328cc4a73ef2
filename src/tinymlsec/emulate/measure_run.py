"""Runs a generated firmware on samples: counts per layer and inference, outputs, and how deep the stack went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tinymlsec.emulate.contract import FlashLines, Probe, RunEnd, RunResult
from tinymlsec.emulate.cycles.flash_cache import FlashReads
from tinymlsec.emulate.cycles.model import Counts
from tinymlsec.errors import FirmwareError

if TYPE_CHECKING:
    from tinymlsec.emulate.codegen.program import Program
    from tinymlsec.emulate.machine import Machine
    from tinymlsec.target.firmware.image import FirmwareImage

PATTERN = b"\xa5\x5a\xc3\x3c"
"""Fills the stack before a run: what still holds it afterwards was not used."""
IDLE, INFER = "tms_idle", "tms_infer"
STACK_BOTTOM, STACK_TOP = "tms_stack_bottom", "tms_stack_top"


class Run(NamedTuple):
    """What was counted in one call."""

    counts: Counts
    flash: FlashReads | None
    """None where the flash is not modeled."""


@dataclass(frozen=True)
class SampleRun:
    """One inference."""

    whole: Run
    """tms_infer and all that it calls."""
    layers: tuple[Run, ...]
    """Each layer's function and all that it calls."""
    outputs: tuple[bytes, ...]
    stack: int
    """Deepest stack in bytes, what `main` would have used before the call not included."""


def run_samples(
    machine: Machine,
    image: FirmwareImage,
    program: Program,
    samples: Sequence[Sequence[bytes]],
    flash: FlashLines | None = None,
) -> Iterator[SampleRun]:
    """Runs each sample from the same fresh state: once as a whole, once layer by layer.

    Args:
        machine: with the image loaded and nothing run yet.
        image: the firmware.
        program: what it was generated from.
        samples: per sample, the bytes of each input.
        flash: caches whose misses are counted; None where they are not modeled.

    Raises:
        FirmwareError: the firmware did not come to an end.
    """
    machine.boot(IDLE)
    stack = Stack(machine, image)
    stack.fill()
    fresh = machine.snapshot()
    inputs = _pointers(machine, image, "tms_input", len(program.inputs))
    outputs = _pointers(machine, image, "tms_output", len(program.outputs))
    for sample in samples:
        machine.restore(fresh)
        _put(machine, inputs, sample)
        whole = _counted(machine, flash, INFER, 0, 0)
        found = tuple(machine.read(a, port.bytes) for a, port in zip(outputs, program.outputs, strict=True))
        deepest = stack.used()
        machine.restore(fresh)
        _put(machine, inputs, sample)
        layers = tuple(_counted(machine, flash, layer.symbol) for layer in program.layers)
        yield SampleRun(whole, layers, found, deepest)


def stack_size(image: FirmwareImage) -> int:
    """Bytes that the linker script sets aside for the stack."""
    return image.symbols[STACK_TOP].address - image.symbols[STACK_BOTTOM].address


class Stack:
    """The stack of a generated firmware, filled with a pattern.

    Args:
        machine: after start-up.
        image: names both ends of the stack.
    """

    def __init__(self, machine: Machine, image: FirmwareImage) -> None:
        self._machine = machine
        self.bottom = image.symbols[STACK_BOTTOM].address
        self.size = stack_size(image)

    def fill(self) -> None:
        """Writes the pattern: nothing on the stack is needed any more once start-up came to its idle loop."""
        self._machine.write(self.bottom, PATTERN * (self.size // len(PATTERN)))

    def used(self) -> int:
        """Bytes from the deepest word that changed up to the top."""
        return used_stack(self._machine.read(self.bottom, self.size))


def used_stack(data: bytes) -> int:
    """How much of a stack was used, that was filled with the pattern before and grows down.

    Args:
        data: of the stack, from its lowest address.
    """
    step = len(PATTERN)
    untouched = next((i for i in range(0, len(data) - step + 1, step) if data[i : i + step] != PATTERN), len(data))
    return len(data) - untouched


def _pointers(machine: Machine, image: FirmwareImage, symbol: str, count: int) -> list[int]:
    """Addresses of the buffers that an exported array of pointers names."""
    data = machine.read(image.symbols[symbol].address, 4 * count) if count else b""
    return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(count)]


def _put(machine: Machine, addresses: Sequence[int], sample: Sequence[bytes]) -> None:
    for address, data in zip(addresses, sample, strict=True):
        if data:
            machine.write(address, data)


def _counted(machine: Machine, flash: FlashLines | None, function: str, *arguments: int) -> Run:
    """One call with counts; with empty flash caches at its start, which for a layer is the dear case."""
    result = _finished(machine.call(function, *arguments, probe=Probe(counts=True, flash=flash)), function)
    reads = None if flash is None or result.flash_reads is None else FlashReads(*result.flash_reads)
    return Run(result.counts, reads)


def _finished(result: RunResult, function: str) -> RunResult:
    if result.end is RunEnd.DONE:
        return result
    fault = result.fault
    where = f", {fault.kind} at {fault.symbol or hex(fault.pc)}" if fault is not None else ""
    raise FirmwareError(f"{function} did not come to an end", found=f"{result.end.value}{where}")
