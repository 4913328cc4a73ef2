"""Fixed threat assessments: built from the catalog's texts, with scores written by hand so that rules may change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from report.report_sample import all_evidence, key, run_record
from tinymlsec.evidence import Evidence
from tinymlsec.records import Basis, Severity
from tinymlsec.report.records import Report
from tinymlsec.report.view import build_report
from tinymlsec.run_record import RunRecord
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.records import (
    Change,
    Factor,
    Potential,
    Priority,
    PriorityFactor,
    Rating,
    ReferenceScore,
    Score,
    ScoreCard,
    ThreatAssessment,
    ThreatOutcome,
)

FEW = ("H2", "H8", "S3", "M1", "M2", "M5", "M13")


def score(vector: str, value: float) -> Score:
    return Score(vector=vector, score=value, severity=Severity.from_score(value))


def scorecard(threat: str, value: float) -> ScoreCard:
    vectors = load_catalog().threats[threat].vectors["TinyML"]
    return ScoreCard(
        threat=threat,
        device_class="TinyML",
        why=vectors.why,
        v31_base=score(vectors.v31, value),
        v31_environmental=score(f"{vectors.v31}/CR:H", min(10.0, value + 0.4)),
        v40_b=score(vectors.v40, value),
        v40_bte=score(f"{vectors.v40}/E:P/CR:H", max(0.0, value - 0.6)),
        exploit_maturity="P",
        changes=(
            Change(version="4.0", metric="E", before="X", after="P", rule="EXP-P", reason="Method published.", fact=""),
            Change(version="3.1", metric="CR", before="X", after="H", rule="REQ-C", reason="The model is worth much.",
                   fact="assets.model = high"),
        ),
    )  # fmt: skip


def potential(rating: Rating, points: int, evidence: str | None = None) -> Potential:
    names = ("elapsed time", "expertise", "knowledge", "window of opportunity", "equipment")
    share = points // 5
    return Potential(
        points=points,
        rating=rating,
        factors=tuple(Factor(name=n, value="some", points=share, reason="Because.") for n in names),  # type: ignore[arg-type]
        basis=Basis.EXECUTED if evidence else Basis.DECLARED,
        evidence=evidence,
    )


def priority(value: float) -> Priority:
    factor = PriorityFactor(value=round((value / 100) ** (1 / 3), 3), reason="As scored.")
    return Priority(
        value=value, severity=factor, feasibility=factor, asset=factor, formula="100 x severity x feasibility x asset"
    )


_OUTCOMES: dict[str, dict[str, Any]] = {
    "M2": {"outcome": "demonstrated", "reason": "square succeeded", "basis": Basis.EXECUTED,
           "evidence": (key("square"),), "required_run": ("square",), "required_open": ("decision-based",)},
    "M5": {"outcome": "indicated", "reason": "static-extraction found it; nothing was executed", "basis": Basis.STATIC,
           "evidence": (key("static-extraction"),), "required_run": ("static-extraction",)},
    "S3": {"outcome": "resisted", "reason": "every required attack ran and failed: input-check",
           "basis": Basis.EXECUTED, "evidence": (key("input-check"),), "required_run": ("input-check",)},
    "M13": {"outcome": "not_applicable", "reason": "class TinyML has no base vector for M13", "scorecard": None,
            "priority": None},
}  # fmt: skip


def assessment(threat: str, place: int) -> ThreatAssessment:
    entry = load_catalog().threats[threat]
    value = round(2.0 + (place * 7 % 71) / 10, 1)
    common: dict[str, Any] = {
        "threat": threat,
        "title": entry.title,
        "layer": entry.layer,
        "group": entry.group,
        "outcome": ThreatOutcome.UNTESTED,
        "reason": f"0 of {len(entry.required_attacks)} required attacks ran; open: {', '.join(entry.required_attacks)}",
        "scorecard": scorecard(threat, value),
        "potential": potential(list(Rating)[place % 5], 5 * (place % 6)),
        "priority": priority(round(value * 6.5, 1)),
        "required_open": entry.required_attacks,
        "defenses": entry.defenses,
    }
    known = dict(_OUTCOMES.get(threat, {}))
    if known:
        common["required_open"] = ()
    if "priority" in known:
        known["priority"] = priority(0.0)
    if threat == "M2":
        known["reference"] = ReferenceScore(v31=5.3, source="a paper")
        known["potential"] = potential(Rating.BASIC, 5, key("square"))
    return ThreatAssessment.model_validate({**common, **known})


def threats(ids: Iterable[str] | None = None) -> tuple[ThreatAssessment, ...]:
    """All 41 threats, or some, in the order of the catalog."""
    wanted = set(ids) if ids is not None else None
    return tuple(
        assessment(threat, place)
        for place, threat in enumerate(load_catalog().threats)
        if wanted is None or threat in wanted
    )


def sample_report(
    ids: Iterable[str] | None = None, run: RunRecord | None = None, evidence: tuple[Evidence, ...] | None = None
) -> Report:
    """The fixed report, with all threats or some."""
    return build_report(run or run_record(), all_evidence() if evidence is None else evidence, threats(ids))
