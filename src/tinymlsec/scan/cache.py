"""Results of scans, kept by what they depend on: the file's bytes, the rules, and the options.

An entry is a report as JSON. What is read back is as untrusted as any file: bounded, and validated before it is used;
an entry that does not fit counts as missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from tinymlsec.cache_folder import cache_folder, made_ours
from tinymlsec.scan.records import FileReport
from tinymlsec.small_files import check_depth

MAX_ENTRY_BYTES = 4 << 20
MAX_ENTRIES = 20_000
"""More are kept in no cache; the oldest go first."""
_PACKAGES = ("rules", "scan", "target")


def code_digest() -> str:
    """SHA-256 of all that decides what a scan finds: our version, the code of readers and rules, their tables, and
    plug-ins."""
    from tinymlsec import __version__
    from tinymlsec.rules.discovery import rule_book

    total = hashlib.sha256(__version__.encode())
    root = Path(__file__).parents[1]
    for package in _PACKAGES:
        for path in _sources(root / package):
            total.update(f"{path[len(str(root)) :]}\0".encode() + Path(path).read_bytes())
    for spec in rule_book().rules.values():
        total.update(f"{spec.id} {spec.severity.value} {spec.module} {spec.provider}\n".encode())
    total.update(_plugins(spec.module for spec in rule_book().rules.values()))
    return total.hexdigest()


def _sources(folder: Path) -> list[str]:
    """Paths of code and tables below a package, in order."""
    return sorted(
        os.path.join(place, name)  # noqa: PTH118 - some hundred paths at each start
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith((".py", ".toml", ".json"))
    )


def _plugins(modules: Iterable[str]) -> bytes:
    """The code of rules that other packages bring."""
    import sys

    total = hashlib.sha256()
    for name in sorted({m for m in modules if not m.startswith("tinymlsec.")}):
        source = getattr(sys.modules.get(name), "__file__", None)
        with contextlib.suppress(OSError):
            total.update(name.encode() + (Path(source).read_bytes() if source else b""))
    return total.digest()


class ScanCache:
    """Reports by key.

    Args:
        common: digest of rules and options, which all keys begin with.
        folder: where they lie; None for the tool's own cache folder.
    """

    def __init__(self, common: str, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "scan"
        self.common = common
        self.usable = made_ours(self._folder)

    def key(self, file_digest: str, name: str) -> str:
        """Key of one file; its name stands in messages and decides what some bytes are taken for."""
        return hashlib.sha256("\x1f".join((self.common, file_digest, name)).encode("utf-8", "replace")).hexdigest()

    def read(self, key: str, file_digest: str) -> FileReport | None:
        """The report of that key, or None where there is none that can be used."""
        if not self.usable:
            return None
        try:
            with self._path(key).open("rb") as stream:
                text = stream.read(MAX_ENTRY_BYTES + 1)
            if len(text) > MAX_ENTRY_BYTES:
                return None
            value = json.loads(text)
            check_depth(value)
            report = FileReport.model_validate(value)
        except (OSError, ValueError, RecursionError, ValidationError):
            return None
        return report if report.sha256 == file_digest and report.error is None else None

    def write(self, key: str, report: FileReport) -> None:
        """Keeps a report; a full disk is no reason to end a scan."""
        if not self.usable:
            return
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            text = json.dumps(report.model_dump(mode="json"), allow_nan=False).encode()
            if len(text) > MAX_ENTRY_BYTES:
                return
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary.write_bytes(text)
            temporary.replace(path)
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def prune(self, limit: int = MAX_ENTRIES) -> int:
        """Removes the oldest entries beyond the limit; returns how many."""
        if not self.usable:
            return 0
        aged = []
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(OSError):
                aged.append((path.stat().st_mtime_ns, path))
        old = sorted(aged)[: max(len(aged) - limit, 0)]
        for _, path in old:
            with contextlib.suppress(OSError):
                path.unlink()
        return len(old)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"
