"""A cache of built files by the content they were built from.

One folder per entry: the file and a record with its SHA-256. An entry appears whole, by one rename; what does not
verify is thrown away and built again; the least recently used go first when the cache is full.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinymlsec.cache_folder import cache_folder, made_ours

MAX_CACHE_BYTES = 512 << 20
MAX_FILE_BYTES = 256 << 20
MAX_RECORD_BYTES = 64 << 10
GRACE_SECONDS = 3600.0
"""What was used this recently is kept even in a full cache: a run that goes on may open it again."""

_RECORD = "entry.json"


@dataclass(frozen=True)
class Entry:
    """A built file and what was recorded with it."""

    path: Path
    sha256: str
    """Of the file."""
    facts: Mapping[str, Any]


class BuildCache:
    """The builds in one folder.

    Args:
        folder: where they lie; by default the user's cache folder, or where that cannot be used (not writable, not
            ours) a folder that lives as long as this process.
        most_bytes: bound of the sum of all files.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MAX_CACHE_BYTES) -> None:
        self.folder = _usable(folder or cache_folder() / "builds")
        self._most_bytes = most_bytes

    def find(self, digest: str) -> Entry | None:
        """The entry of a digest, None where it is absent or does not verify (it is then removed)."""
        place = self.folder / digest
        entry = _verified(place)
        if entry is None:
            _discard(place)
        else:
            with contextlib.suppress(OSError):
                os.utime(place / _RECORD)
        return entry

    def keep(self, digest: str, made: Path, facts: Mapping[str, Any]) -> Entry:
        """Moves a file that was built into the cache and returns its entry.

        Where another process was quicker, its entry is returned.

        Args:
            digest: of the content it was built from.
            made: the file; its name is kept.
            facts: plain JSON to record with it.
        """
        fresh = self.folder / f".new-{secrets.token_hex(8)}"
        fresh.mkdir()
        try:
            data = made.read_bytes()
            (fresh / made.name).write_bytes(data)
            record = {"file": made.name, "sha256": hashlib.sha256(data).hexdigest(), "facts": dict(facts)}
            (fresh / _RECORD).write_text(json.dumps(record, sort_keys=True, indent=1), encoding="utf-8")
            entry = self._place(fresh, digest)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._prune()
        return entry

    def _place(self, fresh: Path, digest: str) -> Entry:
        """Renames a complete entry into place, unless a sound one is there already."""
        place = self.folder / digest
        for _ in range(8):
            with contextlib.suppress(OSError):  # a folder that is not empty is not replaced
                fresh.rename(place)
            entry = self.find(digest)
            if entry is not None:
                return entry
        raise OSError(f"{place} cannot be written")

    def _prune(self) -> None:
        """Removes the least recently used until the rest fits, and what writers that died left behind."""
        now, entries, total = time.time(), [], 0
        for place in self.folder.iterdir():
            used, size = _usage(place)
            if place.name.startswith("."):
                if now - used > GRACE_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)
                continue
            entries.append((used, size, place))
            total += size
        for used, size, place in sorted(entries):
            if total <= self._most_bytes or now - used < GRACE_SECONDS:
                break
            _discard(place)
            total -= size


def _verified(place: Path) -> Entry | None:
    """The entry of a folder; None where it is absent or anything about it is wrong."""
    text = _bounded(place / _RECORD, MAX_RECORD_BYTES)
    if text is None:
        return None
    try:
        record = json.loads(text)
        name, sha256, facts = record["file"], record["sha256"], record["facts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not (isinstance(name, str) and isinstance(sha256, str) and isinstance(facts, dict)) or Path(name).name != name:
        return None
    data = _bounded(place / name, MAX_FILE_BYTES)
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        return None
    return Entry(place / name, sha256, facts)


def _bounded(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            data = file.read(most + 1)
    except OSError:
        return None
    return data if len(data) <= most else None


def _discard(place: Path) -> None:
    """Removes an entry at once for others, then its files."""
    old = place.with_name(f".old-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        place.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def _usage(place: Path) -> tuple[float, int]:
    """When an entry was last used, and its size; (0, 0) where it has just been removed by another process."""
    try:
        record = place / _RECORD
        used = (record if record.exists() else place).stat().st_mtime
        return used, sum(file.stat().st_size for file in place.iterdir())
    except OSError:
        return 0.0, 0


def _usable(folder: Path) -> Path:
    """The folder, made where it is missing; libraries are loaded from it, so nobody else may write there."""
    return folder if made_ours(folder) else _private()


@cache
def _private() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tinymlsec-builds-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
