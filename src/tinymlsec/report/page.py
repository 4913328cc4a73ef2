"""The page as a whole: what each part of the template is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from tinymlsec.records import VerdictKind
from tinymlsec.report.evidence_view import (
    EvidenceView,
    Ink,
    Limits,
    MetricRow,
    chance_text,
    evidence_view,
    metric_rows,
    reference,
)
from tinymlsec.report.gaps import Gap, gaps_of
from tinymlsec.report.head import Card, cards_of, reproduce_cards
from tinymlsec.report.measurement.page import summary
from tinymlsec.report.text import quantity, short
from tinymlsec.report.threat_view import RequiredView, ThreatView, threat_views
from tinymlsec.report.words import OUTCOMES, STATUSES, VERDICTS, Word

if TYPE_CHECKING:
    from tinymlsec.evidence import Evidence
    from tinymlsec.report.records import Coverage, Report, WorstFinding
    from tinymlsec.run_record import RunRecord

_URGENT = 3
"""Untested threats named below the list of the worst."""
_MOST_FIXES = 8
"""Things to do that one threat lists."""


@dataclass(frozen=True)
class GroupView:
    """One group of the matrix."""

    name: str
    threats: tuple[ThreatView, ...]


@dataclass(frozen=True)
class LayerView:
    """One layer of the matrix."""

    name: str
    groups: tuple[GroupView, ...]

    @property
    def count(self) -> int:
        """Rows of the layer."""
        return sum(len(group.threats) for group in self.groups)


@dataclass(frozen=True)
class WorstView:
    """A finding of the short list with the threat it belongs to."""

    finding: WorstFinding
    threat: ThreatView
    word: Word


@dataclass(frozen=True)
class BarPart:
    """One stretch of the coverage bar."""

    kind: str
    word: str
    count: int
    share: float
    """Percent of the whole."""


@dataclass(frozen=True)
class UnitView:
    """One unit of work in the list at the end."""

    attack: str
    word: Word
    seed: str
    seconds: str
    key: str


@dataclass(frozen=True)
class Page:
    """Everything that the template shows."""

    title: str
    run: RunRecord
    status_notice: str
    trimmed: str
    cards: tuple[Card, ...]
    baseline: tuple[MetricRow, ...]
    chance_text: str
    measured: str
    """What one inference costs on the device, or why that is not shown; empty where nothing was measured."""
    coverage: str
    coverage_bar: tuple[BarPart, ...]
    outcomes: dict[str, int]
    matrix: tuple[LayerView, ...]
    worst: tuple[WorstView, ...]
    urgent: tuple[ThreatView, ...]
    """Untested threats of the highest priority."""
    formula: str
    threats: tuple[ThreatView, ...]
    gaps: tuple[Gap, ...]
    reproduce_cards: tuple[Card, ...]
    units: tuple[UnitView, ...]


def title_of(run: RunRecord) -> str:
    """What the report is about, in one line."""
    subject = short(run.model.name, 60) if run.model else "No model"
    return f"{subject} on {short(run.device_id, 60)}" if run.device_id else subject


def matrix_of(threats: Sequence[ThreatView]) -> tuple[LayerView, ...]:
    """The threats by layer and group; within a group in the order of the catalog."""
    ordered = sorted(threats, key=lambda t: (t.group_number, t.order))
    return tuple(
        LayerView(layer, tuple(GroupView(name, tuple(rows)) for name, rows in groupby(inside, lambda t: t.group)))
        for layer, inside in groupby(ordered, lambda t: t.layer)
    )


def attach_evidence(
    threats: Sequence[ThreatView], evidence: Sequence[Evidence], limits: Limits
) -> tuple[ThreatView, ...]:
    """Each threat with its evidence; evidence that speaks to several is shown in full under the first it names."""
    ink, ids = Ink(limits.plots), {threat.id for threat in threats}

    def views(threat: ThreatView, about: Sequence[Evidence]) -> Iterator[EvidenceView]:
        for item in about:
            home = next(name for name in item.threats if name in ids)
            yield evidence_view(item, home, limits, ink) if home == threat.id else reference(item, home)

    def attached(threat: ThreatView) -> ThreatView:
        about = [e for e in evidence if threat.id in e.threats]
        ran = [e for e in about if e.verdict.kind is not VerdictKind.SKIPPED]
        return threat.with_evidence(tuple(views(threat, ran)), _todo(ran), tuple(_required(threat, about)))

    return tuple(attached(threat) for threat in threats)


def _todo(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """What findings say is to be done, worst first, each once."""
    findings = sorted((f for e in evidence for f in e.findings), key=lambda f: -f.severity.rank)
    return tuple(dict.fromkeys(f.fix for f in findings))[:_MOST_FIXES]


def _required(threat: ThreatView, about: Sequence[Evidence]) -> Iterator[RequiredView]:
    """Each required attack with how it ended."""
    ended = {e.attack: e.verdict for e in about}
    for item in threat.required:
        if verdict := ended.get(item.attack):
            word = VERDICTS[verdict.kind].word.lower()
            yield RequiredView(item.attack, f"{word}: {verdict.reason}" if verdict.reason else word)
        else:
            yield item


def _coverage_bar(coverage: Coverage) -> tuple[BarPart, ...]:
    parts = (
        ("ran", "ran", coverage.ran),
        ("error", "ended in an error", coverage.errors),
        ("skipped", "skipped", coverage.skipped),
        ("open", "not reached", coverage.not_reached),
    )
    return tuple(BarPart(k, word, n, 100 * n / coverage.planned) for k, word, n in parts if n)


def _units(report: Report) -> tuple[UnitView, ...]:
    return tuple(
        UnitView(e.attack, VERDICTS[e.verdict.kind], str(e.seed), quantity(round(e.seconds, 2), ""), e.key)
        for e in report.evidence
    )


def page_of(report: Report, limits: Limits, trimmed: str = "") -> Page:
    """The page of a report.

    Args:
        report: the record.
        limits: how much of everything to show.
        trimmed: what the page says about being shortened; empty where it is not.
    """
    run = report.run
    threats = attach_evidence(threat_views(report.threats), report.evidence, limits)
    by_id = {t.id: t for t in threats}
    return Page(
        title=f"Security assessment: {title_of(run)}",
        run=run,
        status_notice=STATUSES[run.status.value],
        trimmed=trimmed,
        cards=cards_of(run, limits),
        baseline=metric_rows(run.baseline.metrics) if run.baseline else (),
        chance_text=_baseline_chance(run),
        measured=summary(report.measurement) if report.measurement else report.measurement_notice,
        coverage=report.summary.coverage,
        coverage_bar=_coverage_bar(report.summary.attacks),
        outcomes=report.summary.outcomes,
        matrix=matrix_of(threats),
        worst=tuple(WorstView(w, by_id[w.threat], OUTCOMES[w.outcome]) for w in report.summary.worst),
        urgent=tuple(t for t in threats if t.outcome == "untested")[:_URGENT],
        formula=next((t.formula for t in threats if t.formula), ""),
        threats=threats,
        gaps=gaps_of(report, threats, limits),
        reproduce_cards=reproduce_cards(run, limits),
        units=_units(report),
    )


def _baseline_chance(run: RunRecord) -> str:
    if run.baseline is None:
        return ""
    text = chance_text(run.baseline.chance, run.baseline.metrics)
    return f"{text} ({run.baseline.chance_source})" if text and run.baseline.chance_source else text
