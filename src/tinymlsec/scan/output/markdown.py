"""A scan as Markdown that fits into a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Severity
from tinymlsec.report.markdown import code, escape
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
)
from tinymlsec.scan.records import ScanReport

_ROWS, _LINES = 40, 15
LIMIT = 60_000
"""Characters; services refuse comments of more than 65,536."""


def render_markdown(report: ScanReport, fail_on: str) -> str:
    """Counts, findings that count, and what was not looked at; all text from files is escaped.

    Args:
        report: the record.
        fail_on: level named in the head.
    """
    parts = (_head(report, fail_on), _table(report), _accepted(report), _gone(report), _gaps(report))
    text = "\n\n".join("\n".join(lines).rstrip() for part in parts if (lines := list(part))) + "\n"
    return text if len(text) <= LIMIT else text[: text.rindex("\n", 0, LIMIT)] + "\n\nCut here; the JSON has all.\n"


def _head(report: ScanReport, fail_on: str) -> Iterator[str]:
    rows = list(all_rows(report))
    failing = fail_on != "none" and any(
        row.state is State.COUNTS and row.finding.severity.rank >= Severity(fail_on).rank for row in rows
    )
    errors = any(file.error for file in report.files)
    sign = "✕" if failing else "!" if errors else "✓"
    yield f"## {sign} tinymlsec scan: {counted_words(rows) or 'no findings'}"
    yield ""
    device = f", device {code(report.device)}" if report.device else ""
    yield f"{coverage_words(report)}. Runtime {code(report.runtime)}{device}. Fails at: {fail_on}."


def _table(report: ScanReport) -> Iterator[str]:
    rows = sorted(
        (row for row in all_rows(report) if row.state is State.COUNTS), key=lambda row: -row.finding.severity.rank
    )
    if rows:
        yield "| Severity | Rule | File | Place | What |"
        yield "|---|---|---|---|---|"
        yield from map(_row, rows[:_ROWS])
    if len(rows) > _ROWS:
        yield ""
        yield f"And {number_of(len(rows) - _ROWS, 'further finding')}; the other formats have all."


def _row(row: Row) -> str:
    finding = row.finding
    place = place_words(finding.location)
    parts = [code(place, 120)] if place else []
    parts += [code(inside_words(row.inside), 80)] if row.inside else []
    what = f"**{escape(finding.title, 120)}**<br>{escape(finding.message, 400)}<br>Fix: {escape(finding.fix, 300)}"
    cells = (level_word(finding.severity), finding.id, code(row.file.path, 120), "<br>".join(parts), what)
    return f"| {' | '.join(cells)} |"


def _accepted(report: ScanReport) -> Iterator[str]:
    rows = [row for row in all_rows(report) if row.state is State.SUPPRESSED]
    yield from _list(
        "Suppressed", [f"{row.finding.id} in {code(row.file.path, 120)}: {escape(row.note, 300)}" for row in rows]
    )


def _gone(report: ScanReport) -> Iterator[str]:
    found = [f"{item.rule} in {code(item.path, 120)}: {escape(item.title, 200)}" for item in report.gone]
    yield from _list("Gone since the baseline", found)


def _gaps(report: ScanReport) -> Iterator[str]:
    found = [f"{code(file.path, 120)}: {escape(file.error, 400)}" for file in report.files if file.error]
    found += [f"{code(file.path, 120)}: {escape(reason, 300)}" for file, reason in gaps(report)]
    found += [escape(problem, 300) for problem in report.problems]
    yield from _list("Not looked at, and notes", found)


def _list(title: str, items: list[str]) -> Iterator[str]:
    if items:
        yield f"### {title}"
        yield ""
        yield from (f"- {item}" for item in items[:_LINES])
        if len(items) > _LINES:
            yield f"- and {len(items) - _LINES} more"
