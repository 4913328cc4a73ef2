"""What all statistics over streams of traces share: checked batches, an origin to count from, what never varies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import UsageError
from tinymlsec.traces.traceset import TraceError

HEAD = 256
"""Traces of the first batch that the origin is taken from."""
MEMORY = 2 << 30
"""Largest sum of the arrays that a statistic keeps, in bytes, where nobody says otherwise."""


def checked(array: NDArray[np.generic], what: str, width: int | None) -> NDArray[np.generic]:
    """A batch (b, w) of real numbers of the width that earlier batches had.

    Raises:
        TraceError: other dimensions, another width, or values that are no real numbers.
    """
    if array.ndim != 2 or not array.shape[1]:
        raise TraceError(what, found=f"an array of shape {array.shape}", expected="(traces, columns)")
    if array.dtype.kind not in "biuf":
        raise TraceError(what, found=f"type {array.dtype}", expected="integers or real numbers")
    if width is not None and array.shape[1] != width:
        raise TraceError(f"{what} of another width", found=str(array.shape[1]), expected=f"{width} as before")
    return array


def same_length(count: int, others: int, what: str) -> None:
    """Refuses a batch whose parts do not belong together.

    Raises:
        TraceError: unequal numbers.
    """
    if count != others:
        raise TraceError(f"{what} and traces", found=f"{others} {what}", expected=f"{count}, one for each trace")


def affordable(needed: int, limit: int, shape: str) -> None:
    """Refuses to take more memory than was agreed, before any is taken.

    Raises:
        UsageError: more than the limit.
    """
    if needed > limit:
        raise UsageError(
            f"the statistic would take too much memory: {shape}", found=f"{needed:,} bytes",
            expected=f"at most {limit:,}", next_step="give it fewer samples at a time, such as one layer's",
        )  # fmt: skip


def refuse_infinite(rows: NDArray[np.generic], first: int, what: str) -> None:
    """Names the first value that is no number; called when a sum turned out not to be finite.

    Args:
        rows: (b, w) as they were given.
        first: number of the first trace.
        what: they are.

    Raises:
        TraceError: always.
    """
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        trace, column = bad[0].tolist()
        raise TraceError(
            f"a value of the {what} is no number",
            found=f"{rows[trace, column]} in trace {first + trace}, column {column}",
            expected="finite numbers", next_step="leave the damaged traces out",
        )  # fmt: skip
    raise TraceError(
        f"{what} are too large to add up their squares", found=f"up to {np.abs(rows).max():.3g}",
        expected="at most 1e15", next_step="scale them",
    )  # fmt: skip


def origin(rows: NDArray[np.generic]) -> NDArray[np.float64]:
    """What is subtracted before sums are taken, so that they do not cancel: about the mean of each column.

    Where a column does not vary it is its value exactly, so that it stays exactly zero; where it holds whole numbers it
    is one, so that sums of whole numbers stay exact.

    Args:
        rows: (b, w) first traces, b >= 1.

    Returns:
        (w,)
    """
    made = np.empty(rows.shape[1])
    for _, columns in tiles(1, rows.shape[1], 1, HEAD):  # blocks that stay in the cache
        head = rows[:HEAD, columns].astype(np.float64)
        mean = head.mean(axis=0)
        with np.errstate(invalid="ignore"):
            whole = (head == np.rint(head)).all(axis=0)
            mean = np.where(whole, np.rint(mean), mean)
            made[columns] = np.where((head == head[0]).all(axis=0), head[0], mean)
    return made


class Constants:
    """Which columns have had one value only.

    Only columns that never varied are looked at again, so it costs next to nothing after the first traces.
    """

    def __init__(self) -> None:
        self._value: NDArray[np.generic] | None = None
        self._left: NDArray[np.intp] = np.zeros(0, np.intp)

    def update(self, rows: NDArray[np.generic], which: NDArray[np.intp] | None = None) -> None:
        """Looks at more traces.

        Args:
            rows: (b, w)
            which: numbers of those that count; all by default.
        """
        count = len(rows) if which is None else len(which)
        if not count:
            return
        head = rows[:64] if which is None else rows[which[:64]]
        if self._value is None:
            self._value, self._left = head[0].copy(), np.arange(rows.shape[1])
        self._left = self._left[(head == self._value).all(axis=0)[self._left]]
        for part in range(64, count, 4096):
            if not len(self._left):
                return
            to = np.arange(part, min(part + 4096, count)) if which is None else which[part : part + 4096]
            same = (rows[np.ix_(to, self._left)] == self._value[self._left]).all(axis=0)
            self._left = self._left[same]

    @property
    def values(self) -> NDArray[np.generic]:
        """(w,) of the first trace."""
        assert self._value is not None
        return self._value

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(w,) True where a column never varied; empty before the first trace."""
        made = np.zeros(0 if self._value is None else len(self._value), np.bool_)
        made[self._left] = True
        return made


def tiles(rows: int, columns: int, height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Cuts an array into tiles of at most height x width, row by row."""
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            yield slice(top, min(top + height, rows)), slice(left, min(left + width, columns))
