"""The contract: what crosses from attacks to scoring, comparison and reports.

Everything here is a frozen Pydantic model that goes to JSON and back unchanged. A report is rebuilt from these records
alone. `evidence.py` holds the largest of them; this module holds the vocabulary they share.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tinymlsec.metrics import METRICS, Direction

SCHEMA_VERSION = "1.0"
"""Version of all records. A reader refuses a different major number."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in lower-case hexadecimal."""

AttackId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,63}$")]
ThreatId = Annotated[str, Field(pattern=r"^[HSM][0-9]{1,2}$")]


class Record(BaseModel):
    """Base of all records: frozen, and unknown fields are errors, so that a typing mistake cannot pass unseen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Basis(StrEnum):
    """How we know. Reports show it beside every number."""

    EXECUTED = "executed"
    """On the deployed artefact, confirmed by the runtime."""
    MEASURED = "measured"
    """Imported hardware traces."""
    SIMULATED = "simulated"
    """Emulated firmware with named leakage or fault models."""
    STATIC = "static"
    """Read in the file or image."""
    DECLARED = "declared"
    """Taken from device or deployment facts."""


class VerdictKind(StrEnum):
    """The five answers an attack can give."""

    VULNERABLE = "vulnerable"
    RESISTANT = "resistant"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    ERROR = "error"


class Verdict(Record):
    """One of five answers; the last three always say why."""

    kind: VerdictKind
    reason: str = Field(default="", max_length=2000)
    """Why; required for inconclusive, skipped and error."""

    @model_validator(mode="after")
    def _reason_where_needed(self) -> Verdict:
        if self.kind in (VerdictKind.INCONCLUSIVE, VerdictKind.SKIPPED, VerdictKind.ERROR) and not self.reason.strip():
            raise ValueError(f"a verdict of {self.kind.value} needs a reason")
        return self


class Severity(StrEnum):
    """Qualitative severity as in CVSS."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for none up to 4 for critical."""
        return list(Severity).index(self)

    @classmethod
    def from_score(cls, score: float) -> Severity:
        """The qualitative band of a CVSS score (FIRST, CVSS v4.0 specification, section 6)."""
        bands = ((9.0, cls.CRITICAL), (7.0, cls.HIGH), (4.0, cls.MEDIUM), (0.1, cls.LOW))
        return next((band for low, band in bands if score >= low), cls.NONE)


class Confidence(StrEnum):
    """How sure a finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Metric(Record):
    """One measured number, with its unit, sample size and 95 % interval."""

    name: str
    """A name from `tinymlsec.metrics.METRICS`."""
    value: float
    unit: str
    low: float | None = None
    """Lower end of the 95 % interval; absent where the value was counted exactly."""
    high: float | None = None
    """Upper end of the 95 % interval."""
    n: int | None = Field(default=None, ge=0)
    """Number of samples behind the value."""
    direction: Direction
    """Which way is better for the defender."""
    label: str = ""
    """Tells two metrics of one name apart (for example "at 8 input steps")."""

    @model_validator(mode="after")
    def _known_and_ordered(self) -> Metric:
        spec = METRICS.get(self.name)
        if spec is None:
            raise ValueError(f"unknown metric {self.name!r}; extend tinymlsec.metrics.METRICS, never bypass it")
        if spec.unit != self.unit or spec.direction is not self.direction:
            raise ValueError(f"metric {self.name} has unit {spec.unit!r} and direction {spec.direction.value}")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends")
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"{self.name}: {self.value} lies outside of its interval [{self.low}, {self.high}]")
        return self

    @classmethod
    def of(
        cls,
        name: str,
        value: float,
        *,
        low: float | None = None,
        high: float | None = None,
        n: int | None = None,
        label: str = "",
    ) -> Metric:
        """A metric with the unit and direction that its name has."""
        spec = METRICS.get(name)
        if spec is None:
            raise ValueError(f"unknown metric {name!r}; extend tinymlsec.metrics.METRICS, never bypass it")
        return cls(
            name=name, value=value, unit=spec.unit, low=low, high=high, n=n, direction=spec.direction, label=label
        )


class CurvePoint(Record):
    """One point of a curve with the 95 % interval of its y value."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    n: int | None = Field(default=None, ge=0)


class Curve(Record):
    """A metric over a swept quantity, as it is plotted and tabulated in the report."""

    title: str
    x_label: str
    """Name and unit of the swept quantity, such as "flipped bits"."""
    metric: str
    """A name from METRICS: what y is."""
    points: tuple[CurvePoint, ...] = Field(min_length=1)
    log_x: bool = False
    chance: float | None = None
    """y that a guesser reaches, drawn as a reference line."""
    reference: float | None = None
    """y of the unattacked target, drawn as a reference line."""

    @model_validator(mode="after")
    def _known_metric(self) -> Curve:
        if self.metric not in METRICS:
            raise ValueError(f"unknown metric {self.metric!r}")
        return self


class Control(Record):
    """The same attack on a twin whose answer is known beforehand."""

    kind: Literal["positive", "negative"]
    """positive: a known-weak twin that must fall. negative: a twin without the weakness that must stand."""
    twin: str
    """What the twin is."""
    succeeded: bool
    """The twin did what it had to: the weak one fell, or the silent one stood."""
    detail: str = ""
    metrics: tuple[Metric, ...] = ()


class Location(Record):
    """Where a finding is; any subset of the fields."""

    path: str | None = None
    file_offset: int | None = Field(default=None, ge=0)
    subgraph: int | None = Field(default=None, ge=0)
    """Which subgraph `tensor` and `op` count in; None where the model has one only."""
    tensor: int | None = Field(default=None, ge=0)
    op: int | None = Field(default=None, ge=0)
    symbol: str | None = None
    address: int | None = Field(default=None, ge=0)


class Finding(Record):
    """One thing that was found, at one place, with what to do about it."""

    id: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*$")]
    """Stable rule id, such as PROV-03."""
    title: str
    message: str
    severity: Severity
    confidence: Confidence
    cwe: tuple[str, ...] = ()
    cve: tuple[str, ...] = ()
    location: Location = Location()
    fix: str
    """What to do about it."""


class Artifact(Record):
    """A file in the run folder, named by its digest."""

    name: str
    """For people; the stored file is named by its digest."""
    sha256: Digest
    media_type: str
    size: int = Field(ge=0)
    description: str = ""


class Knowledge(StrEnum):
    """What the attacker knew (JIL / CEM: knowledge of the target)."""

    PUBLIC = "public"
    RESTRICTED = "restricted"
    SENSITIVE = "sensitive"


class Expertise(StrEnum):
    """Who can do it (JIL / CEM: expertise)."""

    LAYMAN = "layman"
    PROFICIENT = "proficient"
    EXPERT = "expert"
    MULTIPLE_EXPERTS = "multiple_experts"


class Equipment(StrEnum):
    """What it takes (JIL / CEM: equipment)."""

    NONE = "none"
    STANDARD = "standard"
    SPECIALIZED = "specialized"
    BESPOKE = "bespoke"


class Effort(Record):
    """What the attack cost the attacker; attack potential is computed from it."""

    queries: int = Field(default=0, ge=0)
    """Inferences of the target, the attacker's view."""
    traces: int = Field(default=0, ge=0)
    faults: int = Field(default=0, ge=0)
    attacker_seconds: float | None = Field(default=None, ge=0)
    """Time on the device itself (queries at the device's rate and the like), where it can be stated."""
    attacker_seconds_source: str = ""
    """How attacker_seconds was reached."""
    knowledge: Knowledge = Knowledge.PUBLIC
    expertise: Expertise = Expertise.PROFICIENT
    equipment: Equipment = Equipment.STANDARD
    samples: int = Field(default=1, ge=1)
    """Devices needed."""


JsonValue = Any
"""A value that JSON can hold; Pydantic checks it on the way out."""
