"""The parent's end of an emulator process: started, asked, judged when it is silent or dead."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tinymlsec.emulate.engine import shared
from tinymlsec.errors import CapabilityMissing, MachineError, OracleCrash, OracleError, OracleTimeout
from tinymlsec.target.oracle_launch import search_path
from tinymlsec.target.oracle_limits import MIB, Limits
from tinymlsec.target.oracle_process import Call, Reply, WorkerProcess, wait
from tinymlsec.target.oracle_protocol import VERSION

BOOT = (
    "import sys, json; sys.path.insert(0, sys.argv[1]); sys.path += json.loads(sys.argv[2]); "
    "from tinymlsec.emulate.engine.worker import main; main(sys.argv[3])"
)
PACKAGES = ("numpy", "unicorn", "capstone", "pydantic", "pydantic_core", "typing_extensions", "annotated_types")
MEMORY_BYTES = 6144 * MIB
"""Address space of a worker: the engine reserves a gigabyte for translated code, records are shared memory."""
GRACE_SECONDS = 15.0
"""On top of the limit of a run, before a worker counts as hung."""


@cache
def command() -> list[str]:
    """How to start a worker.

    Raises:
        CapabilityMissing: the emulator is not installed.
    """
    from importlib.util import find_spec

    missing = [name for name in ("unicorn", "capstone") if find_spec(name) is None]
    if missing:
        raise CapabilityMissing(
            "firmware cannot be emulated", found=f"without {' and '.join(missing)}", expected="tinymlsec[firmware]",
            next_step='pip install "tinymlsec[firmware]"',
        )  # fmt: skip
    root = str(Path(__file__).resolve().parents[2])
    return [sys.executable, "-I", "-B", "-c", BOOT, root, json.dumps(search_path(PACKAGES))]


@contextmanager
def sound(op: str) -> Iterator[None]:
    """Around what reads a reply: firmware may have taken the worker over, so nonsense in it is no error of ours."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise MachineError(
            f"the emulator process sent a reply that makes no sense: {op}",
            found=f"{type(error).__name__}: {error}"[:300],
            next_step="treat the firmware as hostile: it may have taken over the emulator",
        ) from error


class Link:
    """One worker process and the memory that is shared with it.

    Raises:
        CapabilityMissing: the emulator is not installed.
        MachineError: the process does not start.
    """

    def __init__(self) -> None:
        started = command()
        descriptor = shared.make()
        try:
            self.shared = shared.Shared(descriptor)
            self.worker = WorkerProcess(started, Limits(memory_bytes=MEMORY_BYTES), (descriptor,))
        finally:
            os.close(descriptor)
        reply = self._reply("start the emulator")
        if reply.header.get("hello") != VERSION:
            self.close()
            raise MachineError("the emulator process speaks another protocol", found=str(reply.header)[:200])
        self.worker.greeted = True

    def ask(
        self, op: str, request: Mapping[str, Any] | None = None, payload: bytes = b"", *, seconds: float = 30.0
    ) -> dict[str, Any]:
        """One request and its answer.

        Raises:
            MachineError: it was refused, or the process died or hung.
        """
        if not self.worker.alive:
            raise MachineError("the emulator process has ended", next_step="make a new machine")
        header = {"op": op, "cpu": int(seconds + GRACE_SECONDS) + 1, **(request or {})}
        self.worker.post(header, [memoryview(payload)], Call(op, 0, seconds + GRACE_SECONDS))
        reply = self._reply(op)
        if reply.failed:
            words = f"{reply.header.get('error')}: {reply.header.get('message')}"
            raise MachineError(f"the emulator refused: {op}", found=words[:500])
        return reply.header

    def _reply(self, op: str) -> Reply:
        try:
            return wait([self.worker])[1]
        except OracleTimeout:
            raise MachineError(f"the emulator did not answer in time: {op}", next_step="raise the time limit") from None
        except OracleCrash as crash:
            found = f"{crash.signal or 'it ended'}; {crash.log[-300:]}".strip("; ")
            step = "treat the firmware as hostile, and report this: it should have been a finding"
            raise MachineError(f"the emulator process died: {op}", found=found, next_step=step) from None
        except OracleError as error:
            raise MachineError(f"the emulator failed: {op}", found=error.message) from None
        except BaseException:
            self.close()  # interrupted in the midst of a reply: nobody could go on with it
            raise

    def close(self) -> None:
        """Ends the process."""
        self.worker.end()
