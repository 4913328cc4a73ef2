"""The findings of a scan one by one, with their state, as all formats need them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from tinymlsec.records import Finding, Location, Severity
from tinymlsec.scan.judge import was_scanned
from tinymlsec.scan.records import Contained, FileKind, FileReport, ScanReport


class State(StrEnum):
    """Whether a finding counts for --fail-on."""

    COUNTS = "counts"
    KNOWN = "known"
    """The baseline has it."""
    SUPPRESSED = "suppressed"


@dataclass(frozen=True)
class Row:
    """One finding."""

    file: FileReport
    inside: Contained | None
    finding: Finding
    fingerprint: str
    state: State
    note: str = ""
    """Why it is suppressed, and until when."""


def rows_of(file: FileReport) -> list[Row]:
    """Findings of one file, gravest first, then in the order of the file."""
    marks, known = iter(file.fingerprints), frozenset(file.known)
    rows = []
    for part in (None, *file.contained):
        for finding in file.findings if part is None else part.findings:
            mark = next(marks, "")
            rows.append(Row(file, part, finding, mark, State.KNOWN if mark in known else State.COUNTS))
    for item in file.suppressed:
        until = f" (until {item.expires})" if item.expires else ""
        rows.append(Row(file, None, item.finding, item.fingerprint, State.SUPPRESSED, item.reason + until))
    return sorted(rows, key=lambda row: (row.state is State.SUPPRESSED, -row.finding.severity.rank))


def all_rows(report: ScanReport) -> Iterator[Row]:
    """Findings of all files, file by file."""
    for file in report.files:
        yield from rows_of(file)


def place_words(location: Location) -> str:
    """Such as ``operator 3, offset 0x1a40``."""
    parts = [
        (location.subgraph, "subgraph {}"), (location.op, "operator {}"), (location.tensor, "tensor {}"),
        (location.symbol, "{}"), (location.address, "address 0x{:08x}"), (location.file_offset, "offset 0x{:x}"),
    ]  # fmt: skip
    return ", ".join(form.format(value) for value, form in parts if value is not None)


def inside_words(part: Contained) -> str:
    """Such as ``tflite model at 0x8000 (xor:5a)``."""
    hidden = f" ({part.encoding})" if part.encoding else ""
    return f"{part.kind.value} at 0x{part.offset:x}{hidden}"


def level_word(level: Severity) -> str:
    """The severity for people: what has none is a note."""
    return "note" if level is Severity.NONE else level.value


def counted_words(rows: Iterable[Row]) -> str:
    """Such as ``2 critical, 1 medium; 1 suppressed``; empty without findings."""
    rows = list(rows)
    levels = Counter(row.finding.severity for row in rows if row.state is State.COUNTS)
    states = Counter(row.state for row in rows)
    parts = [f"{levels[level]} {level_word(level)}" for level in reversed(Severity) if levels[level]]
    words = ", ".join(parts)
    others = [(State.KNOWN, "in the baseline"), (State.SUPPRESSED, "suppressed")]
    more = ", ".join(f"{states[state]} {text}" for state, text in others if states[state])
    return "; ".join(part for part in (words, more) if part)


def coverage_words(report: ScanReport) -> str:
    """What was looked at and what was not, in one sentence: what was not scanned is not clean."""
    kinds = Counter(file.kind.value for file in report.files if was_scanned(file))
    scanned = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing"
    failed = sum(1 for file in report.files if file.error)
    other = len(report.files) - sum(kinds.values()) - failed
    parts = [f"scanned: {scanned}"]
    if failed:
        parts.append(f"not readable: {failed}")
    if other:
        parts.append(f"no rules for: {other}")
    return "; ".join(parts)


def gaps(report: ScanReport) -> Iterator[tuple[FileReport, str]]:
    """What could not be looked at in files that rules exist for, and files of models that none exist for yet."""
    for file in report.files:
        if file.kind is not FileKind.OTHER:
            for reason in file.skipped:
                yield file, reason
