"""How a worker process of the oracle is started: command, environment, pipes, and the ties that end it with us."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tinymlsec.target.oracle_limits import Limits

BOOT = (
    "import sys, json; sys.path.insert(0, sys.argv[1]); sys.path += json.loads(sys.argv[2]); "
    "from tinymlsec.target.oracle_worker import main; main(sys.argv[3])"
)
KEEP = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
"""Variables that the worker inherits; the rest of the environment is none of its business."""
THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PIPE_BYTES = 1 << 20


def search_path(packages: Sequence[str] = ("numpy", "tflite_micro", "flatbuffers", "yaml")) -> list[str]:
    """Folders in which this interpreter finds the packages that the worker needs."""
    specs = (find_spec(name) for name in packages)
    origins = (spec.origin for spec in specs if spec is not None and spec.origin is not None)
    return list(dict.fromkeys(str(Path(origin).resolve().parent.parent) for origin in origins))


def worker_command() -> list[str]:
    """How to start a worker: isolated from user site, environment and current folder."""
    root = str(Path(__file__).resolve().parents[2])
    return [sys.executable, "-I", "-B", "-c", BOOT, root, json.dumps(search_path())]


class Launched:
    """A process with non-blocking pipes, a shared counter, and a pipe whose closing ends it.

    Args:
        command: program and arguments; the JSON configuration is appended as the last one.
        limits: the memory limit is handed to the process.
        extra: further file descriptors that it gets.
    """

    def __init__(self, command: Sequence[str], limits: Limits, extra: Sequence[int] = ()) -> None:
        self.owner = os.getpid()
        self._extra = tuple(extra)
        with tempfile.TemporaryFile() as shared:
            shared.truncate(8)
            self._map = mmap.mmap(shared.fileno(), 8)
            self.counter = memoryview(self._map).cast("Q")
            self.process, self._life = self._start(command, limits, shared.fileno())
        streams = (self.process.stdin, self.process.stdout, self.process.stderr)
        self.stdin, self.stdout, self.stderr = (stream.fileno() for stream in streams if stream is not None)
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
            widen(descriptor)

    def _start(self, command: Sequence[str], limits: Limits, shared: int) -> tuple[subprocess.Popen[bytes], int]:
        life_read, life_write = os.pipe()
        config = {"memory": limits.memory_bytes, "life": life_read, "progress": shared, "extra": self._extra}
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
                [*command, json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=tempfile.gettempdir(),
                env={name: os.environ[name] for name in KEEP if name in os.environ} | THREADS,
                pass_fds=(life_read, shared, *self._extra),
                start_new_session=True,  # an interrupt typed at the terminal reaches the parent only
            )
        except BaseException:
            os.close(life_write)
            raise
        finally:
            os.close(life_read)
        return process, life_write

    @property
    def alive(self) -> bool:
        """The process runs, and we hold its pipes."""
        return self._life >= 0 and self.owner == os.getpid() and self.process.poll() is None

    def end(self) -> None:
        """Ends the process at once and reaps it; may be called twice. A forked child only lets go of its copies."""
        if self._life < 0:
            return
        life, self._life = self._life, -1
        os.close(life)
        ours = self.owner == os.getpid()
        if ours:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        if ours:
            self.process.wait()
        self.counter.release()
        self._map.close()


def widen(descriptor: int) -> None:
    """Asks for a larger pipe buffer, which saves wake-ups. Not every system has it or grants it."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
