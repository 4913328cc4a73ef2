"""One pass over a set of traces that tells what it is worth and gives it a digest, so that it is read only once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.context import Progress, silent
from tinymlsec.traces.survey import TraceSurvey, survey
from tinymlsec.traces.traceset import CHUNK, Chunk, TraceInfo, TraceSet


@dataclass(frozen=True)
class Looked:
    """What one pass saw."""

    survey: TraceSurvey
    digest: str
    """SHA-256 over samples, inputs, addresses, and what the set says of itself but for the name of its file."""


def look(traces: TraceSet, *, needs_inputs: bool = True, progress: Progress = silent) -> Looked:
    """Goes through a set once.

    Args:
        traces: any set.
        needs_inputs: as for `survey`.
        progress: told how many traces were read.

    Raises:
        TraceError: traces that are damaged or of no use.
    """
    passing = _Hashed(traces, progress)
    seen = survey(passing, needs_inputs=needs_inputs)
    return Looked(seen, passing.digest)


class _Hashed:
    """A set whose traces are hashed as they pass; however they are cut into chunks, the digest is the same."""

    def __init__(self, traces: TraceSet, progress: Progress) -> None:
        self._traces, self._progress = traces, progress
        self._samples, self._inputs = hashlib.sha256(), hashlib.sha256()

    @property
    def info(self) -> TraceInfo:
        return self._traces.info

    @property
    def samples(self) -> int:
        return self._traces.samples

    @property
    def pc(self) -> NDArray[np.uint32]:
        return self._traces.pc

    def __len__(self) -> int:
        return len(self._traces)

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        for chunk in self._traces.chunks(size, start=start, end=end):
            self._samples.update(np.ascontiguousarray(chunk.samples, "<f4").data)
            self._inputs.update(np.ascontiguousarray(chunk.inputs).data)
            yield chunk
            self._progress(chunk.first + len(chunk.samples), len(self), "traces read")

    @property
    def digest(self) -> str:
        """Of everything that has passed."""
        whole = hashlib.sha256(self.info.model_dump_json(exclude={"source"}).encode())
        whole.update(f"{len(self)} x {self.samples}".encode())
        for part in (self._samples.digest(), self._inputs.digest(), np.ascontiguousarray(self.pc, "<u4").tobytes()):
            whole.update(part)
        return whole.hexdigest()
