"""Traces whose paths part, laid over one path: the k-th execution of an instruction is the k-th in every trace.

An attacker aligns traces by what repeats in them; here the program counter is known, so the best that alignment can do
is done. What one trace executes and another does not has no value to compare: such samples are left out and counted,
and that paths part is a leak of its own, in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRETCHES = 4
"""Parts of a long window that are looked at, spread over it."""


@dataclass(frozen=True)
class Laid:
    """Traces over the path."""

    signal: NDArray[np.float32]
    """(b, t); 0 where a trace does not come by."""
    everywhere: NDArray[np.bool_]
    """(t,) executed in each of these traces."""
    parted: int
    """Traces on another path."""
    first: int | None
    """Number of the first record at which one of them is elsewhere."""


class Path:
    """The path of a reference run.

    Args:
        pcs: (l,) addresses of its records.
        most: samples that are kept of it.
    """

    def __init__(self, pcs: NDArray[np.uint32], most: int) -> None:
        self.pcs, self.kept = pcs, stretches(len(pcs), most)
        wanted = executions(pcs[None])[0][self.kept]
        self._column = np.argsort(wanted)
        self._sorted = wanted[self._column]

    def lay(
        self,
        signal: NDArray[np.float32],
        pcs: NDArray[np.uint32],
        lengths: NDArray[np.uint32],
        *,
        cut: bool,
    ) -> Laid:
        """Lays traces over the path.

        Args:
            signal: (b, p) by record.
            pcs: (b, p) addresses; 0 behind the end of a trace.
            lengths: (b,) records of each.
            cut: runs end at a limit, so their lengths mean nothing.
        """
        length = len(self.pcs)
        differs = pcs[:, :length] != self.pcs
        same = ~differs.any(axis=1) & np.logical_or(cut, lengths == length)
        made = signal[:, self.kept]
        if same.all():
            return Laid(made, np.ones(len(self.kept), np.bool_), 0, None)
        others = np.flatnonzero(~same)
        present = np.ones(made.shape, np.bool_)
        made[others], present[others] = self._found(signal[others], pcs[others])
        where = np.where(differs[others].any(axis=1), differs[others].argmax(axis=1), length)
        return Laid(made, np.asarray(present.all(axis=0), np.bool_), len(others), int(where.min()))

    def _found(
        self, signal: NDArray[np.float32], pcs: NDArray[np.uint32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        keys = executions(pcs)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        rows, records = np.nonzero((self._sorted[place] == keys) & (pcs != 0))
        columns = self._column[place[rows, records]]
        made = np.zeros((len(signal), len(self.kept)), np.float32)
        present = np.zeros(made.shape, np.bool_)
        made[rows, columns], present[rows, columns] = signal[rows, records], True
        return made, present


def executions(pcs: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """(b, p) keys: the address, and the how-manieth time the trace is there."""
    order = np.argsort(pcs, axis=1, kind="stable")
    ascending = np.take_along_axis(pcs, order, axis=1)
    place = np.broadcast_to(np.arange(pcs.shape[1]), pcs.shape)
    fresh = np.ones(pcs.shape, np.bool_)
    fresh[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    began = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    keys = (ascending.astype(np.uint64) << np.uint64(32)) | (place - began).astype(np.uint64)
    made = np.empty_like(keys)
    np.put_along_axis(made, order, keys, axis=1)
    return made


def stretches(length: int, most: int) -> NDArray[np.int64]:
    """Numbers of at most so many records: all, or stretches from the first to the last one."""
    if length <= most:
        return np.arange(length)
    each = max(1, most // STRETCHES)
    starts = np.linspace(0, length - each, STRETCHES).round().astype(np.int64)
    made: NDArray[np.int64] = np.unique(starts[:, None] + np.arange(each))
    return made
