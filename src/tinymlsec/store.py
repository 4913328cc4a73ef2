"""The run folder: run.json, evidence.jsonl, artifacts by digest, reports.

Evidence is appended and flushed as each attack ends, so a killed run loses at most the attack in flight. Every record
carries its digest: a folder that was changed by hand or damaged is told from one that was merely interrupted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tinymlsec.errors import RunFolderError
from tinymlsec.evidence import Evidence
from tinymlsec.records import SCHEMA_VERSION, VerdictKind
from tinymlsec.run_record import RunRecord
from tinymlsec.small_files import MAX_DEPTH, check_depth, write_atomically

__all__ = [
    "ARTIFACTS", "EVIDENCE_FILE", "LOCK_FILE", "MAX_DEPTH", "MAX_EVIDENCE_BYTES", "MAX_RECORD_BYTES", "RUN_FILE",
    "RunStore", "canonical", "check_depth", "digest_of", "write_atomically",
]  # fmt: skip

R = TypeVar("R", RunRecord, Evidence)

_LEFT_OVER = re.compile(r"\.lock|\.write-probe|\.run\.json\.\d+\.tmp")
"""What a run that was killed before its first record was whole may leave behind."""

MAX_RECORD_BYTES = 32 * 2**20
MAX_EVIDENCE_BYTES = 64 * 2**20
RUN_FILE, EVIDENCE_FILE, ARTIFACTS, LOCK_FILE = "run.json", "evidence.jsonl", "artifacts", ".lock"


def canonical(value: Any) -> bytes:
    """The one JSON text of a value, so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON text of a value."""
    return hashlib.sha256(canonical(value)).hexdigest()


class RunStore:
    """One run folder.

    Args:
        folder: where it is; made when the first record is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def artifacts(self) -> Path:
        """Folder of the files that evidence names by digest."""
        return self.folder / ARTIFACTS

    def exists(self) -> bool:
        """True where a run was begun here."""
        return (self.folder / RUN_FILE).is_file()

    def prepare(self, *, resume: bool) -> bool:
        """Make sure that the folder can be written and does not hold something else.

        Returns:
            True where this call made the folder (and may remove it again if nothing comes of the run).

        Raises:
            RunFolderError: it holds another run or other files, or cannot be written.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise RunFolderError("the run folder is a file", found=str(self.folder), expected="a folder")
        if self.exists() and not resume:
            raise RunFolderError(
                "this folder holds a run already", found=str(self.folder),
                next_step="add --resume to go on with it, or choose another -o RUN_DIR",
            )  # fmt: skip
        made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self.exists() and any(not _LEFT_OVER.fullmatch(path.name) for path in self.folder.iterdir()):
                raise RunFolderError(
                    "this folder holds other files", found=str(self.folder), expected="a new or empty folder, or a run",
                    next_step="choose another -o RUN_DIR",
                )  # fmt: skip
            probe = self.folder / ".write-probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise RunFolderError(
                "the run folder cannot be written", found=f"{self.folder}: {error.strerror}",
                next_step="choose another -o RUN_DIR",
            ) from error  # fmt: skip
        return made

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the lock goes with the process, however it ends.

        Raises:
            RunFolderError: another process is writing this run.
        """
        path = self.folder / LOCK_FILE
        try:
            stream = path.open("ab")
        except OSError as error:
            raise RunFolderError("the run folder cannot be written", found=f"{path}: {error.strerror}") from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunFolderError(
                    "another process is writing this run", found=str(self.folder),
                    next_step="wait until it has ended, or choose another -o RUN_DIR",
                ) from error  # fmt: skip
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def discard_if_empty(self) -> None:
        """Remove a folder in which nothing was recorded."""
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def write_record(self, record: RunRecord) -> None:
        """Write run.json."""
        body = record.model_dump(mode="json")
        text = json.dumps({"sha256": digest_of(body), "run": body}, indent=1, sort_keys=True)
        write_atomically(self.folder / RUN_FILE, text.encode())

    def read_record(self) -> RunRecord:
        """Read run.json.

        Raises:
            RunFolderError: missing, damaged, changed by hand, or of another schema version.
        """
        path = self.folder / RUN_FILE
        if not path.is_file():
            raise RunFolderError(
                "this is not a run folder", found=str(self.folder), expected=f"a folder with {RUN_FILE}",
                next_step="give the folder that tinymlsec assess wrote",
            )  # fmt: skip
        wrapped = _parse(_bounded(path, MAX_RECORD_BYTES), str(path))
        return _checked(wrapped, "run", RunRecord, str(path))

    def append(self, evidence: Evidence) -> None:
        """Append one piece of evidence and flush it to the disk."""
        body = evidence.model_dump(mode="json")
        line = canonical({"sha256": digest_of(body), "evidence": body}) + b"\n"
        try:
            with (self.folder / EVIDENCE_FILE).open("ab") as stream:
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise RunFolderError(
                "evidence cannot be written", found=f"{self.folder}: {error.strerror}",
                next_step="make room, then run again with --resume",
            ) from error  # fmt: skip

    def read_evidence(self, target_digest: str | None = None) -> list[Evidence]:
        """All evidence of this run, in the order in which it was found, each unit of work once.

        Args:
            target_digest: the target of the run; None to leave that unchecked.

        Raises:
            RunFolderError: a line that is damaged, was changed by hand, or speaks of another target.
        """
        found: dict[str, Evidence] = {}
        for number, line in self._lines():
            place = f"{EVIDENCE_FILE} line {number}"
            evidence = _checked(_parse(line, place), "evidence", Evidence, place)
            if target_digest not in (None, evidence.target_digest):
                raise RunFolderError(
                    f"{place} is evidence of another target", found=f"target {evidence.target_digest[:12]}",
                    expected=f"target {str(target_digest)[:12]}, as in {RUN_FILE}", next_step=_EDITED,
                )  # fmt: skip
            earlier = found.get(evidence.key)
            if earlier is None or earlier.verdict.kind is VerdictKind.SKIPPED:  # a resumed run may have run it since
                found.pop(evidence.key, None)
                found[evidence.key] = evidence
        return list(found.values())

    def repair_tail(self) -> None:
        """Drop a last line that was cut while it was written (the run was killed at that moment)."""
        path = self.folder / EVIDENCE_FILE
        if not path.is_file():
            return
        data = _bounded(path, MAX_EVIDENCE_BYTES)
        if data and not data.endswith(b"\n"):
            write_atomically(path, data[: data.rfind(b"\n") + 1])

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        path = self.folder / EVIDENCE_FILE
        if not path.is_file():
            return
        data = _bounded(path, MAX_EVIDENCE_BYTES)
        whole = data[: data.rfind(b"\n") + 1]  # a cut last line is the attack that was in flight
        for number, line in enumerate(whole.splitlines(), start=1):
            if line.strip():
                yield number, line


def _bounded(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise RunFolderError(f"{path.name} is too large", found=f"{path.stat().st_size:,} bytes",
                                 expected=f"at most {limit:,}")  # fmt: skip
        return path.read_bytes()
    except OSError as error:
        raise RunFolderError("the run folder cannot be read", found=f"{path}: {error.strerror}") from error


def _parse(text: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_number)
        check_depth(value)
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{where} is not valid JSON", found=str(error), next_step=_EDITED) from error
    if not isinstance(value, dict):
        raise RunFolderError(f"{where} holds no record", found=type(value).__name__, next_step=_EDITED)
    return value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number that JSON knows")


_EDITED = "the folder was changed after the run; run again into a new folder"


def _checked(wrapped: dict[str, Any], name: str, kind: type[R], where: str) -> R:
    body = wrapped.get(name)
    if not isinstance(body, dict) or wrapped.get("sha256") != digest_of(body):
        raise RunFolderError(
            f"{where} does not match its checksum", found="a record that was changed by hand or damaged",
            next_step=_EDITED,
        )  # fmt: skip
    version = str(body.get("schema_version", ""))
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise RunFolderError(
            f"{where} has another schema version", found=version, expected=f"{SCHEMA_VERSION.partition('.')[0]}.x",
            next_step="use the version of tinymlsec that wrote it",
        )  # fmt: skip
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise RunFolderError(
            f"{where} does not follow the schema", found=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            next_step=_EDITED,
        ) from error  # fmt: skip
