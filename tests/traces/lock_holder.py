"""A process that holds the lock of a set; a module of its own, since a child cannot import a test by its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinymlsec.traces import zarr_store


def hold_lock(path: str, ready: Any, done: Any) -> None:
    """Holds the lock at `path` from `ready` on until `done`, 30 s at most."""
    with zarr_store._locked(Path(path)):
        ready.set()
        done.wait(30)
