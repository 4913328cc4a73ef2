"""All 41 threats of one device in one deployment, judged from facts and evidence, most urgent first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tinymlsec.evidence import Evidence
from tinymlsec.target.device_facts import DeviceClass
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.entries import Threat
from tinymlsec.threat.facts import Facts, collect_facts
from tinymlsec.threat.outcome import outcome_of
from tinymlsec.threat.potential import potential_of
from tinymlsec.threat.priority import priority_of
from tinymlsec.threat.records import Outcome, ReferenceScore, ThreatAssessment, ThreatOutcome
from tinymlsec.threat.scoring import score_facts

if TYPE_CHECKING:
    from tinymlsec.target.deployment import Deployment
    from tinymlsec.target.device import Device

_WITHOUT_MODEL = "; no model was given, so attacks on one could not run and the scores rest on facts alone"


def assess_threats(
    device_class: DeviceClass,
    device: Device | None,
    deployment: Deployment,
    evidence: Sequence[Evidence],
    *,
    has_model: bool,
    reference: Mapping[str, ReferenceScore] | None = None,
) -> list[ThreatAssessment]:
    """Judge every threat of the catalog.

    Args:
        device_class: picks the base vectors.
        device: None where it is not known.
        deployment: the profile; `Deployment()` where nothing is known.
        evidence: evidence of a run; empty where nothing ran.
        has_model: whether a model was given; without one the reasons say so, and all threats are still scored.
        reference: scores to show beside ours.

    Returns:
        All 41, by falling priority, then by falling CVSS 4.0 BTE, then in the order of the catalog; those that do not
        apply come last.
    """
    facts = collect_facts(device, deployment)
    known = reference or {}
    judged = [
        _assess(threat, device_class, facts, evidence, has_model, known.get(threat.id))
        for threat in load_catalog().threats.values()
    ]
    return sorted(judged, key=_urgency)


def _assess(
    threat: Threat,
    device_class: DeviceClass,
    facts: Facts,
    evidence: Sequence[Evidence],
    has_model: bool,
    reference: ReferenceScore | None,
) -> ThreatAssessment:
    outcome = outcome_of(threat, device_class, evidence)
    card = score_facts(threat, device_class, facts, outcome, evidence)
    potential = potential_of(threat, evidence)
    return ThreatAssessment(
        threat=threat.id,
        title=threat.title,
        layer=threat.layer,
        group=threat.group,
        outcome=outcome.kind,
        reason=_reason(threat, outcome, has_model),
        basis=outcome.basis,
        scorecard=card,
        potential=potential,
        priority=priority_of(threat, card, potential, outcome, facts),
        evidence=outcome.supporting,
        required_run=outcome.required_run,
        required_open=outcome.required_open,
        defenses=threat.defenses,
        reference=reference,
    )


def _reason(threat: Threat, outcome: Outcome, has_model: bool) -> str:
    untested = outcome.kind is ThreatOutcome.UNTESTED and not outcome.supporting
    return outcome.reason + (_WITHOUT_MODEL if untested and not has_model and threat.layer == "model" else "")


def _urgency(item: ThreatAssessment) -> tuple[bool, float, float]:
    bte = item.scorecard.v40_bte.score if item.scorecard else 0.0
    return item.outcome is ThreatOutcome.NOT_APPLICABLE, -item.priority.value, -bte
