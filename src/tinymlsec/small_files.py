"""Files of records, without what the records need: whole writes, and JSON that does not nest without end."""

from __future__ import annotations

import os
from pathlib import Path

from tinymlsec.errors import RunFolderError

MAX_DEPTH = 64
"""Deepest nesting of a record; beyond it, writers of JSON give up one after the other."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunFolderError(
            "the run folder cannot be written", found=f"{path}: {error.strerror}", next_step="choose another -o RUN_DIR"
        ) from error


def check_depth(value: object) -> None:
    """A value that is to become a record nests at most `MAX_DEPTH` deep.

    Raises:
        ValueError: it nests deeper.
    """
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} deep")
