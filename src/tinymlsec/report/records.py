"""The report as a record: what report.json holds, and what all other forms are made from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.evidence import Evidence
from tinymlsec.records import SCHEMA_VERSION, Basis, Digest, Record, Severity, ThreatId
from tinymlsec.run_record import RunRecord
from tinymlsec.threat.records import ThreatAssessment


class Coverage(Record):
    """How much of the plan was carried out."""

    planned: int = Field(ge=0)
    ran: int = Field(ge=0)
    """Attacks that ran to a verdict of their own, inconclusive included."""
    inconclusive: int = Field(ge=0)
    """Those of them that did not decide the question."""
    skipped: int = Field(ge=0)
    errors: int = Field(ge=0)
    not_reached: int = Field(ge=0)
    """Planned, and without evidence: the run ended before them."""


class WorstFinding(Record):
    """One entry of the short list."""

    threat: ThreatId
    title: str
    outcome: Literal["demonstrated", "indicated"]
    basis: Basis | None = None
    severity: Severity
    """Qualitative band of `score`."""
    score: float
    """CVSS 4.0 with threat and environment (BTE)."""
    priority: float
    summary: str
    """What happened, in one sentence."""
    fix: str = ""
    """The first thing to do about it."""
    evidence: tuple[Digest, ...] = ()
    """Keys of the evidence behind it."""

    @property
    def headline(self) -> str:
        """The finding in one line."""
        known = f", {self.basis.value}" if self.basis else ""
        score = f"CVSS 4.0 {self.score:.1f} {self.severity.value}"
        return f"{self.threat} {self.title} ({self.outcome}{known}, {score}): {self.summary}"


class Summary(Record):
    """What follows from run, evidence and threats; kept so that readers of the JSON need not derive it."""

    outcomes: dict[str, int]
    """Number of threats by outcome; every outcome is named."""
    highest: Severity | None = None
    """Worst CVSS 4.0 BTE severity among the demonstrated and indicated threats; absent where there are none."""
    attacks: Coverage
    coverage: str
    """`attacks` in one sentence."""
    worst: tuple[WorstFinding, ...] = ()


class Report(Record):
    """Everything a report says. It is made from the run folder alone."""

    kind: Literal["tinymlsec-report"] = "tinymlsec-report"
    schema_version: str = SCHEMA_VERSION
    run: RunRecord
    evidence: tuple[Evidence, ...]
    threats: tuple[ThreatAssessment, ...]
    summary: Summary
    measurement: Measurement | None = None
    """What `tinymlsec measure` left in the run folder."""
    measurement_notice: str = ""
    """Why what it left is not shown; empty where it is, and where there is nothing."""
