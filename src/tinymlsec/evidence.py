"""What an attack observed, and the evidence the runner makes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field, model_validator

from tinymlsec.figures import Pictures, Series
from tinymlsec.records import (
    SCHEMA_VERSION,
    Artifact,
    AttackId,
    Basis,
    Control,
    Curve,
    Digest,
    Effort,
    Finding,
    Metric,
    Record,
    ThreatId,
    Verdict,
    VerdictKind,
)


class Observation(Record):
    """What an attack returns: everything it saw, and its verdict. The runner adds who, when and on what.

    *Resistant* needs a positive control that succeeded: an attack that cannot break a known-weak twin has shown
    nothing. The record refuses it otherwise, so no attack can forget.
    """

    verdict: Verdict
    basis: Basis
    summary: str
    """One sentence for the report: what happened."""
    metrics: tuple[Metric, ...] = ()
    curves: tuple[Curve, ...] = ()
    series: tuple[Series, ...] = ()
    """Quantities over time: a trace, a correlation, a t statistic."""
    pictures: tuple[Pictures, ...] = ()
    """Pictures side by side, such as an input and what was recovered of it."""
    positive_control: Control | None = None
    negative_control: Control | None = None
    findings: tuple[Finding, ...] = ()
    chance: float | None = None
    """What a guesser reaches on the main metric."""
    artifacts: tuple[Artifact, ...] = ()
    effort: Effort = Effort()
    limits: tuple[str, ...] = ()
    """What this cannot show."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """Further structured facts (JSON values) for the report's detail section."""

    @model_validator(mode="after")
    def _resistant_needs_its_control(self) -> Observation:
        if self.verdict.kind is VerdictKind.RESISTANT and not (
            self.positive_control and self.positive_control.succeeded
        ):
            raise ValueError("resistant needs a positive control that succeeded; say inconclusive with the reason")
        for control, kind in ((self.positive_control, "positive"), (self.negative_control, "negative")):
            if control is not None and control.kind != kind:
                raise ValueError(f"the {kind} control says that it is {control.kind}")
        return self


class Evidence(Observation):
    """An observation with all that is needed to check and repeat it. The only thing attacks hand on."""

    schema_version: str = SCHEMA_VERSION
    key: Digest
    """Digest of target, attack, config, seed and tool version: the unit of work."""
    attack: AttackId
    threats: tuple[ThreatId, ...] = Field(min_length=1)
    target_digest: Digest
    """Digest over model, data, device and deployment as they were used."""
    device: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(ge=0)
    tool_version: str
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries that took part."""
    started: datetime
    seconds: float = Field(ge=0)
    inferences: int = Field(default=0, ge=0)
    """Inferences of the runtime that this unit of work spent, controls included; counts against the run's budget."""
    reproduce: str
    """The command that repeats this."""

    def comparable(self) -> dict[str, Any]:
        """The evidence without start, durations, versions of the host and the command line: what must be equal when
        the same attack runs again with the same seed."""
        always = {"started": True, "seconds": True, "reproduce": True, "versions": True}
        return self.model_dump(mode="json", exclude={**always, "effort": {"attacker_seconds"}})
