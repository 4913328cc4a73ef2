"""What a comparison says; to JSON and back."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from tinymlsec.records import SCHEMA_VERSION, Metric, Record, Severity


class Trend(StrEnum):
    """Whether a change is good for the defender."""

    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"
    """Neither can be said."""


class FindingChange(Record):
    """A finding that one side has."""

    rule: str
    where: str
    """Path of the file, or the attack that found it."""
    title: str
    message: str = ""
    severity: Severity


class ThreatChange(Record):
    """A threat whose outcome, score or rating differs."""

    threat: str
    title: str
    outcome_a: str
    outcome_b: str
    score_a: float | None = None
    """CVSS 4.0 BTE."""
    score_b: float | None = None
    severity_b: Severity
    trend: Trend


class MetricChange(Record):
    """A metric that moved beyond the intervals of both runs."""

    attack: str
    a: Metric
    b: Metric
    trend: Trend


class VerdictChange(Record):
    """An attack with another verdict, or one that only one side ran."""

    attack: str
    a: str
    """Empty where the attack did not run."""
    b: str
    trend: Trend


class Comparison(Record):
    """Two runs side by side; a is the earlier one."""

    schema_version: str = SCHEMA_VERSION
    kind: Literal["scan", "run"]
    a: str
    b: str
    new: tuple[FindingChange, ...] = ()
    gone: tuple[FindingChange, ...] = ()
    same: int = Field(default=0, ge=0)
    """Findings that both have."""
    threats: tuple[ThreatChange, ...] = ()
    metrics: tuple[MetricChange, ...] = ()
    verdicts: tuple[VerdictChange, ...] = ()
    notes: tuple[str, ...] = ()
    """What makes the two hard to compare: other versions, other targets, files that one side did not read."""

    @property
    def worst_new(self) -> Severity:
        """The gravest severity of what is new: findings, and threats that were not found before."""
        severities = [item.severity for item in self.new]
        severities += [item.severity_b for item in self.threats if newly_found(item)]
        return max(severities, key=lambda level: level.rank, default=Severity.NONE)


_FOUND = ("demonstrated", "indicated")


def newly_found(change: ThreatChange) -> bool:
    """The threat was found, or was found to more than before."""
    if change.outcome_b not in _FOUND:
        return False
    return change.outcome_a not in _FOUND or (change.outcome_a, change.outcome_b) == ("indicated", "demonstrated")
