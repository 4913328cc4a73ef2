"""Two assessments: findings, outcomes and scores of threats, metrics, verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tinymlsec.compare.records import (
    Comparison,
    FindingChange,
    MetricChange,
    ThreatChange,
    Trend,
    VerdictChange,
)
from tinymlsec.metrics import Direction
from tinymlsec.records import Metric, VerdictKind

if TYPE_CHECKING:
    from tinymlsec.assessment import Assessment
    from tinymlsec.evidence import Evidence
    from tinymlsec.threat.records import ThreatAssessment

_OUTCOMES = ("not_applicable", "resisted", "untested", "indicated", "demonstrated")
"""From best to worst. Untested stands between: it is neither a pass nor a finding."""
_SCORE_STEP = 0.05
"""Scores have one decimal."""


def compare_runs(a: Assessment, b: Assessment, names: tuple[str, str]) -> Comparison:
    """What changed between two assessments.

    Args:
        a: the earlier one.
        b: the later one.
        names: what to call them.
    """
    before, after = _findings(a), _findings(b)
    return Comparison(
        kind="run", a=names[0], b=names[1],
        new=tuple(after[key] for key in after if key not in before),
        gone=tuple(before[key] for key in before if key not in after),
        same=len(before.keys() & after.keys()),
        threats=tuple(_threats(a.threats, b.threats)),
        metrics=tuple(_metrics(a, b)),
        verdicts=tuple(_verdicts(a.evidence, b.evidence)),
        notes=tuple(_notes(a, b)),
    )  # fmt: skip


def _findings(run: Assessment) -> dict[tuple[str, ...], FindingChange]:
    """Findings by attack, rule, place, and number among those of one place."""
    found: dict[tuple[str, ...], FindingChange] = {}
    seen: Counter[tuple[str, ...]] = Counter()
    for item in run.evidence:
        for finding in item.findings:
            at = finding.location
            named = (at.subgraph, at.op, at.tensor, at.symbol)
            place = named if any(part is not None for part in named) else (at.file_offset, at.address)
            key = (item.attack, finding.id, at.path or "", *(str(part) for part in place))
            found[(*key, str(seen[key]))] = FindingChange(
                rule=finding.id, where=item.attack, title=finding.title, message=finding.message,
                severity=finding.severity,
            )  # fmt: skip
            seen[key] += 1
    return found


def _threats(a: Iterable[ThreatAssessment], b: Iterable[ThreatAssessment]) -> Iterator[ThreatChange]:
    before = {item.threat: item for item in a}
    for item in b:
        old = before.get(item.threat)
        if old is None:
            continue
        score_a, score_b = _score(old), _score(item)
        moved = (score_a is None) != (score_b is None) or abs((score_a or 0) - (score_b or 0)) > _SCORE_STEP
        if old.outcome is item.outcome and not moved:
            continue
        yield ThreatChange(
            threat=item.threat, title=item.title, outcome_a=old.outcome.value, outcome_b=item.outcome.value,
            score_a=score_a, score_b=score_b, severity_b=item.severity,
            trend=_trend_of_threat(old.outcome.value, item.outcome.value, score_a, score_b),
        )  # fmt: skip


def _score(item: ThreatAssessment) -> float | None:
    return item.scorecard.v40_bte.score if item.scorecard else None


def _trend_of_threat(old: str, new: str, score_a: float | None, score_b: float | None) -> Trend:
    """The outcome decides; with the same outcome the score. To and from untested, less or more is known."""
    if old != new:
        if "untested" in (old, new) and "resisted" in (old, new):
            return Trend.CHANGED
        return Trend.WORSE if _OUTCOMES.index(new) > _OUTCOMES.index(old) else Trend.BETTER
    if score_a is None or score_b is None:
        return Trend.CHANGED
    return Trend.WORSE if score_b > score_a else Trend.BETTER


def _metrics(a: Assessment, b: Assessment) -> Iterator[MetricChange]:
    before, after = _metrics_of(a), _metrics_of(b)
    for key, new in after.items():
        old = before.get(key)
        if old is not None and _apart(old, new):
            yield MetricChange(attack=key[0], a=old, b=new, trend=_trend_of_metric(old, new))


def _metrics_of(run: Assessment) -> dict[tuple[str, str, str], Metric]:
    """Metrics by attack, name and label; "no attack" holds those of the unattacked model."""
    found = {("no attack", m.name, m.label): m for m in (run.run.baseline.metrics if run.run.baseline else ())}
    for item in run.evidence:
        found |= {(item.attack, metric.name, metric.label): metric for metric in item.metrics}
    return found


def _apart(a: Metric, b: Metric) -> bool:
    """Their intervals do not touch; a counted value is an interval of one point."""
    a_low, a_high = (a.value, a.value) if a.low is None or a.high is None else (a.low, a.high)
    b_low, b_high = (b.value, b.value) if b.low is None or b.high is None else (b.low, b.high)
    return a_high < b_low or b_high < a_low


def _trend_of_metric(a: Metric, b: Metric) -> Trend:
    if b.direction is Direction.NEUTRAL:
        return Trend.CHANGED
    return Trend.BETTER if (b.value > a.value) is (b.direction is Direction.HIGHER) else Trend.WORSE


def _verdicts(a: Iterable[Evidence], b: Iterable[Evidence]) -> Iterator[VerdictChange]:
    before = {item.attack: item.verdict.kind for item in a}
    after = {item.attack: item.verdict.kind for item in b}
    for attack in sorted(before.keys() | after.keys()):
        old, new = before.get(attack), after.get(attack)
        if old is not new:
            yield VerdictChange(
                attack=attack, a=old.value if old else "", b=new.value if new else "", trend=_trend_of_verdict(old, new)
            )


def _trend_of_verdict(old: VerdictKind | None, new: VerdictKind | None) -> Trend:
    if new is VerdictKind.VULNERABLE:
        return Trend.WORSE
    return Trend.BETTER if (old, new) == (VerdictKind.VULNERABLE, VerdictKind.RESISTANT) else Trend.CHANGED


def _notes(a: Assessment, b: Assessment) -> Iterator[str]:
    for what, old, new in (
        ("versions of tinymlsec", a.run.tool_version, b.run.tool_version),
        ("targets", a.run.target_digest[:12], b.run.target_digest[:12]),
        ("efforts", a.run.request.effort, b.run.request.effort),
        ("seeds", str(a.run.request.seed), str(b.run.request.seed)),
        ("devices", a.run.device_id or "none", b.run.device_id or "none"),
    ):
        if old != new:
            yield f"they are of different {what}: {old} and {new}"
    for label, run in (("first", a), ("second", b)):
        if run.run.status.value != "complete":
            yield f"the {label} is {run.run.status.value}"
