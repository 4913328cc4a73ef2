"""Paths that end or stop the process that opens them, as a fault in a native library would."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


class Deadly:
    """Kills the process that opens it."""

    name = "deadly.tflite"

    def __fspath__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


class Endless:
    """Never opens."""

    name = "endless.tflite"

    def __fspath__(self) -> str:
        time.sleep(3600)
        return ""


class Broken:
    """Raises what nobody expects."""

    name = "broken.tflite"

    def __fspath__(self) -> str:
        raise AssertionError("unexpected")


def as_path(odd: object) -> Path:
    return odd  # type: ignore[return-value]
