"""The process in which tflite-micro runs, and the only place where it does.

Three changed bytes in a model can crash the runtime, so nothing of value lives here: the process has no user site, a
bare environment, hard limits, and ends itself when its parent is gone. Imports stay at NumPy and the runtime.

Standard input carries requests. Replies go to a private copy of standard output, and standard output itself is pointed
at standard error, so that nothing the runtime prints can be taken for a reply.
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.oracle_protocol import (
    DTYPES,
    MAX_RANK,
    MAX_SCALES,
    MAX_TENSORS,
    PREFIX,
    VERSION,
    ProtocolError,
    pack,
    parse_header,
    unpack_prefix,
)

EXIT_PARENT_GONE = 0
EXIT_PROTOCOL = 3


class Channel:
    """Blocking frames over two file descriptors."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink

    def _read(self, count: int) -> bytearray:
        data = bytearray(count)
        view, done = memoryview(data), 0
        while done < count:
            got = os.readv(self.source, [view[done:]])
            if got == 0:
                os._exit(EXIT_PARENT_GONE)  # end of file: the parent closed the pipe or died
            done += got
        return data

    def receive(self) -> tuple[dict[str, Any], bytearray]:
        """The next request, header and payload."""
        header_bytes, payload_bytes = unpack_prefix(bytes(self._read(PREFIX.size)))
        header = parse_header(bytes(self._read(header_bytes)))
        return header, self._read(payload_bytes)

    def send(self, header: Mapping[str, Any], arrays: tuple[NDArray[Any], ...] = ()) -> None:
        """A reply; arrays must be C-contiguous."""
        parts = [a.reshape(-1).view(np.uint8).data for a in arrays if a.size]
        for part in (memoryview(pack(header, sum(len(p) for p in parts))), *parts):
            done = 0
            while done < len(part):
                done += os.write(self.sink, part[done:])


class Worker:
    """Holds the interpreters that the parent asked for and runs batches on them."""

    def __init__(self, channel: Channel, progress: memoryview, runtime: Any) -> None:
        self.runtime = runtime
        self.channel = channel
        self.progress = progress
        self.models: dict[str, Any] = {}
        self.makers: dict[str, Callable[[], Any]] = {}
        """Models whose state is set back by a new interpreter, because the runtime's reset would leave other values."""
        self.details: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}

    def load(self, request: Mapping[str, Any], payload: bytearray) -> None:
        """Makes an interpreter; evicts those the parent named."""
        for key in request["evict"]:
            self.models.pop(key, None)
            self.makers.pop(key, None)
            self.details.pop(key, None)
        data = bytes(payload)

        def make() -> Any:
            return self.runtime.Interpreter.from_bytes(data, arena_size=request["arena"])

        interpreter = make()
        inputs = describe(interpreter.get_input_details)
        outputs = describe(interpreter.get_output_details)
        self.models[request["key"]] = interpreter
        if request["fresh"]:
            self.makers[request["key"]] = make
        self.details[request["key"]] = (inputs, outputs)
        self.channel.send({"ok": "load", "inputs": inputs, "outputs": outputs})

    def run(self, request: Mapping[str, Any], payload: bytearray) -> None:
        """Invokes once per row; resets state before every ``reset``-th row (0: never)."""
        rows, every = request["n"], request["reset"]
        inputs, outputs = self.details[request["key"]]
        feeds = split(payload, rows, inputs)
        results = [empty(rows, detail) for detail in outputs]
        interpreter, make = self.models[request["key"]], self.makers.get(request["key"])
        if make is not None:
            interpreter = self._run_renewed(make, interpreter, feeds, results, every)
        elif len(feeds) == 1 and len(results) == 1:
            self._run_one(interpreter, feeds[0], results[0], every)
        else:
            self._run_many(interpreter, feeds, results, every)
        for index, result in enumerate(results if rows else ()):
            same_kind(interpreter.get_output(index), result)
        self.channel.send({"ok": "run", "n": rows}, tuple(results))

    def _run_one(self, interpreter: Any, feed: Sequence[Any], result: NDArray[Any], every: int) -> None:
        progress = self.progress  # looked up once: this loop runs 500,000 times a second on the smallest models
        put, invoke, get = interpreter.set_input, interpreter.invoke, interpreter.get_output
        for k, row in enumerate(feed):
            progress[0] = k
            if every and k % every == 0:
                interpreter.reset()
            put(row, 0)
            invoke()
            result[k] = get(0)

    def _run_renewed(
        self,
        make: Callable[[], Any],
        interpreter: Any,
        feeds: list[Sequence[Any]],
        results: list[NDArray[Any]],
        every: int,
    ) -> Any:
        rows = len(feeds[0]) if feeds else len(results[0]) if results else 0
        for first in range(0, rows, every or rows):
            part = slice(first, first + (every or rows))
            interpreter = make() if every else interpreter
            self._run_many(interpreter, [feed[part] for feed in feeds], [r[part] for r in results], 0, first)
        return interpreter

    def _run_many(
        self, interpreter: Any, feeds: list[Sequence[Any]], results: list[NDArray[Any]], every: int, first: int = 0
    ) -> None:
        rows = len(feeds[0]) if feeds else len(results[0]) if results else 0
        for k in range(rows):
            self.progress[0] = first + k
            if every and k % every == 0:
                interpreter.reset()
            for index, feed in enumerate(feeds):
                interpreter.set_input(feed[k], index)
            interpreter.invoke()
            for index, result in enumerate(results):
                result[k] = interpreter.get_output(index)

    def serve(self) -> None:
        """Answers requests until the parent is gone."""
        actions: dict[str, Callable[[Mapping[str, Any], bytearray], None]] = {"load": self.load, "run": self.run}
        while True:
            request, payload = self.channel.receive()
            limit_cpu(request["cpu"])
            try:
                actions[request["op"]](request, payload)
            except ProtocolError:
                raise
            except Exception as error:  # whatever the runtime's binding raises is its answer
                self.channel.send({"error": type(error).__name__, "message": str(error)[:2000]})


def describe(details: Callable[[int], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Shape, type and quantisation of every input or output. The runtime offers no count; it checks the index."""
    found: list[dict[str, Any]] = []
    while len(found) < MAX_TENSORS:
        try:
            detail = details(len(found))
        except IndexError:
            return found
        quantization = detail["quantization_parameters"]
        found.append(
            {
                "shape": [int(d) for d in detail["shape"][: MAX_RANK + 1]],
                "dtype": detail["dtype"].__name__,
                "scale": [float(s) for s in quantization["scales"][:MAX_SCALES]],
                "zero_point": [int(z) for z in quantization["zero_points"][:MAX_SCALES]],
            }
        )
    return found


def split(payload: bytearray, rows: int, inputs: list[dict[str, Any]]) -> list[Sequence[Any]]:
    """Views of the payload, for each input one sequence with an array per row."""
    feeds: list[Any] = []
    offset = 0
    for detail in inputs:
        count = rows * math.prod(detail["shape"])
        flat = np.frombuffer(payload, np.dtype(detail["dtype"]), count, offset)
        offset += flat.nbytes
        if detail["shape"]:
            feeds.append(flat.reshape(rows, *detail["shape"]))
        else:  # indexing would give scalars, and the binding wants arrays
            feeds.append([flat[k : k + 1].reshape(()) for k in range(rows)])
    return feeds


def empty(rows: int, detail: Mapping[str, Any]) -> NDArray[Any]:
    """Room for one output of every row."""
    if detail["dtype"] not in DTYPES:
        raise TypeError(f"output of type {detail['dtype']}")
    return np.empty((rows, *detail["shape"]), detail["dtype"])


def same_kind(output: NDArray[Any], result: NDArray[Any]) -> None:
    """Refuses an output that is not what the details promised, which assignment would have broadcast or cast."""
    if output.shape != result.shape[1:] or output.dtype != result.dtype:
        raise TypeError(f"output is {output.dtype} {output.shape}; announced was {result.dtype} {result.shape[1:]}")


def limit_cpu(seconds: int) -> None:
    """Ends the process after so many further seconds of processor time; a back-stop to the parent's clock."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def confine(memory_bytes: int) -> None:
    """Hard limits that need nothing of the imports still to come."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends


def seal() -> None:
    """Limits for after the imports: no further files, no growing of files, no child processes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def end_with_parent(life: int) -> None:
    """Lets the kernel kill this process as soon as the other end of the ``life`` pipe is closed.

    The kernel signals readiness of the pipe with SIGKILL, which needs neither the interpreter lock nor a thread of
    ours, so it works in the midst of a hanging inference and on a stopped process. (PR_SET_PDEATHSIG would also fire
    when just the *thread* that started us ends.)
    """
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(life, select.POLLIN)
    if poll.poll(0):
        os._exit(EXIT_PARENT_GONE)  # it died before we began to listen


def tflite_micro() -> Any:
    """The runtime of microcontrollers."""
    from tflite_micro import runtime

    return runtime


def main(argument: str) -> None:
    """Entry point."""
    serve_runtime(argument, tflite_micro)


def serve_runtime(argument: str, load_runtime: Callable[[], Any]) -> None:
    """Confines the process, loads a runtime, and answers requests until the parent is gone.

    Args:
        argument: JSON object with ``memory`` (bytes), ``life`` and ``progress`` (file descriptors).
        load_runtime: imports the runtime; called once the limits on memory are in force.
    """
    config = json.loads(argument)
    confine(config["memory"])
    end_with_parent(config["life"])
    channel = Channel(0, os.dup(1))
    os.dup2(2, 1)
    progress = memoryview(mmap.mmap(config["progress"], 8)).cast("Q")
    worker = Worker(channel, progress, load_runtime())
    seal()
    channel.send({"hello": VERSION, "modules": len(sys.modules)})
    try:
        worker.serve()
    except ProtocolError:
        os._exit(EXIT_PROTOCOL)
