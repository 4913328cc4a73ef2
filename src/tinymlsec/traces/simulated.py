"""Traces of emulated firmware, made as they are asked for: a million of them takes no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import Campaign, Window
from tinymlsec.emulate.leakage import Leakage, kinds_of
from tinymlsec.traces.noise import blurred, low_passed, sigma_for
from tinymlsec.traces.traceset import CHUNK, Chunk, Noise, TraceError, TraceInfo

if TYPE_CHECKING:
    from tinymlsec.emulate.machine import Machine

BLOCK = 1000
"""Traces that share a random generator: however a set is cut into chunks, its traces are the same."""
BLOCK_VALUES = 1 << 24
"""Most samples of all traces of a block: where traces are long, fewer share one."""

_Block = tuple[NDArray[np.float32], NDArray[np.uint8]]
Inputs = Callable[[int, int], NDArray[np.uint8]]
"""(first, count) -> (count, k) bytes of inputs; the same traces always have the same inputs."""


@dataclass(frozen=True)
class SimulatedTraces:
    """Traces of one window, run again and again from the state that the machine has now.

    Args:
        machine: standing at the window, as `windows.enter` leaves it; nobody else may move it meanwhile.
        window: what is run.
        count: number of traces.
        inputs: from `uniform_inputs` or `given_inputs`.
        writes: (address, first byte, end byte): which bytes of an input are written where.
        leakage: model.
        noise: to add; where `snr` is given, `sigma` follows from it.
        seed: of the noise.
        base: what else the set is to say of itself.
        points: numbers of the records that make up a trace; None takes all of the first run.
        ranges: addresses whose instructions are recorded.
        fed: what `writes` takes in place of the inputs, for later layers: the activations they lead to.
    """

    machine: Machine
    window: Window
    count: int
    inputs: Inputs
    writes: tuple[tuple[int, int, int], ...]
    leakage: Leakage = field(default_factory=Leakage)
    noise: Noise = field(default_factory=Noise)
    seed: int = 0
    base: TraceInfo | None = None
    points: NDArray[np.int64] | None = None
    ranges: Sequence[tuple[int, int]] = ()
    fed: Inputs | None = None

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """(t,) numbers of the records that make up a trace."""
        return np.arange(len(self.pc)) if self.points is None else np.asarray(self.points, np.int64)

    @cached_property
    def _first(self) -> Campaign:
        return self._campaign(0, min(self._each, self.count), self._places)

    @property
    def _each(self) -> int:
        """Traces of a block."""
        return max(1, min(BLOCK, BLOCK_VALUES // len(self.pc)))

    @cached_property
    def _noise(self) -> Noise:
        """The noise with its sigma, worked out once on the first traces."""
        at = self.noise.snr_at
        if self.noise.snr is None or at is None:
            return self.noise
        if not 0 <= at < self.samples:
            sigma_for(np.zeros((1, self.samples), np.float32), at, self.noise.snr)  # which says what is wrong
        near = slice(max(at - self.noise.low_pass, 0), at + self.noise.low_pass + 1)
        campaign = self._campaign(0, min(BLOCK, self.count), self._places[near])
        signal = self._signal(campaign, self.pc[near])
        return self.noise.model_copy(update={"sigma": sigma_for(signal, at - near.start, self.noise.snr)})

    def _signal(self, campaign: Campaign, pc: NDArray[np.uint32]) -> NDArray[np.float32]:
        kinds = kinds_of(self.machine.image, self.machine.core, pc) if self.leakage.weights else None
        return low_passed(self.leakage.signal(campaign.samples, kinds), self.noise.low_pass)

    @property
    def info(self) -> TraceInfo:
        """What they are."""
        from tinymlsec.records import Basis

        base = self.base or TraceInfo(source="emulated firmware", basis=Basis.SIMULATED)
        own = {
            "window": self.window.name, "core": self.machine.core.id, "firmware_digest": self.machine.image.digest,
            "leakage": self.leakage.words, "noise": self._noise, "seed": self.seed,
        }  # fmt: skip
        return base.model_copy(update=own)

    @property
    def samples(self) -> int:
        """Samples of a trace."""
        return len(self.pc)

    @cached_property
    def pc(self) -> NDArray[np.uint32]:
        """(t,) addresses of the instructions."""
        return self._campaign(0, 1, self.points).pcs

    def __len__(self) -> int:
        return self.count

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """See `TraceSet.chunks`."""
        end, each = self.count if end is None else min(end, self.count), self._each
        held: dict[
            int, tuple[NDArray[np.float32], NDArray[np.uint8]]
        ] = {}  # made once for all chunks that it reaches into
        for first in range(start, end, size):
            last = min(first + size, end)
            held = {n: held[n] if n in held else self._block(n) for n in range(first // each, -(-last // each))}
            skip = first - first // each * each
            rows = slice(skip, skip + last - first)
            samples, inputs = (np.concatenate(parts)[rows] for parts in zip(*held.values(), strict=True))
            yield Chunk(first, samples, inputs)

    def _block(self, number: int) -> _Block:
        first = number * self._each
        count = min(self._each, self.count - first)
        campaign = self._first if number == 0 else self._campaign(first, count, self._places)
        signal = self._signal(campaign, self.pc)
        rng = np.random.default_rng((self.seed, number))
        return blurred(signal, self._noise, rng), self.inputs(first, count)

    def _campaign(self, first: int, count: int, points: NDArray[np.int64] | None) -> Campaign:
        rows = (self.fed or self.inputs)(first, count)
        writes = [(address, np.ascontiguousarray(rows[:, low:high])) for address, low, high in self.writes]
        return self.machine.campaign(
            self.window, writes, take=self.leakage.columns, points=points, ranges=self.ranges, runs=count
        )

    def with_noise(self, noise: Noise, seed: int | None = None) -> SimulatedTraces:
        """The same signal under other noise."""
        return replace(self, noise=noise, seed=self.seed if seed is None else seed)


def uniform_inputs(bytes_each: int, seed: int) -> Inputs:
    """Inputs of random bytes, all values equally likely."""

    def made(first: int, count: int) -> NDArray[np.uint8]:
        blocks = range(first // BLOCK, -(-(first + count) // BLOCK))
        rows = [np.random.default_rng((seed, 1, b)).integers(0, 256, (BLOCK, bytes_each), np.uint8) for b in blocks]
        skip = first - blocks.start * BLOCK
        return np.concatenate(rows)[skip : skip + count]

    return made


def given_inputs(rows: NDArray[np.generic]) -> Inputs:
    """Inputs from an array (n, ...), again from the start when all were used."""
    if not len(rows):
        raise TraceError("no inputs to trace")
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)

    def made(first: int, count: int) -> NDArray[np.uint8]:
        taken: NDArray[np.uint8] = flat[np.arange(first, first + count) % len(flat)]
        return taken

    return made
