"""Longest runs of rows in memory: which places start a row is given; rows lie a fixed stride apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def runs(starts: NDArray[np.bool_], stride: int, shortest: int = 1) -> Iterator[tuple[int, int]]:
    """All maximal runs of rows.

    Args:
        starts: (words,) whether a row of the wanted form starts at a word.
        stride: words from one row to the next.
        shortest: runs of fewer rows are left out.

    Yields:
        (index of the first word, number of rows), by phase and then by place.
    """
    for phase in range(min(stride, len(starts))):
        lane = starts[phase::stride].astype(np.int8)
        edges = np.diff(lane, prepend=np.int8(0), append=np.int8(0))
        first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        long = last - first >= shortest
        for start, end in zip(first[long].tolist(), last[long].tolist(), strict=True):
            yield phase + start * stride, end - start
