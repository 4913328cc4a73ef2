"""Spreads a batch over the workers of a pool.

A batch is cut into contiguous slices, and every idle worker takes the next one. Slices are short enough for progress to
be shown and for the workers to end together; results do not depend on how the batch was cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import UsageError
from tinymlsec.target.oracle_limits import MIB, Budget
from tinymlsec.target.oracle_process import Call, Reply, WorkerProcess
from tinymlsec.target.oracle_tensors import raw, unpack

if TYPE_CHECKING:
    from tinymlsec.target.oracle_handle import ModelHandle

Progress = Callable[[int], None]

SLICE_SECONDS = 0.25
SLICE_BYTES = 8 * MIB
FIRST_SLICE = 32
"""Inferences in a slice as long as nothing is known about the model's speed."""
WORTH_SHARING = 0.005
"""Seconds of work below which a second worker costs more than it brings."""


def run_rows(
    handle: ModelHandle,
    feeds: list[NDArray[Any]],
    unit: int,
    every: int,
    progress: Progress | None,
    budget: Budget | None,
) -> list[NDArray[Any]]:
    """Runs one inference per row.

    Args:
        handle: the model.
        feeds: per input, C-contiguous (rows, *shape).
        unit: rows that must stay together (steps of a sequence).
        every: state is set back before every so many rows; 0 for never.
        progress: called with the number of inferences done since the last call.
        budget: a budget beside that of the pool.

    Returns:
        Per output, (rows, *shape).
    """
    rows = len(feeds[0]) if feeds else 1
    results = _room(handle, rows, unit)
    with handle.pool.guard(budget) as guard:
        guard.take(rows)
        if rows:
            _Batch(handle, feeds, results, unit, every, progress).run()
    return results


def _room(handle: ModelHandle, rows: int, unit: int) -> list[NDArray[Any]]:
    limits = handle.pool.limits
    out_bytes = sum(detail.sample_bytes for detail in handle.outputs)
    piece = unit * (out_bytes + sum(detail.sample_bytes for detail in handle.inputs))
    sizes = (("outputs of this batch are", rows * out_bytes, limits.result_bytes),)
    for what, needed, allowed in (*sizes, ("data of one sequence are", piece, limits.memory_bytes // 4)):
        if needed > allowed:
            raise UsageError(
                f"the {what} larger than allowed",
                found=f"{needed / MIB:.0f} MiB",
                expected=f"at most {allowed / MIB:.0f} MiB",
                next_step="run fewer samples or steps at a time",
            )
    return [np.empty((rows, *detail.shape), detail.dtype) for detail in handle.outputs]


class _Batch:
    """One batch on its way through the workers."""

    def __init__(
        self,
        handle: ModelHandle,
        feeds: list[NDArray[Any]],
        results: list[NDArray[Any]],
        unit: int,
        every: int,
        progress: Progress | None,
    ) -> None:
        self.handle, self.pool = handle, handle.pool
        self.feeds, self.results = feeds, results
        self.unit, self.every, self.progress = unit, every, progress
        self.rows = len(results[0])
        self.row_bytes = sum(d.sample_bytes for d in (*handle.inputs, *handle.outputs))
        self.cursor = 0

    def run(self) -> None:
        """Runs it to the end."""
        idle = [self.pool.worker(slot) for slot in range(self._participants())]
        for worker in idle:
            self.pool.load(worker, self.handle)
        busy: dict[WorkerProcess, tuple[int, int]] = {}
        while idle or busy:
            while idle and self.cursor < self.rows:
                worker = idle.pop()
                busy[worker] = self._post(worker, workers=len(busy) + len(idle) + 1)
            if not busy:
                return
            worker, reply = self.pool.wait(busy)
            first, last = busy.pop(worker)
            self._store(worker, reply, first, last)
            idle.append(worker)
            if self.progress is not None:
                self.progress(last - first)

    def _participants(self) -> int:
        speed = self.handle.seconds_per_inference
        if speed is not None and speed * self.rows < WORTH_SHARING:
            return 1
        return min(self.pool.workers, math.ceil(self.rows / self.unit))

    def _slice(self, workers: int) -> int:
        """Rows of the next slice: a multiple of the unit, at least one unit."""
        speed = self.handle.seconds_per_inference
        rows = FIRST_SLICE if speed is None else int(SLICE_SECONDS / max(speed, 1e-7))
        rows = min(rows, math.ceil((self.rows - self.cursor) / workers), SLICE_BYTES // max(1, self.row_bytes))
        return max(1, rows // self.unit) * self.unit

    def _post(self, worker: WorkerProcess, workers: int) -> tuple[int, int]:
        first = self.cursor
        last = self.cursor = min(self.rows, first + self._slice(workers))
        count, limits = last - first, self.pool.limits
        call = Call(
            step=f"invoke sample {{sample}} of model {self.handle.digest[:12]}",
            payload_bytes=count * sum(d.sample_bytes for d in self.handle.outputs),
            patience=limits.seconds_per_call,
            first_sample=first // self.unit,
            samples=count // self.unit,
            steps_per_sample=self.unit,
        )
        request = {"op": "run", "key": self.handle.key, "n": count, "reset": self.every}
        request["cpu"] = int(min(3600.0, limits.seconds_per_call * count)) + 1
        worker.post(request, [raw(feed[first:last]) for feed in self.feeds], call)
        return first, last

    def _store(self, worker: WorkerProcess, reply: Reply, first: int, last: int) -> None:
        if reply.failed:
            raise reply.refusal(f"the runtime failed at sample {reply.sample}", self.pool.limits)
        if reply.header.get("n") != last - first:
            raise worker.nonsense(f"{last - first} results are due, another number is announced")
        self.handle.seconds_per_inference = reply.seconds / (last - first)
        for result, part in zip(self.results, unpack(reply.payload, last - first, self.handle.outputs), strict=True):
            result[first:last] = part
