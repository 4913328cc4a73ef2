"""One piece of evidence as a page shows it: formatted, bounded, and with its curves drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinymlsec.metrics import METRICS
from tinymlsec.report.facts import flatten
from tinymlsec.report.figure_view import PicturesView, SeriesView, pictures_view, series_view
from tinymlsec.report.text import clean, number, quantity, short
from tinymlsec.report.words import DIRECTIONS, VERDICTS, Word, number_of

if TYPE_CHECKING:
    from markupsafe import Markup

    from tinymlsec.evidence import Evidence
    from tinymlsec.records import Control, Curve, CurvePoint, Finding, Location, Metric


@dataclass(frozen=True)
class Limits:
    """How much of everything a page shows; the rest is counted, and stands in report.json."""

    plots: int = 120
    """Drawings in the whole page."""
    rows: int = 40
    """Rows of one table."""
    findings: int = 100
    """Findings of one piece of evidence."""
    text: int = 2000
    """Characters of one text."""


@dataclass
class Ink:
    """What is left of the page's allowance of drawings."""

    plots: int


@dataclass(frozen=True)
class MetricRow:
    """One metric as text."""

    name: str
    label: str
    value: str
    interval: str
    n: str
    direction: str


@dataclass(frozen=True)
class CurveRow:
    """One point of a curve as text."""

    x: str
    y: str
    interval: str
    n: str


@dataclass(frozen=True)
class CurveView:
    """A curve: drawing, and the table that says the same."""

    title: str
    description: str
    x_label: str
    y_label: str
    rows: tuple[CurveRow, ...]
    more_rows: str
    svg: Markup | None
    why_no_plot: str


@dataclass(frozen=True)
class ControlView:
    """A control with its outcome."""

    kind: str
    twin: str
    word: Word
    detail: str


@dataclass(frozen=True)
class FindingView:
    """A finding as text."""

    id: str
    title: str
    message: str
    severity: str
    confidence: str
    where: str
    tags: tuple[str, ...]
    fix: str


@dataclass(frozen=True)
class EvidenceView:
    """Evidence under one threat; in full only where it is shown first."""

    attack: str
    anchor: str
    word: Word
    basis: str
    summary: str
    shown_under: str
    full: bool
    verdict_reason: str = ""
    metrics: tuple[MetricRow, ...] = ()
    more_metrics: str = ""
    chance_text: str = ""
    curves: tuple[CurveView, ...] = ()
    series: tuple[SeriesView, ...] = ()
    pictures: tuple[PicturesView, ...] = ()
    controls: tuple[ControlView, ...] = ()
    no_controls: str = ""
    findings: tuple[FindingView, ...] = ()
    more_findings: str = ""
    limits: tuple[str, ...] = ()
    effort: tuple[tuple[str, str], ...] = ()
    config: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    artifacts: tuple[tuple[str, str], ...] = ()
    reproduce: str = field(default="")


def interval_text(low: float | None, high: float | None, unit: str) -> str:
    """A 95 % interval as text; empty where the value was counted exactly."""
    if low is None or high is None:
        return "exact"
    if unit == "share":
        return f"{100 * low:.1f} to {100 * high:.1f} %"
    return f"{number(low)} to {number(high)}"


def metric_rows(metrics: Iterable[Metric]) -> tuple[MetricRow, ...]:
    """Metrics as rows of a table."""
    return tuple(
        MetricRow(
            name=m.name.replace("_", " "),
            label=m.label,
            value=quantity(m.value, m.unit),
            interval=interval_text(m.low, m.high, m.unit),
            n="" if m.n is None else f"{m.n:,}",
            direction=DIRECTIONS[m.direction],
        )
        for m in metrics
    )


def chance_text(chance: float | None, metrics: Sequence[Metric]) -> str:
    """What a guesser reaches on the main metric, as the end of a caption: the first share, as counts have no chance."""
    if chance is None:
        return ""
    unit = next((m.unit for m in metrics if m.unit == "share"), metrics[0].unit if metrics else "share")
    return f"; a guesser reaches {quantity(chance, unit)}"


def location_text(location: Location) -> str:
    """Where a finding is, in words."""
    parts = [
        (location.path, "{}"),
        (location.op, "operator {}"),
        (location.tensor, "tensor {}"),
        (location.symbol, "symbol {}"),
        (location.file_offset, "file offset 0x{:x}"),
        (location.address, "address 0x{:08x}"),
    ]
    return ", ".join(form.format(short(v) if isinstance(v, str) else v) for v, form in parts if v is not None)


def finding_view(finding: Finding) -> FindingView:
    """A finding as text."""
    return FindingView(
        id=finding.id,
        title=finding.title,
        message=finding.message,
        severity=finding.severity.value,
        confidence=finding.confidence.value,
        where=location_text(finding.location),
        tags=(*finding.cwe, *finding.cve),
        fix=finding.fix,
    )


def curve_view(curve: Curve, prefix: str, limits: Limits, ink: Ink) -> CurveView:
    """A curve as drawing and table; without the drawing where the page's allowance is used up."""
    from tinymlsec.report.plots import describe, thinned

    unit = METRICS[curve.metric].unit
    points = sorted(curve.points, key=lambda p: p.x)
    kept = [points[i] for i in thinned(len(points), limits.rows)]
    left_out = len(points) - len(kept)
    svg, why = _drawing(curve, prefix, ink)
    return CurveView(
        title=curve.title,
        description=describe(curve),
        x_label=curve.x_label,
        y_label=curve.metric.replace("_", " "),
        rows=tuple(_curve_row(p, unit) for p in kept),
        more_rows=f"{number_of(left_out, 'point')} left out here; all are in report.json." if left_out else "",
        svg=svg,
        why_no_plot=why,
    )


def _drawing(curve: Curve, prefix: str, ink: Ink) -> tuple[Markup | None, str]:
    from markupsafe import Markup

    from tinymlsec.report.plots import curve_svg, drawable

    if not drawable(curve):
        return None, "Its numbers fit on no axis; the table has them."
    if ink.plots <= 0:
        return None, "Not drawn to keep this page small; the table has the numbers."
    ink.plots -= 1
    return Markup(curve_svg(curve, prefix)), ""  # noqa: S704 - every text in the drawing is escaped by its maker


def _curve_row(point: CurvePoint, unit: str) -> CurveRow:
    return CurveRow(
        x=f"{point.x:,.6g}",
        y=quantity(point.y, unit),
        interval=interval_text(point.low, point.high, unit),
        n="" if point.n is None else f"{point.n:,}",
    )


def _controls(evidence: Evidence) -> Iterator[ControlView]:
    for control in (evidence.positive_control, evidence.negative_control):
        if control is not None:
            yield _control(control)


def _control(control: Control) -> ControlView:
    worked = Word("worked", "as it must be", "✓", "good", "")
    failed = Word("failed", "not as it must be", "✕", "bad", "")
    what = {"positive": "the known-weak twin must fall", "negative": "the twin without the weakness must stand"}
    numbers = "; ".join(f"{row.name} {row.value}" for row in metric_rows(control.metrics[:4]))
    detail = "; ".join(text.rstrip(".") for text in (what[control.kind], control.detail, numbers) if text)
    return ControlView(control.kind, control.twin, worked if control.succeeded else failed, f"{detail}.")


def _reason(evidence: Evidence) -> str:
    """The reason of the verdict, unless the summary says the same."""
    reason = evidence.verdict.reason
    return "" if reason[:40].lower() in evidence.summary.lower() else reason


def _effort(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    effort = evidence.effort
    time = "" if effort.attacker_seconds is None else quantity(effort.attacker_seconds, "s")
    if time and effort.attacker_seconds_source:
        time += f" ({effort.attacker_seconds_source})"
    rows = (
        ("Queries", f"{effort.queries:,}" if effort.queries else ""),
        ("Traces", f"{effort.traces:,}" if effort.traces else ""),
        ("Faults", f"{effort.faults:,}" if effort.faults else ""),
        ("Attacker's time", time),
        ("Knowledge", effort.knowledge.value),
        ("Expertise", effort.expertise.value.replace("_", " ")),
        ("Equipment", effort.equipment.value),
        ("Devices needed", str(effort.samples)),
        ("Inferences spent here", f"{evidence.inferences:,}"),
        ("Time spent here", quantity(round(evidence.seconds, 2), "s")),
        ("Seed", str(evidence.seed)),
        ("Key", evidence.key),
    )
    return tuple((name, value) for name, value in rows if value)


def _bounded_facts(facts: Mapping[str, Any], limits: Limits) -> tuple[tuple[str, str], ...]:
    rows = list(flatten(facts, limits.rows + 1))
    if len(rows) > limits.rows:
        rows[limits.rows :] = [("…", "Further facts are in report.json.")]
    return tuple((name, clean(value, limits.text // 4)) for name, value in rows)


def reference(evidence: Evidence, shown_under: str) -> EvidenceView:
    """Evidence that another threat shows in full."""
    return EvidenceView(
        attack=evidence.attack,
        anchor=anchor(evidence),
        word=VERDICTS[evidence.verdict.kind],
        basis=evidence.basis.value,
        summary=evidence.summary,
        shown_under=shown_under,
        full=False,
    )


def anchor(evidence: Evidence) -> str:
    """The identifier of the evidence in the page."""
    return f"e-{evidence.key[:16]}"


def evidence_view(evidence: Evidence, shown_under: str, limits: Limits, ink: Ink) -> EvidenceView:
    """Evidence in full.

    Args:
        evidence: the record.
        shown_under: id of the threat under which it stands.
        limits: how much of everything to show.
        ink: the page's allowance of drawings; used up here.
    """
    name = anchor(evidence)
    more = len(evidence.findings) - limits.findings
    more_metrics = len(evidence.metrics) - limits.rows
    controls = tuple(_controls(evidence))
    return EvidenceView(
        attack=evidence.attack,
        anchor=name,
        word=VERDICTS[evidence.verdict.kind],
        basis=evidence.basis.value,
        summary=evidence.summary,
        shown_under=shown_under,
        full=True,
        verdict_reason=_reason(evidence),
        metrics=metric_rows(evidence.metrics[: limits.rows]),
        more_metrics=f"{number_of(more_metrics, 'further metric')} in report.json." if more_metrics > 0 else "",
        chance_text=chance_text(evidence.chance, evidence.metrics),
        curves=tuple(curve_view(c, f"{name}-{i}", limits, ink) for i, c in enumerate(evidence.curves[: limits.rows])),
        series=tuple(
            series_view(item, f"{name}-s{i}", limits.rows, ink) for i, item in enumerate(evidence.series[: limits.rows])
        ),
        pictures=tuple(pictures_view(item, ink) for item in evidence.pictures[: limits.rows]),
        controls=controls,
        no_controls="" if controls else "No controls: nothing was executed that a twin could check.",
        findings=tuple(finding_view(f) for f in evidence.findings[: limits.findings]),
        more_findings=f"{number_of(more, 'further finding')} in report.json." if more > 0 else "",
        limits=evidence.limits[: limits.rows],
        effort=_effort(evidence),
        config=_bounded_facts(evidence.config, limits),
        facts=_bounded_facts(evidence.facts, limits),
        artifacts=tuple(
            (a.name, f"{a.media_type}, {a.size:,} bytes, sha256 {a.sha256}. {a.description}".rstrip())
            for a in evidence.artifacts[: limits.rows]
        ),
        reproduce=evidence.reproduce,
    )
