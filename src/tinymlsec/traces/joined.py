"""Several sets of traces one after the other, such as the segments of one campaign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.traces.traceset import CHUNK, Chunk, TraceError, TraceInfo, TraceSet


@dataclass(frozen=True)
class JoinedTraces:
    """One set made of several.

    Args:
        parts: of equal length of trace and of input, and with the same addresses.
        info: what the whole is; by default what the first part is.

    Raises:
        TraceError: no parts, or such that do not belong together.
    """

    parts: Sequence[TraceSet]
    whole: TraceInfo | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise TraceError("no traces to join")
        first = self.parts[0]
        for number, part in enumerate(self.parts):
            if part.samples != first.samples or not np.array_equal(part.pc, first.pc):
                raise TraceError(
                    f"part {number} has traces of another length or place", found=f"{part.samples} samples",
                    expected=f"{first.samples} samples of the same instructions",
                    next_step="attack the parts apart, or align them first",
                )  # fmt: skip

    @property
    def info(self) -> TraceInfo:
        """What they are."""
        return self.whole or self.parts[0].info

    @property
    def samples(self) -> int:
        """Samples of a trace."""
        return self.parts[0].samples

    @property
    def pc(self) -> NDArray[np.uint32]:
        """(t,) addresses of the instructions; empty where they are not known."""
        return self.parts[0].pc

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """See `TraceSet.chunks`; a chunk never reaches over the end of a part.

        Raises:
            TraceError: a part with other inputs than the first.
        """
        end, before, width = len(self) if end is None else min(end, len(self)), 0, None
        for number, part in enumerate(self.parts):
            first, last = max(start - before, 0), min(end - before, len(part))
            for chunk in part.chunks(size, start=first, end=last) if first < last else ():
                width = chunk.inputs.shape[1] if width is None else width
                if chunk.inputs.shape[1] != width:
                    found = f"{chunk.inputs.shape[1]} bytes each"
                    raise TraceError(f"part {number} has other inputs", found=found, expected=f"{width} bytes each")
                yield Chunk(before + chunk.first, chunk.samples, chunk.inputs)
            before += len(part)
