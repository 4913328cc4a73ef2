"""Long traces: a part of each, and as many predictions as memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._measured_look import MODELS
from tinymlsec.errors import CapabilityMissing
from tinymlsec.traces.traceset import CHUNK, Chunk, TraceInfo, TraceSet

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel.measured_leakage import MeasuredLeakageConfig

VALUES = 60_000_000
"""Most coefficients: predictions, as they are and exchanged, times samples."""
LEAST_INPUTS, LEAST_STEPS = 8, 4
"""Input bytes and products of a sum that are looked at in traces of any length."""


@dataclass(frozen=True)
class Part:
    """Some samples of each trace of a set."""

    whole: TraceSet
    first: int
    last: int
    """The one after the last."""

    @property
    def info(self) -> TraceInfo:
        """What they are."""
        return self.whole.info

    @property
    def samples(self) -> int:
        """Samples of a trace."""
        return self.last - self.first

    @property
    def pc(self) -> NDArray[np.uint32]:
        """(t,) addresses of the instructions; empty where they are not known."""
        return self.whole.pc[self.first : self.last]

    def __len__(self) -> int:
        return len(self.whole)

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """See `TraceSet.chunks`."""
        for chunk in self.whole.chunks(size, start=start, end=end):
            yield Chunk(chunk.first, np.ascontiguousarray(chunk.samples[:, self.first : self.last]), chunk.inputs)


def part_of(traces: TraceSet, config: MeasuredLeakageConfig) -> TraceSet:
    """The samples that are looked at.

    Raises:
        CapabilityMissing: none are left, or so many that memory does not hold what is asked of them.
    """
    last = min(config.last or traces.samples, traces.samples)
    if config.first >= last:
        raise CapabilityMissing(
            "no sample is left to look at", found=f"{config.first} to {last}", expected=f"within {traces.samples:,}"
        )
    most = VALUES // (2 * _columns(LEAST_INPUTS, LEAST_STEPS))
    if last - config.first > most:
        raise CapabilityMissing(
            "the traces are too long to be looked at as a whole", found=f"{last - config.first:,} samples",
            expected=f"at most {most:,}",
            next_step="name a part of them: --set measured-leakage.first=N --set measured-leakage.last=M",
        )  # fmt: skip
    return traces if last - config.first == traces.samples else Part(traces, config.first, last)


def fitting(config: MeasuredLeakageConfig, samples: int) -> MeasuredLeakageConfig:
    """The configuration with as many predictions as memory holds for traces of this length."""
    room = VALUES // (2 * samples)
    share = min(1.0, room / _columns(config.inputs, config.steps))
    steps = max(min(LEAST_STEPS, config.steps), int(config.steps * share))
    inputs = max(min(LEAST_INPUTS, config.inputs), min(config.inputs, (room - _columns(0, steps)) // 2))
    return config.model_copy(
        update={"inputs": inputs, "steps": steps, "outputs": max(1, min(config.outputs, room // 4))}
    )


def _columns(inputs: int, steps: int) -> int:
    return 2 * inputs + len(MODELS) * steps
