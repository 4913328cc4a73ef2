"""The report in short, for a comment on a pull request or a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tinymlsec.records import VerdictKind
from tinymlsec.report.gaps import not_reached
from tinymlsec.report.measurement.page import summary
from tinymlsec.report.page import title_of
from tinymlsec.report.text import clean
from tinymlsec.report.threat_view import ScoreView, ThreatView, threat_views
from tinymlsec.report.words import OUTCOMES, STATUSES, VERDICTS, number_of

if TYPE_CHECKING:
    from tinymlsec.report.records import Report

_MARKUP = re.compile(r"([\\`*\[<|~])")
_EDGE_UNDERSCORE = re.compile(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_REFERENCE = re.compile(r"@|#(?=\d)")
_LIST_LIMIT = 50


def escape(text: str, limit: int = 300) -> str:
    """A text that Markdown shows as it is: no markup, table borders, links, mentions or HTML.

    Args:
        text: anything, from anywhere.
        limit: characters to keep.
    """
    safe = _MARKUP.sub(r"\\\1", clean(text, limit))
    safe = _EDGE_UNDERSCORE.sub(r"\\_", safe)
    # links, mentions and issue numbers are made from plain text, too; these show the same and make none
    safe = _REFERENCE.sub(r"\g<0><!-- -->", safe)
    return safe.replace("://", "&#58;//").replace("www.", "www&#46;")


def code(text: str, limit: int = 80) -> str:
    """A name as a code span that neither it nor a table can end."""
    return "`" + clean(text, limit).replace("`", "'").replace("|", "\\|") + "`"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _score(score: ScoreView | None) -> str:
    return f"{score.score:.1f} {score.severity}" if score else "none"


def _head(report: Report) -> Iterator[str]:
    run = report.run
    yield f"# Security assessment: {escape(title_of(run), 200)}"
    yield ""
    if notice := STATUSES[run.status.value]:
        yield f"> **Not a complete run.** {notice}"
        yield ""
    counts = (f"{report.summary.outcomes[name]} {word.word.lower()}" for name, word in OUTCOMES.items())
    yield f"**Threats:** {', '.join(counts)}."
    yield f"**Coverage:** {report.summary.coverage}"
    yield f"**Device class:** {escape(run.device_class)}. **tinymlsec** {escape(run.tool_version)}."


def _worst(report: Report) -> Iterator[str]:
    yield "## Worst first"
    yield ""
    if not report.summary.worst:
        yield "No threat was demonstrated or indicated. Untested threats are not passed threats."
    for number, item in enumerate(report.summary.worst, start=1):
        word = OUTCOMES[item.outcome]
        yield (
            f"{number}. {word.sign} **{item.threat} {escape(item.title)}** ({word.word.lower()}, "
            f"CVSS 4.0 {item.score:.1f} {item.severity.value}, basis {item.basis.value if item.basis else 'none'}): "
            f"{escape(item.summary)}"
        )
        if item.fix:
            yield f"   First thing to do: {escape(item.fix)}"


def _measured(report: Report) -> Iterator[str]:
    if text := summary(report.measurement) if report.measurement else report.measurement_notice:
        yield "## On the device"
        yield ""
        yield escape(text, 600)


def _threat_row(view: ThreatView) -> str:
    return _row(
        (
            f"{view.id} {escape(view.title, 80)}",
            f"{view.word.sign} {view.word.word}",
            _score(view.v4),
            _score(view.v31),
            escape(view.potential.rating if view.potential else "none"),
            view.priority_text,
            view.basis or "none",
        )
    )


def _threats(views: tuple[ThreatView, ...]) -> Iterator[str]:
    tested = [view for view in views if view.outcome != "untested"]
    yield "## Threats with an outcome"
    yield ""
    if tested:
        yield _row(("Threat", "Outcome", "CVSS 4.0 BTE", "CVSS 3.1 env.", "Attack potential", "Priority", "Basis"))
        yield _row(("---",) * 7)
        yield from map(_threat_row, tested)
        yield ""
    untested = [view.id for view in views if view.outcome == "untested"]
    if untested:
        yield f"Untested, which is not a pass ({len(untested)}, most urgent first): {', '.join(untested)}."


def _skipped(report: Report) -> Iterator[str]:
    silent = (VerdictKind.SKIPPED, VerdictKind.ERROR)
    rows = [
        f"- {VERDICTS[e.verdict.kind].sign} {code(e.attack)} {VERDICTS[e.verdict.kind].word.lower()}: "
        f"{escape(e.verdict.reason)}"
        for e in report.evidence
        if e.verdict.kind in silent
    ]
    rows += [f"- {code(a)} not reached: resume the run" for a in not_reached(report.run, _done(report))]
    rows += [f"- plug-in: {escape(text)}" for text in report.run.plugin_problems]
    if rows:
        yield "## Skipped"
        yield ""
        yield from rows[:_LIST_LIMIT]
        if len(rows) > _LIST_LIMIT:
            yield f"- and {number_of(len(rows) - _LIST_LIMIT, 'further entry').replace('entrys', 'entries')}"


def _done(report: Report) -> list[str]:
    return [item.attack for item in report.evidence]


def render_markdown(report: Report) -> str:
    """The report in short, as GitHub-flavored Markdown.

    Every text that comes from a file or an attack is escaped: it can make no link, mention, image, table cell or HTML.
    """
    views = threat_views(report.threats)
    parts = (_head(report), _worst(report), _threats(views), _measured(report), _skipped(report))
    text = "\n\n".join("\n".join(lines).rstrip() for part in parts if (lines := list(part)))
    return text + "\n"
