"""What layers are fed: values that real inferences brought there, each place drawn anew for every trace.

Whole inferences for every trace would cost millions of instructions each. So some inferences are run and what each
layer is fed is kept; then every element of an activation is drawn by itself from those that it had. Each has the values
it has on the device, a silent one stays silent; what elements have to do with each other is lost. The model's own
inputs are uniformly random codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._assess_windows import Fed, Part
from tinymlsec.emulate.contract import Probe, RunEnd, Window
from tinymlsec.errors import MachineError

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._timing_inputs import Inputs
    from tinymlsec.emulate.contract import RunResult
    from tinymlsec.emulate.twin import StartedTwin

Place = tuple[int, int]
"""Operator and tensor."""


@dataclass(frozen=True)
class Feed:
    """Values of some inferences; the first of them is the fixed one."""

    fixed: tuple[NDArray[np.generic], ...]
    """Inputs of the model."""
    seen: Mapping[Place, NDArray[Any]]
    """(m, elements) of the part that the window reads."""
    executed: Mapping[int, Mapping[int, int]]
    """By operator: address -> times executed in the first inference."""

    def fixed_row(self, part: Part, fed: Fed) -> NDArray[Any]:
        """(elements,)"""
        row: NDArray[Any] = self.seen[part.layer.index, fed.tensor][0]
        return row

    def random_rows(self, part: Part, fed: Fed, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """(count, elements)"""
        if fed.model_input and fed.dtype.kind in "iu":
            limits = np.iinfo(fed.dtype)
            return rng.integers(limits.min, limits.max, (count, fed.count), fed.dtype.type, endpoint=True)
        seen = self.seen[part.layer.index, fed.tensor]
        made: NDArray[Any] = seen[rng.integers(0, len(seen), (count, fed.count)), np.arange(fed.count)]
        return made


def reached(started: StartedTwin, parts: Sequence[Part]) -> list[Part]:
    """Those that an inference calls, in its order; what only start-up runs (CALL_ONCE) is left out."""
    machine = started.machine
    machine.restore(started.ready)
    at = {machine.address_of(part.layer.symbol): part for part in parts}
    seen = machine.run(started.inference, probe=Probe(visits=tuple(at))).visits[:, 1].tolist()
    return [at[address] for address in dict.fromkeys(seen)]


class Walk:
    """One inference, from layer to layer. What is done at a layer must leave the machine as it was.

    Args:
        started: the firmware.
        sample: inputs of the model.
    """

    def __init__(self, started: StartedTwin, sample: Sequence[NDArray[np.generic]]) -> None:
        self.machine, inference = started.machine, started.inference
        self.machine.restore(started.ready)
        for k, array in enumerate(sample):
            self.machine.write(started.twin.input_address(k), np.ascontiguousarray(array).tobytes())
        self._start, self._arguments = inference.start, inference.arguments

    def to(self, part: Part, probe: Probe | None = None) -> RunResult:
        """Runs on to the beginning of a layer.

        Raises:
            MachineError: the inference does not come there.
        """
        at = self.machine.address_of(part.layer.symbol)
        result = self.machine.run(Window(part.window, self._start, self._arguments, at), probe=probe)
        if result.end is not RunEnd.DONE or self.machine.registers()[-1] != at:
            raise MachineError(f"an inference does not come to layer {part.name}", found=result.end.value)
        self._start, self._arguments = None, ()
        return result

    def whole(self, name: str) -> Window:
        """The whole of the layer at whose beginning the machine stands."""
        link = self.machine.registers()[14 if self.machine.core.machine == "arm" else 1]
        return Window(name, None, (), link & ~1)


def collect(started: StartedTwin, parts: Sequence[Part], inputs: Inputs, said: Callable[[int, int, str], None]) -> Feed:
    """Runs inferences from layer to layer and keeps what each is fed.

    Args:
        started: the firmware.
        parts: in the order in which they run.
        inputs: of the inferences.
        said: progress.

    Raises:
        MachineError: an inference does not come to a layer.
    """
    rows: dict[Place, list[NDArray[Any]]] = {(p.layer.index, f.tensor): [] for p in parts for f in p.fed}
    executed: dict[int, dict[int, int]] = {}
    for number in range(len(inputs)):
        said(number, len(inputs), "inferences for what layers are fed")
        walk, before = Walk(started, inputs.sample(number)), -1
        probe = Probe(counts=True) if number == 0 else None
        for part in parts:
            result = walk.to(part, probe)
            if probe is not None and before >= 0:
                executed[before] = _times(result)
            before = part.layer.index
            for fed in part.fed:
                data = started.machine.read(fed.address, fed.count * fed.dtype.itemsize)
                rows[before, fed.tensor].append(np.frombuffer(data, fed.dtype))
        if probe is not None:
            executed[before] = _times(started.machine.run(walk.whole("last layer"), probe=probe))
    return Feed(inputs.sample(0), {place: np.stack(found) for place, found in rows.items()}, executed)


def _times(result: RunResult) -> dict[int, int]:
    return {address: ran for address, (ran, _) in result.counts.items()}
