"""Makes the report record from what a run folder holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tinymlsec.records import Severity, VerdictKind
from tinymlsec.report.gaps import not_reached
from tinymlsec.report.records import Coverage, Report, Summary, WorstFinding
from tinymlsec.report.threat_view import ThreatView, threat_views
from tinymlsec.report.words import OUTCOMES, number_of

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_records import Measurement
    from tinymlsec.evidence import Evidence
    from tinymlsec.run_record import RunRecord
    from tinymlsec.threat.records import ThreatAssessment

WORST = 3
"""Findings in the short list."""


def build_report(
    run: RunRecord,
    evidence: Sequence[Evidence],
    threats: Sequence[ThreatAssessment],
    measured: tuple[Measurement | None, str] = (None, ""),
) -> Report:
    """The report record of a run.

    Args:
        run: run.json.
        evidence: evidence.jsonl, in its order.
        threats: the assessed threats.
        measured: measurement.json, or why it is not shown.
    """
    views = threat_views(threats)
    counts = Counter(view.outcome for view in views)
    found = [view for view in views if view.found]
    summary = Summary(
        outcomes={name: counts[name] for name in OUTCOMES},
        highest=max((_severity(v) for v in found), key=lambda s: s.rank, default=None),
        attacks=coverage_of(run, evidence),
        coverage=coverage_text(coverage_of(run, evidence)),
        worst=tuple(_finding(view, evidence) for view in found[:WORST]),
    )
    return Report(
        run=run, evidence=tuple(evidence), threats=tuple(threats), summary=summary,
        measurement=measured[0], measurement_notice=measured[1],
    )  # fmt: skip


def worst_findings(report: Report, n: int = WORST) -> tuple[WorstFinding, ...]:
    """The n demonstrated or indicated threats of highest priority.

    Args:
        report: the record.
        n: how many; fewer come back where fewer were found.
    """
    found = [view for view in threat_views(report.threats) if view.found]
    return tuple(_finding(view, report.evidence) for view in found[:n])


def coverage_of(run: RunRecord, evidence: Sequence[Evidence]) -> Coverage:
    """How many of the planned attacks ran."""
    kinds = Counter(item.verdict.kind for item in evidence)
    skipped, errors = kinds[VerdictKind.SKIPPED], kinds[VerdictKind.ERROR]
    missing = len(not_reached(run, [e.attack for e in evidence]))
    return Coverage(
        planned=len(evidence) + missing,
        ran=len(evidence) - skipped - errors,
        inconclusive=kinds[VerdictKind.INCONCLUSIVE],
        skipped=skipped,
        errors=errors,
        not_reached=missing,
    )


def coverage_text(c: Coverage) -> str:
    """The coverage in one sentence that hides nothing."""
    if not c.planned:
        return "No attack was planned."
    parts = [
        f"{c.ran} of {number_of(c.planned, 'planned attack')} ran",
        f"{c.inconclusive} of these did not decide the question" if c.inconclusive else "",
        f"{c.skipped} {_was(c.skipped)} skipped" if c.skipped else "",
        f"{c.errors} ended in an error" if c.errors else "",
        f"{c.not_reached} {_was(c.not_reached)} not reached" if c.not_reached else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _severity(view: ThreatView) -> Severity:
    return Severity.from_score(view.v4.score) if view.v4 else Severity.NONE


def _finding(view: ThreatView, evidence: Iterable[Evidence]) -> WorstFinding:
    behind = [e for e in evidence if view.id in e.threats and e.verdict.kind is VerdictKind.VULNERABLE]
    findings = sorted((f for e in behind for f in e.findings), key=lambda f: -f.severity.rank)
    fixes = [f.fix for f in findings] + list(view.todo) + [f"{d.title}. Declared cost: {d.cost}" for d in view.defenses]
    return WorstFinding.model_validate(
        {
            "threat": view.id,
            "title": view.title,
            "outcome": view.outcome,
            "basis": view.basis or None,
            "severity": _severity(view),
            "score": view.v4.score if view.v4 else 0.0,
            "priority": view.priority,
            "summary": behind[0].summary if behind else view.reason,
            "fix": fixes[0] if fixes else "",
            "evidence": [e.key for e in behind],
        }
    )
