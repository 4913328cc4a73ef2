"""A set of traces, whatever it lies in: samples in chunks, inputs beside them, and everything that tells what they are.

for chunk in traces.chunks(10_000):
    chunk.samples   # (b, t) float32
    chunk.inputs    # (b, k) uint8
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tinymlsec.errors import InputError
from tinymlsec.records import Basis, Record

CHUNK = 10_000
"""Traces that are handled at a time where nobody says otherwise."""


class TraceError(InputError):
    """Traces that cannot be used."""


class Noise(Record):
    """What was added to a simulated signal, and how an oscilloscope would blur it."""

    sigma: float = Field(default=0.0, ge=0)
    """Standard deviation of the Gaussian noise of every sample, in units of the leakage model."""
    snr: float | None = None
    """Signal-to-noise ratio it was converted from, once for the whole trace."""
    snr_at: int | None = None
    """Sample at which that ratio holds."""
    low_pass: int = Field(default=1, ge=1, le=1024)
    """Samples that a moving average takes together before noise is added; 1 for none."""
    jitter: int = Field(default=0, ge=0, le=10_000)
    """Largest shift of a trace against the others, in samples; every shift up to it is equally likely."""


class TraceInfo(Record):
    """What a set of traces is."""

    source: str
    """Words for a report: emulated firmware, or the file that was imported."""
    basis: Basis
    """Simulated, or measured."""
    window: str = ""
    """What part of the code the traces show."""
    core: str = ""
    """Core that was emulated."""
    firmware_digest: str = ""
    """SHA-256 of the image."""
    model_digest: str = ""
    """SHA-256 of the model."""
    leakage: str = ""
    """Leakage model with its parameters."""
    noise: Noise = Noise()
    """What was added."""
    seed: int | None = None
    """Of inputs and noise."""
    sampling_hz: float | None = None
    """Of an oscilloscope; None: one sample for each instruction."""


@dataclass(frozen=True)
class Chunk:
    """Some traces."""

    first: int
    """Number of the first one in the set."""
    samples: NDArray[np.float32]
    """(b, t)"""
    inputs: NDArray[np.uint8]
    """(b, k) bytes that were the device's input; k may be 0."""


class TraceSet(Protocol):
    """Any number of traces of equal length. Chunks come in order, and the same every time."""

    @property
    def info(self) -> TraceInfo:
        """What they are."""

    @property
    def samples(self) -> int:
        """Samples of a trace."""

    @property
    def pc(self) -> NDArray[np.uint32]:
        """(t,) address of the instruction of each sample; empty where it is not known."""

    def __len__(self) -> int:
        """Number of traces."""

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """Traces from number `start` to before `end`, at most `size` at a time."""


@dataclass(frozen=True)
class ArrayTraces:
    """Traces in memory.

    Raises:
        TraceError: shapes that do not belong together, or samples that are no numbers.
    """

    info: TraceInfo
    data: NDArray[np.float32]
    """(n, t)"""
    inputs: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """(n, k); none: the inputs are not known."""
    pc: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))

    def __post_init__(self) -> None:
        check_samples(self.data)
        if len(self.inputs) not in (0, len(self.data)):
            raise TraceError("inputs and traces", found=f"{len(self.inputs)} inputs", expected=f"{len(self.data)}")
        if len(self.pc) not in (0, self.data.shape[1]):
            expected = f"one for each of {self.data.shape[1]} samples"
            raise TraceError("addresses", found=f"{len(self.pc)}", expected=expected)

    @property
    def samples(self) -> int:
        """Samples of a trace."""
        return int(self.data.shape[1])

    def __len__(self) -> int:
        return len(self.data)

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """See `TraceSet.chunks`."""
        for first in range(start, min(len(self), len(self) if end is None else end), size):
            to = slice(first, min(first + size, len(self) if end is None else end))
            inputs = self.inputs[to] if len(self.inputs) else np.zeros((len(self.data[to]), 0), np.uint8)
            yield Chunk(first, np.asarray(self.data[to], np.float32), inputs)


def check_samples(data: NDArray[np.generic]) -> None:
    """Refuses what is no array of traces.

    Raises:
        TraceError: dimensions, type, or a value that is no number, with the place of the first one.
    """
    if data.ndim != 2 or not data.size:
        raise TraceError("traces", found=f"an array of shape {data.shape}", expected="(traces, samples), not empty")
    if data.dtype.kind not in "iuf":
        raise TraceError("traces", found=f"type {data.dtype}", expected="integers or real numbers")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        trace, sample = np.argwhere(~np.isfinite(data))[0].tolist()
        raise TraceError(
            "a sample is no number", found=f"{data[trace, sample]} in trace {trace}, sample {sample}",
            expected="finite numbers", next_step="leave the damaged traces out",
        )  # fmt: skip
