"""Runs a generated firmware on samples: counts per layer and inference, outputs, and how deep the stack went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tinymlsec.emulate.contract import FlashLines, Probe, RunEnd, RunResult
from tinymlsec.emulate.cycles.flash_cache import FlashReads
from tinymlsec.emulate.cycles.model import Counts
from tinymlsec.errors import FirmwareError

if TYPE_CHECKING:
    from tinymlsec.emulate.codegen.program import Program
    from tinymlsec.target.firmware.image import FirmwareImage

PATTERN = b"\xa5\x5a\xc3\x3c"
"""Fills the stack before a run: what still holds it afterwards was not used."""
IDLE, INFER = "tms_idle", "tms_infer"
STACK_BOTTOM, STACK_TOP = "tms_stack_bottom", "tms_stack_top"
MOST_INSTRUCTIONS, MOST_SECONDS = 20_000_000_000, 900.0
"""Limits of one call; the largest model that fits a device of the library stays far below."""


class CountingMachine(Protocol):
    """What a machine must offer to be measured on; addresses are without the Thumb bit."""

    def boot(self, until: int) -> RunResult:
        """From reset until an address is reached."""

    def call(self, function: str, *arguments: int, probe: Probe | None, instructions: int, seconds: float) -> RunResult:
        """A function until it returns."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of a memory."""

    def write(self, address: int, data: bytes) -> None:
        """The same the other way."""

    def snapshot(self) -> Any:
        """Registers and written memory, to come back to."""

    def restore(self, snapshot: Any) -> None:
        """Back to it."""


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
    """Deepest stack in bytes that was written, the frame of the idle loop below it included."""


def _silent(number: int, function: str) -> None:
    """Says nothing."""


@dataclass
class Runner:
    """Feeds samples to a firmware that has started up.

    Each sample is run as a whole and then layer by layer. Every sample begins in the state after start-up; a model that
    keeps state instead goes on from sample to sample, as on the device.

    Args:
        machine: with the image loaded and nothing run yet.
        image: the firmware.
        program: what it was generated from.
        flash: caches whose misses are counted; None where they are not modeled.

    Raises:
        FirmwareError: the firmware did not come to an end.
    """

    machine: CountingMachine
    image: FirmwareImage
    program: Program
    flash: FlashLines | None = None
    _inputs: list[int] = field(init=False, default_factory=list)
    _outputs: list[int] = field(init=False, default_factory=list)
    _fresh: Any = field(init=False, default=None)
    _state: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        _finished(self.machine.boot(self.image.symbols[IDLE].address), "start-up")
        self.machine.write(self._bottom, PATTERN * (stack_size(self.image) // len(PATTERN)))
        self._fresh = self.machine.snapshot()
        self._inputs = self._pointers("tms_input", len(self.program.inputs))
        self._outputs = self._pointers("tms_output", len(self.program.outputs))

    def run(self, sample: Sequence[bytes], said: Callable[[int, str], None] = _silent) -> SampleRun:
        """One sample: the whole inference, and from the same state one layer after the other.

        Args:
            sample: the bytes of each input.
            said: called before each call of the firmware with its number and the function.
        """
        self._put(sample)
        said(0, INFER)
        whole = self._counted(INFER, 0, 0)
        used = used_stack(self.machine.read(self._bottom, stack_size(self.image)))
        outputs = self._read_outputs()
        layers = self._layers(sample, said)
        if outputs != self._read_outputs():
            raise FirmwareError(
                "layers that are called one by one compute something else than the whole inference",
                next_step="this is a defect of tinymlsec, please report it with the model",
            )
        if self.program.variables_bytes:
            self._state = self.machine.read(*self._variables)
        return SampleRun(whole, layers, outputs, used)

    def _layers(self, sample: Sequence[bytes], said: Callable[[int, str], None]) -> tuple[Run, ...]:
        self._put(sample)
        found: list[Run] = []
        for layer in self.program.layers:
            said(1 + len(found), layer.symbol)
            # a RESHAPE in place, or what only names a variable, makes no function
            found.append(self._counted(layer.symbol) if layer.symbol in self.image.symbols else self._nothing)
        return tuple(found)

    @property
    def _nothing(self) -> Run:
        return Run({}, None if self.flash is None else FlashReads(0, 0))

    @property
    def _bottom(self) -> int:
        return self.image.symbols[STACK_BOTTOM].address

    @property
    def _variables(self) -> tuple[int, int]:
        """Address and bytes of everything but the stack that is written."""
        start, end = (self.image.symbols[name].address for name in ("tms_data_start", "tms_bss_end"))
        return start, end - start

    def _pointers(self, symbol: str, count: int) -> list[int]:
        """Addresses of the buffers that an exported array of pointers names."""
        data = self.machine.read(self.image.symbols[symbol].address, 4 * count) if count else b""
        return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(count)]

    def _put(self, sample: Sequence[bytes]) -> None:
        self.machine.restore(self._fresh)
        if self._state:
            self.machine.write(self._variables[0], self._state)
        for address, data in zip(self._inputs, sample, strict=True):
            if data:
                self.machine.write(address, data)

    def _read_outputs(self) -> tuple[bytes, ...]:
        ports = self.program.outputs
        return tuple(self.machine.read(a, port.bytes) for a, port in zip(self._outputs, ports, strict=True))

    def _counted(self, function: str, *arguments: int) -> Run:
        """One call with counts; flash caches are empty at its start, which for a layer is the dear case."""
        result = self.machine.call(
            function, *arguments, probe=Probe(counts=True, flash=self.flash),
            instructions=MOST_INSTRUCTIONS, seconds=MOST_SECONDS,
        )  # fmt: skip
        _finished(result, function)
        reads = None if self.flash is None or result.flash_reads is None else FlashReads(*result.flash_reads)
        return Run(result.counts, reads)


def stack_size(image: FirmwareImage) -> int:
    """Bytes that the linker script sets aside for the stack."""
    return image.symbols[STACK_TOP].address - image.symbols[STACK_BOTTOM].address


def used_stack(data: bytes) -> int:
    """How much of a stack was used, that was filled with the pattern before and grows down.

    Args:
        data: of the stack, from its lowest address.
    """
    step = len(PATTERN)
    deepest = next((i for i in range(0, len(data) - step + 1, step) if data[i : i + step] != PATTERN), len(data))
    return len(data) - deepest


def _finished(result: RunResult, what: str) -> None:
    if result.end is RunEnd.DONE:
        return
    fault = result.fault
    where = f", {fault.kind} at {fault.symbol or hex(fault.pc)}" if fault is not None else ""
    raise FirmwareError(
        f"{what} did not come to an end", found=f"{result.end.value} after {result.instructions:,} instructions{where}",
        next_step="a stack that is too small looks like this; else this is a defect of tinymlsec",
    )  # fmt: skip
