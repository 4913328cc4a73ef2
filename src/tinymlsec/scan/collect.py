"""Finds the files to scan: folders to their bottom, no way out through symbolic links, an end to everything."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinymlsec.errors import InputError

MAX_FILES = 100_000
MAX_DEPTH = 64
"""Deepest folder below the one that was given."""
LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules"})
"""Folders of tools, which hold copies and compressed data; the report does not name them."""


@dataclass(frozen=True)
class Found:
    """A file to scan."""

    path: Path
    shown: str
    """The path that reports name: relative, with POSIX separators, the same wherever the project lies."""
    size: int
    given: bool
    """The user named this very file."""


@dataclass
class Collected:
    """What was found, in the order of names, and what was left out."""

    files: list[Found] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(shown path, why) of what is no file to scan."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(shown path, why) of what should have been looked at and could not be."""


def collect(paths: Sequence[Path], *, limit: int = MAX_FILES) -> Collected:
    """All files to scan below the given paths.

    A path that is given may be a symbolic link. Inside of a folder none is followed: what lies in the folder is found
    under its own name, and a link that leads out of it is reported.

    Raises:
        InputError: a path does not exist, is neither file nor folder, or there are too many files.
    """
    found = Collected()
    for path in dict.fromkeys(paths):
        status = _status(path)
        if stat.S_ISDIR(status.st_mode):
            _walk(path, _base(path), found, limit)
        elif stat.S_ISREG(status.st_mode):
            found.files.append(Found(path, shown_path(path), status.st_size, given=True))
        else:
            raise InputError("this is neither a file nor a folder", found=str(path), expected="a file or a folder")
        _check_count(found, limit)
    found.files = _told_apart(found.files)
    return found


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read", found=reason, next_step="check the path") from None


def shown_path(path: Path) -> str:
    """The path below the working folder, else the name alone: reports must not depend on where a project lies."""
    whole = _absolute(path)
    return whole.relative_to(Path.cwd()).as_posix() if whole.is_relative_to(Path.cwd()) else whole.name


def _absolute(path: Path) -> Path:
    """Without ``..``, which Path.absolute keeps; links are left as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _base(folder: Path) -> str:
    shown = shown_path(folder)
    return "" if shown == "." else shown


def _walk(top: Path, base: str, found: Collected, limit: int) -> None:
    real_top = top.resolve()
    pending: list[tuple[Path, str, int]] = [(top, base, 0)]
    while pending:
        folder, shown, depth = pending.pop()
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            found.failed.append((shown or ".", f"the folder cannot be read: {error.strerror}"))
            continue
        inner = []
        for entry in listed:
            name = f"{shown}/{entry.name}" if shown else entry.name
            if _is_folder(entry, name, real_top, found):
                inner.append((Path(entry.path), name, depth + 1))
            _check_count(found, limit)
        if inner and depth >= MAX_DEPTH:
            found.failed.append((shown, f"folders nest more than {MAX_DEPTH} deep"))
            inner = []
        pending.extend(reversed(inner))


def _is_folder(entry: os.DirEntry[str], name: str, top: Path, found: Collected) -> bool:
    """True for a folder to look into; everything else is put where it belongs."""
    try:
        if entry.is_symlink():
            if not Path(entry.path).resolve().is_relative_to(top):
                found.skipped.append((name, "a symbolic link that leads out of the folder; not followed"))
            return False
        if entry.is_dir(follow_symlinks=False):
            return entry.name not in LEFT_OUT
        status = entry.stat(follow_symlinks=False)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        found.failed.append((name, f"it cannot be looked at: {getattr(error, 'strerror', None) or error}"))
        return False
    if stat.S_ISREG(status.st_mode):
        found.files.append(Found(Path(entry.path), name, status.st_size, given=False))
    else:
        found.skipped.append((name, "not a regular file"))
    return False


def _check_count(found: Collected, limit: int) -> None:
    if max(len(found.files), len(found.skipped), len(found.failed)) > limit:
        raise InputError(
            "there are too many files to scan", found=f"more than {limit:,}", expected=f"at most {limit:,}",
            next_step="scan the folders that hold models and images, one after the other",
        )  # fmt: skip


def _told_apart(files: list[Found]) -> list[Found]:
    """Each file once; files from outside of the working folder that would show the same name keep their whole path."""
    unique: dict[Path, Found] = {}
    for item in files:
        unique.setdefault(_absolute(item.path), item)
    kept = list(unique.values())
    names = Counter(item.shown for item in kept)
    return [
        item if names[item.shown] == 1 else Found(item.path, item.path.as_posix(), item.size, item.given)
        for item in kept
    ]
