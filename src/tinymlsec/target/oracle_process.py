"""One worker process of the oracle, seen from the parent: ask it, read its answer, judge its silence or death.

The parent never trusts the worker. Sizes are compared with what was asked before anything is kept, what the runtime
prints is held in a ring of bounded size, and every wait has an end.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import subprocess
import time
import weakref
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinymlsec.errors import BudgetExceeded, OracleCrash, OracleError, OracleRejected, OracleTimeout
from tinymlsec.target.oracle_launch import Launched
from tinymlsec.target.oracle_limits import MIB, Limits
from tinymlsec.target.oracle_protocol import PREFIX, ProtocolError, clean, pack, parse_header, unpack_prefix
from tinymlsec.target.oracle_tensors import TensorDetail

LOG_BYTES = 16 * 1024
READ_BYTES = 1 << 18


@dataclass
class Call:
    """A request in flight."""

    step: str
    """What was asked, for messages; ``{sample}`` stands for the sample in work."""
    payload_bytes: int
    """Exact size of the payload of a reply that is not an error."""
    patience: float
    """Seconds without progress after which the worker counts as hung."""
    first_sample: int = 0
    samples: int = 0
    steps_per_sample: int = 1
    began: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    """Moment at which progress was last seen."""
    seen: int = 0
    """Progress that was last seen."""

    @property
    def deadline(self) -> float:
        """Moment at which even a worker that shows progress has taken too long."""
        return self.began + self.patience * max(1, self.samples * self.steps_per_sample) + 1


@dataclass
class Held:
    """A model that a worker holds."""

    arena_size: int
    details: tuple[tuple[TensorDetail, ...], tuple[TensorDetail, ...]] | None = None
    """Its inputs and outputs; None where they were not acceptable."""


@dataclass
class Reply:
    """A complete reply."""

    header: dict[str, Any]
    payload: bytearray
    seconds: float
    log: str
    sample: int
    """The sample in work when the reply was sent."""

    @property
    def failed(self) -> bool:
        """The worker says that the request failed."""
        return "error" in self.header

    def refusal(self, what: str, limits: Limits) -> OracleRejected:
        """The error that a failed reply stands for, in the runtime's words: what it printed and what it raised."""
        said = clean(f"{self.header.get('error')}: {self.header.get('message')}", 500)
        if self.header.get("error") == "MemoryError":
            most = f"at most {limits.memory_bytes / MIB:.0f} MiB"
            step = "raise the memory limit of the oracle"
            return OracleRejected(f"{what}: out of memory", found=said, expected=most, next_step=step)
        printed = "; ".join(line for line in self.log.splitlines()[-6:] if line.strip())
        step = "tinymlsec scan --facts shows what the file asks for"
        return OracleRejected(f"{what}: {printed or said}", found=said if printed else None, next_step=step)


class WorkerProcess(Launched):
    """A worker process that answers one request at a time.

    Args:
        command: program and arguments; the JSON configuration is appended.
        limits: memory and times.
        extra: further file descriptors that it gets.
    """

    def __init__(self, command: Sequence[str], limits: Limits, extra: Sequence[int] = ()) -> None:
        super().__init__(command, limits, extra)
        self.loaded: OrderedDict[str, Held] = OrderedDict()
        """Models that the worker holds by key, least recently used first."""
        self.call: Call | None = Call("start the worker", 0, limits.start_seconds)
        self.outgoing: list[memoryview] = []
        self._incoming = bytearray()
        self._header: dict[str, Any] | None = None
        self._sizes: tuple[int, int] | None = None
        self._log = bytearray()
        self.greeted = False
        _LIVE.add(self)

    def post(self, header: Mapping[str, Any], payload: Sequence[memoryview], call: Call) -> None:
        """Makes a request the one in flight; `wait` sends it."""
        assert self.call is None, "the previous reply has not been taken"
        self._log.clear()
        self.counter[0] = 0
        self.outgoing = [memoryview(pack(header, sum(len(p) for p in payload))), *(p for p in payload if len(p))]
        self.call = call

    def restart_clock(self) -> None:
        """Counts the time of the request in flight from now on."""
        if self.call is not None:
            self.call.began = self.call.moved = time.monotonic()

    def write(self) -> None:
        """Sends as much of the request as the pipe takes."""
        try:
            sent = os.writev(self.stdin, self.outgoing[:8])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.outgoing = []  # the worker is gone; its closed output will tell how
            return
        while self.outgoing and sent >= len(self.outgoing[0]):
            sent -= len(self.outgoing.pop(0))
        if sent:
            self.outgoing[0] = self.outgoing[0][sent:]

    def read(self) -> Reply | None:
        """Takes what the worker wrote; the reply once it is complete.

        Raises:
            OracleCrash: the worker is gone.
            OracleError: the reply breaks the protocol.
        """
        assert self.call is not None
        try:
            data = os.read(self.stdout, READ_BYTES)
        except BlockingIOError:
            return None
        if not data:
            raise self.death()
        self._incoming += data
        try:
            return self._take(self.call)
        except ProtocolError as error:
            raise self.nonsense(str(error)) from None

    def _take(self, call: Call) -> Reply | None:
        buffer = self._incoming
        if self._sizes is None:
            if len(buffer) < PREFIX.size:
                return None
            self._sizes = unpack_prefix(bytes(buffer[: PREFIX.size]))
            if self._sizes[1] not in (0, call.payload_bytes):
                raise ProtocolError(f"payload of {self._sizes[1]} bytes; {call.payload_bytes} bytes are due")
            del buffer[: PREFIX.size]
        header_bytes, payload_bytes = self._sizes
        if len(buffer) < header_bytes + payload_bytes:
            return None
        if len(buffer) > header_bytes + payload_bytes:
            raise ProtocolError(f"{len(buffer) - header_bytes - payload_bytes} bytes follow the reply")
        header = parse_header(bytes(buffer[:header_bytes]))
        if "error" not in header and payload_bytes != call.payload_bytes:
            raise ProtocolError(f"payload of {payload_bytes} bytes; {call.payload_bytes} bytes are due")
        del buffer[:header_bytes]
        return self._complete(header, call)

    def _complete(self, header: dict[str, Any], call: Call) -> Reply:
        self.drain_log()
        sample, payload = self.sample, self._incoming
        self._incoming, self._sizes, self.call = bytearray(), None, None
        return Reply(header, payload, time.monotonic() - call.began, self.log, sample)

    def drain_log(self) -> bool:
        """Takes what the runtime printed and keeps the end of it; False once the worker has closed that pipe."""
        for _ in range(16):  # bounded: a worker that prints without end must not hold us here
            try:
                data = os.read(self.stderr, READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._log += data
            del self._log[:-LOG_BYTES]
        return True

    @property
    def log(self) -> str:
        """The last lines that the runtime printed since the request."""
        return clean(self._log.decode(errors="replace"), LOG_BYTES)

    @property
    def sample(self) -> int:
        """The sample in work, by the shared counter. The worker may write anything there, so it is bounded."""
        call = self.call
        if call is None or not call.samples:
            return 0
        return call.first_sample + min(self.counter[0] // call.steps_per_sample, call.samples - 1)

    @property
    def where(self) -> str:
        """What the worker was doing."""
        return "" if self.call is None else self.call.step.replace("{sample}", str(self.sample))

    def remaining(self, now: float) -> float:
        """Seconds until the worker counts as hung."""
        call = self.call
        assert call is not None
        if self.counter[0] != call.seen:
            call.seen, call.moved = self.counter[0], now
        return min(call.moved + call.patience, call.deadline) - now

    def nonsense(self, what: str) -> OracleError:
        """Ends a worker whose reply breaks the protocol; the error to raise."""
        where = self.where
        self.end()
        return OracleError(
            f"the worker of the runtime sent a reply that breaks the protocol: {clean(what, 300)}",
            found=f"while asked to {where}" if where else None,
            next_step="treat the model file as hostile: it may have taken over the runtime",
        )

    def hang(self) -> OracleError:
        """Ends a worker that ran out of time; the error to raise."""
        assert self.call is not None
        where, patience = self.where, self.call.patience
        self.end()
        return OracleTimeout(
            f"the runtime did not answer in time: {where}",
            expected=f"progress within {patience:g} s",
            next_step="raise the time limit, or treat the model file as hostile",
        )

    def death(self) -> OracleError:
        """Reaps a worker that closed its pipe; the error to raise."""
        where = self.where
        try:
            code: int | None = self.process.wait(2)
        except subprocess.TimeoutExpired:
            code = None
        self.drain_log()
        log = self.log
        self.end()
        return verdict_on_exit(code, where, log, greeted=self.greeted)

    def end(self) -> None:
        """Ends the process at once and reaps it."""
        super().end()
        self.call = None
        self.loaded.clear()


def verdict_on_exit(code: int | None, where: str, log: str, *, greeted: bool) -> OracleError:
    """The error that an exit status stands for.

    Args:
        code: as in subprocess, negative for a signal; None when the process had closed its pipe but lived on.
        where: what it had been asked to do.
        log: what it printed.
        greeted: it had started properly.
    """
    name = signal_name(code)
    if not greeted:
        last = log.splitlines()[-1] if log else "nothing printed"
        found = f"{name or f'exit status {code}'}; {clean(last, 300)}"
        return OracleError("the worker of the runtime did not start", found=found, next_step="run: tinymlsec doctor")
    if name == "SIGXCPU":
        return OracleTimeout(f"the runtime used up its processor time: {where}", found=name)
    how = f"was ended by {name}" if name else f"ended with exit status {code}"
    return OracleCrash(f"the process of the runtime {how}: {where}", signal=name, last_step=where, log=log)


def signal_name(code: int | None) -> str | None:
    """SIGSEGV for -11, and so on; None for an exit without a signal."""
    if code is None or code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def wait(busy: Collection[WorkerProcess], until: float = math.inf) -> tuple[WorkerProcess, Reply]:
    """Moves bytes to and from all busy workers until one of them has answered.

    Args:
        busy: workers with a request in flight.
        until: moment (monotonic clock) at which the caller's time is used up.

    Raises:
        BudgetExceeded: ``until`` has passed; the workers are left as they are.
        OracleCrash, OracleTimeout, OracleError: one of them died, hung or spoke nonsense; it has been ended.
    """
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            selector.register(worker.stdout, selectors.EVENT_READ, (worker, "read"))
            selector.register(worker.stderr, selectors.EVENT_READ, (worker, "log"))
            if worker.outgoing:
                selector.register(worker.stdin, selectors.EVENT_WRITE, (worker, "write"))
        while True:
            for key, _ in selector.select(_patience(busy, until)):
                worker, kind = key.data
                if kind == "read":
                    reply = worker.read()
                    if reply is not None:
                        return worker, reply
                elif kind == "log":
                    if not worker.drain_log():
                        selector.unregister(key.fileobj)
                else:
                    worker.write()
                    if not worker.outgoing:
                        selector.unregister(key.fileobj)


def _patience(busy: Collection[WorkerProcess], until: float) -> float:
    """Seconds to wait before the clock and the progress counters are looked at again."""
    now = time.monotonic()
    if now >= until:
        raise BudgetExceeded("the time for the runtime is used up", next_step="raise the seconds of the budget")
    pause = min(60.0, until - now)
    for worker in busy:
        left = worker.remaining(now)
        if left <= 0:
            raise worker.hang()
        assert worker.call is not None
        pause = min(pause, left, worker.call.patience / 4)
    return pause


_LIVE: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child: close our copies of the pipes, or workers would outlive the parent by us."""
    for worker in list(_LIVE):
        worker.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
