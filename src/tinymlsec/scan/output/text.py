"""A scan for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.report.text import clean
from tinymlsec.report.words import number_of
from tinymlsec.scan.output.rows import (
    Row,
    State,
    all_rows,
    counted_words,
    coverage_words,
    gaps,
    inside_words,
    level_word,
    place_words,
    rows_of,
)
from tinymlsec.scan.records import FileKind, FileReport, ScanReport

_GAPS = 20
"""Lines about what was not looked at; the JSON report has all."""


def render_text(report: ScanReport) -> str:
    """All findings file by file, what was not looked at, and the counts."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: ScanReport) -> Iterator[str]:
    for file in report.files:
        if file.error or file.all_findings or file.suppressed or file.contained:
            yield from _file(file)
            yield ""
    yield from _gaps(report)
    for problem in report.problems:
        yield f"note: {clean(problem, 400)}"
    for item in report.gone:
        yield f"gone: {item.rule} in {clean(item.path, 200)} ({item.severity.value}): {clean(item.title, 200)}"
    device = f", device {clean(report.device, 60)}" if report.device else ""
    yield f"{coverage_words(report)} (runtime {report.runtime}{device})"
    found = counted_words(all_rows(report))
    yield f"findings: {found}" if found else "findings: none"


def _file(file: FileReport) -> Iterator[str]:
    size = "" if file.kind is FileKind.PRODUCT else f", {file.size:,} bytes"
    yield f"{clean(file.path, 300)} ({file.kind.value}{size})"
    if file.error:
        yield f"  NOT SCANNED  {clean(file.error, 600)}"
    for part in file.contained:
        yield f"  contains     {inside_words(part)}, {part.size:,} bytes, sha256 {part.sha256[:16]}"
    previous = ""
    for row in rows_of(file):
        yield from _row(row, previous)
        previous = row.finding.fix


def _row(row: Row, previous: str) -> Iterator[str]:
    """One finding; what to do about it only where the finding before did not say the same."""
    finding = row.finding
    place = place_words(finding.location)
    where = f" [{clean(place, 200)}]" if place else ""
    inside = f" in {inside_words(row.inside)}" if row.inside else ""
    state = {State.COUNTS: "", State.KNOWN: " (in the baseline)", State.SUPPRESSED: " (suppressed)"}[row.state]
    level = level_word(finding.severity).upper()
    yield f"  {level:<9}{finding.id:<11} {clean(finding.title, 200)}{where}{inside}{state}"
    if row.state is State.SUPPRESSED:
        yield f"           accepted: {clean(row.note, 600)}"
        return
    yield f"           {clean(finding.message, 1000)}"
    if finding.cve:
        yield f"           {', '.join(finding.cve[:8])}"
    if finding.fix != previous:
        yield f"           fix: {clean(finding.fix, 600)}"


def _gaps(report: ScanReport) -> Iterator[str]:
    found = [f"not looked at: {clean(file.path, 300)}: {clean(reason, 300)}" for file, reason in gaps(report)]
    yield from found[:_GAPS]
    if len(found) > _GAPS:
        yield f"not looked at: {number_of(len(found) - _GAPS, 'further item')}; the JSON report has all"
