"""A comparison for the terminal, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tinymlsec.compare.records import Comparison, FindingChange, MetricChange, ThreatChange, VerdictChange
from tinymlsec.records import Metric, Severity
from tinymlsec.report.markdown import escape
from tinymlsec.report.text import clean, quantity

_MOST = 200
"""Lines of one kind; JSON has all."""


def render_text(comparison: Comparison) -> str:
    """All changes, and the counts at the end."""
    lines = [f"a: {clean(comparison.a, 300)}", f"b: {clean(comparison.b, 300)}"]
    for title, items in _sections(comparison):
        if items:
            lines += ["", f"{title}:", *(f"  {clean(item, 600)}" for item in items[:_MOST])]
            lines += [f"  and {len(items) - _MOST} more"] if len(items) > _MOST else []
    return "\n".join([*lines, "", _counts(comparison)]) + "\n"


def render_markdown(comparison: Comparison) -> str:
    """The same in GitHub-flavored Markdown."""
    lines = [f"## Compared: {escape(comparison.a, 200)} and {escape(comparison.b, 200)}", "", _counts(comparison)]
    for title, items in _sections(comparison):
        if items:
            lines += ["", f"### {title[:1].upper()}{title[1:]}", "", *(f"- {escape(item, 600)}" for item in items[:50])]
            lines += [f"- and {len(items) - 50} more"] if len(items) > 50 else []
    return "\n".join(lines) + "\n"


def _sections(comparison: Comparison) -> Iterator[tuple[str, list[str]]]:
    yield "new findings", list(map(_finding, _gravest_first(comparison.new)))
    yield "findings that are gone", list(map(_finding, _gravest_first(comparison.gone)))
    yield "threats", list(map(_threat, comparison.threats))
    yield "metrics that moved beyond their intervals", list(map(_metric, comparison.metrics))
    yield "verdicts", list(map(_verdict, comparison.verdicts))
    yield "notes", list(comparison.notes)


def _gravest_first(items: Iterable[FindingChange]) -> list[FindingChange]:
    return sorted(items, key=lambda item: -item.severity.rank)


def _counts(comparison: Comparison) -> str:
    grave = f" (worst {comparison.worst_new.value})" if comparison.worst_new is not Severity.NONE else ""
    parts = [f"{len(comparison.new)} new{grave}", f"{len(comparison.gone)} gone", f"{comparison.same} the same"]
    if comparison.kind == "run":
        parts += [f"{len(comparison.threats)} threats changed", f"{len(comparison.metrics)} metrics moved"]
    return "findings: " + ", ".join(parts)


def _finding(item: FindingChange) -> str:
    return f"{item.severity.value} {item.rule} in {item.where}: {item.title}. {item.message}".rstrip()


def _threat(item: ThreatChange) -> str:
    outcome = item.outcome_b if item.outcome_a == item.outcome_b else f"{item.outcome_a} -> {item.outcome_b}"
    return f"{item.trend.value} {item.threat} {item.title}: {outcome}, CVSS 4.0 {_span(item.score_a, item.score_b)}"


def _span(a: float | None, b: float | None) -> str:
    old, new = (("none" if value is None else f"{value:.1f}") for value in (a, b))
    return old if old == new else f"{old} -> {new}"


def _metric(item: MetricChange) -> str:
    label = f" ({item.b.label})" if item.b.label else ""
    return f"{item.trend.value} {item.attack} {item.b.name}{label}: {_value(item.a)} -> {_value(item.b)}"


def _value(metric: Metric) -> str:
    text = quantity(metric.value, metric.unit)
    if metric.low is None or metric.high is None:
        return text
    return f"{text} [{quantity(metric.low, metric.unit)}, {quantity(metric.high, metric.unit)}]"


def _verdict(item: VerdictChange) -> str:
    return f"{item.trend.value} {item.attack}: {item.a or 'not run'} -> {item.b or 'not run'}"
