"""What scoring hands on: scores with their reasons, attack potential, priority, outcome. All go to JSON and back."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from tinymlsec.records import AttackId, Basis, Digest, Record, Severity, ThreatId
from tinymlsec.target.device_facts import DeviceClass
from tinymlsec.threat.entries import LayerId, Slug


class ThreatOutcome(StrEnum):
    """What is known about a threat after a run."""

    DEMONSTRATED = "demonstrated"
    """An attack succeeded, with basis executed, measured or simulated."""
    INDICATED = "indicated"
    """Only static or declared evidence says vulnerable."""
    RESISTED = "resisted"
    """Every required attack ran and is resistant."""
    NOT_APPLICABLE = "not_applicable"
    """The device class has no base vector for it."""
    UNTESTED = "untested"
    """Anything else; the reason says how many of the required attacks ran."""


class Outcome(Record):
    """Outcome of a threat, with what it rests on."""

    kind: ThreatOutcome
    reason: str
    basis: Basis | None = None
    """The strongest basis among the supporting evidence; absent where there is none."""
    supporting: tuple[Digest, ...] = ()
    """Keys of the evidence that decides, or of all that ran where nothing does."""
    required_run: tuple[AttackId, ...] = ()
    """Required attacks that ran to vulnerable, resistant or inconclusive."""
    required_open: tuple[AttackId, ...] = ()
    """Required attacks that did not run, were skipped, ended in an error, or do not exist yet."""


class Change(Record):
    """One metric that facts or evidence set."""

    version: Literal["3.1", "4.0"]
    metric: str
    """Modified base metric, requirement, or E."""
    before: str
    """Value of the base vector; X where it was not defined."""
    after: str
    rule: str
    """Id of the rule; several rules may ask for the same value, each has its own entry."""
    reason: str
    fact: str
    """The facts that decided, with their values."""


class Score(Record):
    """A CVSS vector with its score."""

    vector: str
    score: float = Field(ge=0, le=10)
    severity: Severity


class ScoreCard(Record):
    """All scores of one threat on one device in one deployment. CVSS 3.1 and 4.0 are never ranked together."""

    threat: ThreatId
    device_class: DeviceClass
    why: str
    """Why the device class has this base vector."""
    v31_base: Score
    v31_environmental: Score
    v40_b: Score
    """CVSS-B of version 4.0: base metrics alone."""
    v40_bte: Score
    """CVSS-BTE of version 4.0: base, threat and environmental metrics."""
    exploit_maturity: Literal["X", "A", "P", "U"]
    """E of CVSS 4.0, set by evidence alone."""
    changes: tuple[Change, ...] = ()


class Factor(Record):
    """One factor of attack potential."""

    name: Literal["elapsed time", "expertise", "knowledge", "window of opportunity", "equipment"]
    value: str
    points: int = Field(ge=0)
    reason: str


class Rating(StrEnum):
    """Attack potential needed, in the steps of the CEM, least first."""

    BASIC = "basic"
    ENHANCED_BASIC = "enhanced-basic"
    MODERATE = "moderate"
    HIGH = "high"
    BEYOND_HIGH = "beyond-high"


class Potential(Record):
    """What an attacker must bring, in points; beside CVSS, never mixed into it."""

    points: int = Field(ge=0)
    rating: Rating
    factors: tuple[Factor, ...] = Field(min_length=5, max_length=5)
    basis: Basis
    """Basis of the evidence whose effort was used; declared for the estimate of the catalog."""
    evidence: Digest | None = None
    """Key of that evidence."""


class PriorityFactor(Record):
    """One factor of priority, between 0 and 1."""

    value: float = Field(ge=0, le=1)
    reason: str


class Priority(Record):
    """What to look at first: severity x feasibility x asset at stake."""

    value: float = Field(ge=0, le=100)
    severity: PriorityFactor
    feasibility: PriorityFactor
    asset: PriorityFactor
    formula: str


class ReferenceScore(Record):
    """A score that somebody else published for a threat, shown beside ours."""

    v31: float | None = Field(default=None, ge=0, le=10)
    v40: float | None = Field(default=None, ge=0, le=10)
    source: str = Field(min_length=3, max_length=400)


class ThreatAssessment(Record):
    """Everything a report says about one threat."""

    threat: ThreatId
    title: str
    layer: LayerId
    group: int = Field(ge=1, le=11)
    outcome: ThreatOutcome
    reason: str
    """Why this outcome."""
    basis: Basis | None = None
    """How we know; absent where no evidence decides."""
    scorecard: ScoreCard | None = None
    """Absent where the device class has no base vector."""
    potential: Potential
    priority: Priority
    evidence: tuple[Digest, ...] = ()
    """Keys of the evidence that supports the outcome."""
    required_run: tuple[AttackId, ...] = ()
    required_open: tuple[AttackId, ...] = ()
    defenses: tuple[Slug, ...] = ()
    """Ids of the catalog's defenses for this threat."""
    reference: ReferenceScore | None = None

    @property
    def severity(self) -> Severity:
        """Severity by CVSS 4.0 BTE; none where the threat has no vector."""
        return self.scorecard.v40_bte.severity if self.scorecard else Severity.NONE
