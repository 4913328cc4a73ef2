"""The findings of an earlier scan, so that a project with many can see the new ones first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from tinymlsec.errors import InputError
from tinymlsec.records import SCHEMA_VERSION, Record
from tinymlsec.scan.records import FileReport, Known, ScanReport
from tinymlsec.small_files import check_depth, write_atomically

R = TypeVar("R", bound=Record)

MAX_BYTES = 64 << 20
MAX_KNOWN = 1_000_000


class Baseline(Record):
    """What is known."""

    schema_version: str = SCHEMA_VERSION
    tool_version: str
    findings: Annotated[tuple[Known, ...], Field(max_length=MAX_KNOWN)]


def findings_of(report: FileReport) -> list[Known]:
    """Its findings as a baseline keeps them; suppressed ones too, since ending a suppression makes nothing new."""
    pairs = [*zip(report.fingerprints, report.all_findings, strict=False)]  # none where nobody made any
    pairs += [(item.fingerprint, item.finding) for item in report.suppressed if item.fingerprint]
    return [
        Known(fingerprint=mark, rule=finding.id, path=report.path, title=finding.title, severity=finding.severity)
        for mark, finding in pairs
    ]


def baseline_of(report: ScanReport) -> Baseline:
    """All findings of a scan."""
    found = tuple(item for file in report.files for item in findings_of(file))
    return Baseline(tool_version=report.tool_version, findings=found)


def write_baseline(report: ScanReport, path: Path) -> Path:
    """Writes the findings of a scan as a baseline."""
    text = json.dumps(baseline_of(report).model_dump(mode="json"), indent=1, sort_keys=True)
    write_atomically(path, text.encode() + b"\n")
    return path


def load_baseline(path: Path) -> Baseline:
    """A baseline from a file, which may also be the JSON report of a scan.

    Raises:
        InputError: the file cannot be read or is neither.
    """
    value = read_json(path, "a baseline, or the JSON report of a scan")
    if "files" in value:
        return baseline_of(as_record(ScanReport, value, path))
    return as_record(Baseline, value, path)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object from a file of unknown origin.

    Raises:
        InputError: the file cannot be read, is too large, or holds something else.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read", found=reason, expected=what) from None
    if len(text) > MAX_BYTES:
        raise InputError(f"{path} is too large", found=f"more than {MAX_BYTES:,} bytes", expected=what)
    try:
        value = json.loads(text)
        check_depth(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON", found=str(error)[:200], expected=what) from None
    if not isinstance(value, dict):
        raise InputError(f"{path} is not {what}", found=type(value).__name__, expected="a JSON object")
    return value


def as_record(kind: type[R], value: dict[str, Any], path: Path) -> R:
    """A JSON object as a record.

    Raises:
        InputError: it does not follow the schema, or is of another major version.
    """
    version = str(value.get("schema_version", ""))[:20]
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise InputError(
            f"{path} has another schema version", found=version or "none", expected=f"{SCHEMA_VERSION[:2]}x",
            next_step="write it again with this version of tinymlsec",
        )  # fmt: skip
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise InputError(f"{path} does not follow the schema", found=f"{place}: {first['msg'][:200]}") from None
