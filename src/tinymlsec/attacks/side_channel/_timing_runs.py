"""Exact counts of many inferences, layer by layer, and what they cost on the core.

Layers that take the same time whatever the inputs are run unwatched, which is several times as fast; the others are
counted instruction by instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import Probe, RunEnd, Window
from tinymlsec.emulate.cycles.model import Counts, CycleModel, cycle_model
from tinymlsec.emulate.cycles.span import Span
from tinymlsec.errors import BudgetExceeded, MachineError

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import RunResult
    from tinymlsec.emulate.twin import StartedTwin

Sample = Sequence[NDArray[np.generic]]
"""One array for each input of the model."""
WATCHED_ANYWAY = 0.9
"""Share of the instructions in watched layers from which on everything is: switching would cost more than it saves."""


@dataclass(frozen=True)
class LayerCounts:
    """What one layer did in n inferences."""

    addresses: NDArray[np.int64]
    """(a,) of all instructions that any of them executed, ascending."""
    ran: NDArray[np.int64]
    """(n, a) times executed, those left out in IT blocks included."""
    marked: NDArray[np.int64]
    """(n, a) of these branches that were taken, or instructions that were left out."""

    def row(self, index: int) -> Counts:
        """One inference as the cycle model takes it."""
        pairs = zip(self.ran[index].tolist(), self.marked[index].tolist(), strict=True)
        return dict(zip(self.addresses.tolist(), pairs, strict=True))


@dataclass(frozen=True)
class Reference:
    """One inference that was counted from end to end."""

    whole: Counts
    layers: Mapping[int, Counts]
    """By index of the operator; those without a function of their own are left out."""

    @property
    def instructions(self) -> int:
        """Executed, those left out in IT blocks included."""
        return executed(self.whole)

    def inside(self, layers: frozenset[int]) -> int:
        """Instructions of some layers."""
        return sum(executed(counts) for layer, counts in self.layers.items() if layer in layers)


def executed(counts: Counts) -> int:
    """Instructions in all."""
    return sum(pair[0] for pair in counts.values())


@dataclass
class Runner:
    """Runs inferences of a started firmware.

    Args:
        started: the firmware.
    """

    started: StartedTwin
    inferences: int = field(init=False, default=0)
    _between: dict[int, tuple[int, int]] = field(init=False, default_factory=dict)
    """Counts outside of all layers, where they were counted."""
    _first: dict[int, tuple[int, int]] = field(init=False)
    _begun: int = field(init=False)
    """Snapshot of an inference whose first instruction has run: it knows where to return to."""

    def __post_init__(self) -> None:
        machine = self.started.machine
        machine.restore(self.started.ready)
        self._first = dict(machine.run(self.started.inference, probe=Probe(counts=True), instructions=1).counts)
        self._begun = machine.snapshot()

    def length(self, sample: Sample, limit: int) -> int:
        """Instructions of an inference, run unwatched.

        Raises:
            BudgetExceeded: more than the limit.
        """
        self._put(sample)
        window = Window("the inference", None, (), self.started.machine.idle)
        result = self.started.machine.run(window, instructions=limit)
        if result.end is RunEnd.TIMEOUT:
            raise BudgetExceeded("an inference is too long for this effort", found=f"more than {limit:,} instructions")
        return self._sound(result, window).instructions

    def reference(self, sample: Sample) -> Reference:
        """Counts everything, layer by layer and between them."""
        every = frozenset(layer.index for layer in self.started.program.layers)
        self._between = dict(self._first)
        layers, _ = self.inference(sample, every, fast=False)
        whole: dict[int, tuple[int, int]] = {}
        for counts in (self._between, *layers.values()):
            for address, (ran, marked) in counts.items():
                before = whole.get(address, (0, 0))
                whole[address] = before[0] + ran, before[1] + marked
        return Reference(whole, layers)

    def inference(
        self, sample: Sample, watched: frozenset[int], *, fast: bool = True
    ) -> tuple[dict[int, Counts], NDArray[np.generic]]:
        """Counts some layers of an inference; the rest runs on.

        Returns:
            counts by layer, and the first output.
        """
        self._put(sample)
        machine, symbols = self.started.machine, self.started.twin.image.symbols
        found: dict[int, Counts] = {}
        for layer in self.started.program.layers:
            if layer.index not in watched or layer.symbol not in symbols:
                continue
            self._go(symbols[layer.symbol].address, fast)
            link = machine.registers()[14 if machine.core.machine == "arm" else 1] & ~1
            found[layer.index] = self._run(Window(layer.symbol, None, (), link), counted=True).counts
        self._go(machine.idle, fast)
        self.inferences += 1
        return found, self._output()

    def _go(self, to: int, fast: bool) -> None:
        """Runs on, outside of watched layers."""
        counts = self._run(Window("what lies between layers", None, (), to), counted=not fast).counts
        for address, (ran, marked) in counts.items():
            before = self._between.get(address, (0, 0))
            self._between[address] = before[0] + ran, before[1] + marked

    def _put(self, sample: Sample) -> None:
        self.started.machine.restore(self._begun)
        for k, array in enumerate(sample):
            address = self.started.twin.input_address(k)
            self.started.machine.write(address, np.ascontiguousarray(array).tobytes())

    def _output(self) -> NDArray[np.generic]:
        port = self.started.program.outputs[0]
        if port.offset is None:
            return np.zeros(0, np.int8)
        data = self.started.machine.read(self.started.twin.output_address(), port.bytes)
        return np.frombuffer(data, port.dtype).reshape(port.shape)

    def _run(self, window: Window, *, counted: bool) -> RunResult:
        return self._sound(self.started.machine.run(window, probe=Probe(counts=True) if counted else None), window)

    @staticmethod
    def _sound(result: RunResult, window: Window) -> RunResult:
        if result.end is not RunEnd.DONE:
            fault = f": {result.fault.kind} in {result.fault.symbol}" if result.fault else ""
            raise MachineError(f"{window.name} does not end well", found=f"{result.end.value}{fault}")
        return result


def stacked(rows: Sequence[Counts]) -> LayerCounts:
    """Counts of several inferences of one layer side by side."""
    addresses = np.array(sorted(set().union(*rows)), np.int64)
    nothing = (0, 0)
    table = np.array([[row.get(address, nothing) for address in addresses.tolist()] for row in rows], np.int64)
    table = table.reshape(len(rows), len(addresses), 2)
    return LayerCounts(addresses, table[:, :, 0], table[:, :, 1])


class Prices:
    """Cycles of runs at both ends of what the core's table leaves open.

    Args:
        started: whose core and image they are.
    """

    def __init__(self, started: StartedTwin) -> None:
        self.image, self.core = started.twin.image, started.twin.core
        self._models: dict[int, CycleModel] = {}

    def model(self, layer: int) -> CycleModel:
        """A model of its own for each layer: it remembers the last set of addresses."""
        if layer not in self._models:
            self._models[layer] = cycle_model(self.core)
        return self._models[layer]

    def of(self, layer: int, counts: Counts) -> Span:
        """Cycles of one run of a layer."""
        return self.model(layer).cost(counts, self.image) if counts else Span(0.0, 0.0)

    def rows(self, layer: int, counts: LayerCounts) -> NDArray[np.float64]:
        """(n, 2) cycles of a layer: low and high."""
        known: dict[bytes, tuple[float, float]] = {}
        made = []
        for i in range(len(counts.ran)):
            key = counts.ran[i].tobytes() + counts.marked[i].tobytes()
            if key not in known:
                span = self.of(layer, counts.row(i))
                known[key] = (span.low, span.high)
            made.append(known[key])
        return np.array(made, np.float64).reshape(-1, 2)
