"""The real runtime, always in worker processes.

`OraclePool` starts the workers, `OraclePool.open` loads a model, and the `ModelHandle` it returns runs batches. A
worker that dies, hangs or speaks nonsense ends in an error that says so, and the pool goes on with a new one.

The runtime is TensorFlow Lite Micro as its own Python package; what it computes is what a device computes with the
reference kernels.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import weakref
from collections.abc import Collection, Sequence
from importlib import metadata
from importlib.util import find_spec
from types import TracebackType

import numpy as np

from tinymlsec.errors import BudgetExceeded, OracleError, OracleRejected, UsageError
from tinymlsec.target.oracle_handle import ModelHandle
from tinymlsec.target.oracle_launch import worker_command
from tinymlsec.target.oracle_limits import MIB, Budget, Limits
from tinymlsec.target.oracle_process import Call, Held, Reply, WorkerProcess, wait
from tinymlsec.target.oracle_protocol import VERSION, ProtocolError, clean
from tinymlsec.target.oracle_run import Progress
from tinymlsec.target.oracle_tensors import TensorDetail, parse_details

__all__ = ["Budget", "Limits", "ModelHandle", "OraclePool", "Progress", "TensorDetail", "runtime_available", "versions"]

WHEELS = "the tflite-micro package has wheels for Linux on x86_64 only"


def runtime_available() -> tuple[bool, str]:
    """Whether the runtime is installed, without importing it, and a sentence that says so."""
    if find_spec("tflite_micro") is None:
        return False, f"tflite-micro is not installed; {WHEELS}"
    return True, f"tflite-micro {versions().get('tflite-micro', 'of unknown version')}"


def versions() -> dict[str, str]:
    """Versions of the runtime and of NumPy, for evidence."""
    found = {"numpy": np.__version__}
    with contextlib.suppress(metadata.PackageNotFoundError):
        found["tflite-micro"] = metadata.version("tflite-micro")
    return found


class OraclePool:
    """Worker processes that run models. Use it as a context manager.

    Calls from several threads are taken one after the other.

    Args:
        workers: processes; they start with the first `open`.
        limits: memory, times and sizes.
        budget: budget for all models of this pool.
        command: another worker program that speaks the same protocol; tests use it.

    Raises:
        UsageError: fewer than one worker.
    """

    def __init__(
        self,
        workers: int = 1,
        limits: Limits | None = None,
        *,
        budget: Budget | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        if not 1 <= workers <= 256:
            raise UsageError("the number of oracle workers is out of range", found=str(workers), expected="1 to 256")
        self.limits = limits or Limits()
        self.budget = budget
        self.inferences = 0
        """Inferences asked for so far."""
        self.restarts = 0
        """Workers started in place of ones that had ended."""
        self.closed = False
        self.lock = threading.RLock()
        self.active = False
        self.until = math.inf
        """Moment at which the call in progress must end (monotonic clock)."""
        self.starting = 0.0
        """Seconds of the call in progress that went into starting workers."""
        self._command = command
        self._slots: list[WorkerProcess | None] = [None] * workers
        self._started = False
        self._finalizer = weakref.finalize(self, _end_all, self._slots)

    def __enter__(self) -> OraclePool:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends all workers. May be called twice; handles cannot be used afterwards."""
        self.closed = True
        _end_all(self._slots)

    def renew(self) -> None:
        """Ends all workers; the next call starts new ones.

        A damaged model may write over memory of its worker without crashing it, and the models beside it would answer
        wrongly from then on. Whoever runs a healthy model after damaged ones can rule that out by this call.
        """
        with self.guard(None):
            _end_all(self._slots)
            self._started = False

    @property
    def workers(self) -> int:
        """Number of worker processes."""
        return len(self._slots)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are running."""
        return [w.process.pid for w in self._slots if w is not None and w.alive]

    def open(
        self, model: bytes, *, arena_size: int | None = None, stateful: bool = False, fresh: bool = False
    ) -> ModelHandle:
        """Loads a model.

        Args:
            model: the .tflite file.
            arena_size: bytes of the tensor arena; None for `Limits.arena_for`.
            stateful: the model has variables; every sample or sequence then starts from their initial values.
            fresh: set them back by a new interpreter: the runtime's own reset leaves every variable at its zero point,
                whatever the model's initialization assigns.

        Raises:
            OracleRejected: the runtime refuses the model; the message is the runtime's.
            OracleCrash: the worker died over it.
            OracleTimeout: the runtime did not come to an end.
            OracleError: no runtime on this platform, or a worker that cannot start or breaks the protocol.
            BudgetExceeded: the pool's budget of time is used up.
        """
        handle = ModelHandle(self, bytes(model), arena_size or self.limits.arena_for(len(model)), stateful, fresh)
        if len(model) > self.limits.memory_bytes // 8:
            raise OracleRejected(
                "the model is too large for the worker's memory limit",
                found=f"{len(model) / MIB:.1f} MiB",
                expected=f"at most an eighth of {self.limits.memory_bytes / MIB:.0f} MiB",
            )
        with self.guard(None):
            self.load(self.worker(0), handle)
        return handle

    # -- for ModelHandle and oracle_run ------------------------------------------------------------------------------

    def guard(self, budget: Budget | None) -> _Guard:
        """Holds the pool for one call, and books its time."""
        return _Guard(self, budget)

    def wait(self, busy: Collection[WorkerProcess]) -> tuple[WorkerProcess, Reply]:
        """Waits for one of the workers within the time of the budgets."""
        return wait(busy, self.until)

    def end_busy(self) -> None:
        """Ends workers with a request in flight."""
        for worker in self._slots:
            if worker is not None and worker.call is not None and worker.greeted:
                worker.end()

    def worker(self, slot: int) -> WorkerProcess:
        """The worker of a slot, started or restarted where it must be, and ready for a request."""
        if not self._started:
            self._check_runtime()
            for index in range(len(self._slots)):  # all at once: they import while the first one works
                self._slots[index] = self._launch()
            self._started = True
        worker = self._slots[slot]
        if worker is None or not worker.alive:
            worker = self._restart(slot)
        if not worker.greeted:
            worker.restart_clock()  # it may have been started long before it is first needed
            began = time.monotonic()
            _, reply = wait([worker])
            self._book_start(time.monotonic() - began)
            if reply.header.get("hello") != VERSION:
                raise worker.nonsense(f"expected version {VERSION}, found {clean(reply.header.get('hello'), 40)}")
            worker.greeted = True
        return worker

    def _book_start(self, seconds: float) -> None:
        """Takes the start of a worker out of the time of the call: it is our affair, not the model's."""
        self.starting += seconds
        self.until += seconds

    def _check_runtime(self) -> None:
        if self._command is None:
            available, text = runtime_available()
            if not available:
                step = "run on Linux x86_64, where pip installs it with tinymlsec"
                raise OracleError("the runtime is not available here", found=text, next_step=step)

    def _launch(self) -> WorkerProcess:
        return WorkerProcess(self._command or worker_command(), self.limits)

    def _restart(self, slot: int) -> WorkerProcess:
        previous = self._slots[slot]
        if previous is not None:
            previous.end()
        self.restarts += 1
        if self.restarts > self.limits.restarts:
            raise OracleError(
                "the workers of the runtime died too often",
                found=f"{self.restarts} restarts",
                expected=f"at most {self.limits.restarts}",
                next_step="look at the models that crash it one by one",
            )
        worker = self._slots[slot] = self._launch()
        return worker

    def load(self, worker: WorkerProcess, handle: ModelHandle) -> None:
        """Makes sure that a worker holds a model; evicts others where it must."""
        held = worker.loaded.get(handle.key)
        if held is not None and held.details is not None:
            worker.loaded.move_to_end(handle.key)
            handle.set_details(*held.details)
            return
        request = {"op": "load", "key": handle.key, "arena": handle.arena_size, "evict": self._evict(worker, handle)}
        request["fresh"] = handle.fresh
        request["cpu"] = int(self.limits.seconds_load) + 1
        call = Call(f"load model {handle.digest[:12]}", 0, self.limits.seconds_load)
        worker.post(request, [memoryview(handle.model)], call)
        _, reply = self.wait([worker])
        if reply.failed:
            raise reply.refusal("the runtime refuses the model", self.limits)
        held = worker.loaded[handle.key] = Held(handle.arena_size)
        try:
            if reply.header.get("ok") != "load":
                raise ProtocolError("a reply to another request")
            inputs, outputs = (parse_details(reply.header.get(k), self.limits.sample_bytes) for k in _SIDES)
            handle.set_details(inputs, outputs)
        except ProtocolError as error:
            raise worker.nonsense(str(error)) from None
        held.details = (inputs, outputs)

    def _evict(self, worker: WorkerProcess, handle: ModelHandle) -> list[str]:
        room = self.limits.memory_bytes // 2 - handle.arena_size
        evict = [handle.key] if worker.loaded.pop(handle.key, None) else []
        while worker.loaded and (
            len(worker.loaded) >= self.limits.models_per_worker
            or sum(held.arena_size for held in worker.loaded.values()) > room
        ):
            evict.append(worker.loaded.popitem(last=False)[0])
        return evict


_SIDES = ("inputs", "outputs")


class _Guard:
    """One call on a pool: alone, within its budgets, and without a worker left behind in the middle of a request."""

    def __init__(self, pool: OraclePool, budget: Budget | None) -> None:
        self.pool = pool
        both = (budget, pool.budget)
        self.purses = [b for k, b in enumerate(both) if b is not None and b not in both[:k]]
        self.began = 0.0

    def __enter__(self) -> _Guard:
        self.pool.lock.acquire()
        try:
            self._admit()
        except BaseException:
            self.pool.lock.release()
            raise
        return self

    def _admit(self) -> None:
        if self.pool.closed:
            raise UsageError("the oracle pool is closed", next_step="open the model in a new pool")
        if self.pool.active:
            raise UsageError("the oracle is in use by this very thread", next_step="do not call it out of a callback")
        left = min((purse.remaining_seconds for purse in self.purses), default=math.inf)
        if left <= 0:
            raise BudgetExceeded("the time for the runtime is used up", next_step="raise the seconds of the budget")
        self.began, self.pool.active = time.monotonic(), True
        self.pool.until, self.pool.starting = self.began + left, 0.0

    def take(self, count: int) -> None:
        """Spends inferences of every budget."""
        for purse in self.purses:
            purse.take(count)
        self.pool.inferences += count

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        seconds = time.monotonic() - self.began - self.pool.starting
        for purse in self.purses:
            purse.take_seconds(seconds)
        if kind is not None:
            self.pool.end_busy()
        self.pool.active = False
        self.pool.lock.release()


def _end_all(slots: list[WorkerProcess | None]) -> None:
    for worker in slots:
        if worker is not None:
            worker.end()
