"""Priority: what to look at first. CVSS alone would print the readout of a device anyone can pick up as low.

priority = 100 x severity x feasibility x asset at stake, each between 0 and 1.

Severity is how bad it is once it happens: the CVSS 4.0 score of the effective vector with its exploitability metrics
opened (AV:N, AC:L, AT:N, PR:N, UI:N) and without requirements and exploit maturity, over 10. How hard it is and what
the asset is worth then count once each, in the other two factors. CVSS 3.1 plays no part: versions are never mixed.

Feasibility is potential x reach x hindrance, then moved by the outcome. Potential: the share of attackers who can, by
the rating of attack potential. Reach: from where, by the effective attack vector. Hindrance: 0.6 for each of AC, AT, PR
and UI that a fact made harder than the base vector says. Outcome: a demonstrated attack halves what is missing to 1; a
resisted one halves feasibility. All weights are our own; their order is what matters and what is tested.
"""

from __future__ import annotations

from tinymlsec.threat.entries import Threat
from tinymlsec.threat.facts import UNKNOWN, Facts
from tinymlsec.threat.records import Outcome, Potential, Priority, PriorityFactor, Rating, ScoreCard, ThreatOutcome
from tinymlsec.threat.requirements import dearest
from tinymlsec.threat.vectors import join, parse, rank, score_v40

FORMULA = "priority = 100 x severity x feasibility x asset at stake"

POTENTIAL_WEIGHT: dict[Rating, float] = {
    Rating.BASIC: 1.0, Rating.ENHANCED_BASIC: 0.8, Rating.MODERATE: 0.6, Rating.HIGH: 0.4, Rating.BEYOND_HIGH: 0.2,
}  # fmt: skip
REACH_WEIGHT: dict[str, float] = {"N": 1.0, "A": 0.9, "L": 0.85, "P": 0.6}
REACH_IN_THE_OPEN = 0.85
"""Reach of a physical attack on a device that anyone can touch, or that an attacker can get and keep. Not above that of
local code, or a fact that closes a software path would raise priority."""
HINDRANCE = 0.6
ASSET_WEIGHT: dict[str, float] = {"high": 1.0, "medium": 0.7, UNKNOWN: 0.7, "low": 0.4, "none": 0.1}

_EXPLOITABILITY = {"AV": "N", "AC": "L", "AT": "N", "PR": "N", "UI": "N"}
_REACH_WORDS = {
    "N": "from any host", "A": "from nearby", "L": "from code on the device", "P": "by touching the device",
}  # fmt: skip


def priority_of(
    threat: Threat, card: ScoreCard | None, potential: Potential, outcome: Outcome, facts: Facts
) -> Priority:
    """Priority of a threat, with its three factors; 0 where the threat has no vector.

    Args:
        threat: the class; its assets give the third factor.
        card: scores; None where the device class has no base vector.
        potential: attack potential, measured or declared.
        outcome: what is known.
        facts: facts of device and deployment.
    """
    severity = _severity(card)
    feasibility = _feasibility(card, potential, outcome, facts)
    asset = _asset(threat, facts)
    value = round(100 * severity.value * feasibility.value * asset.value, 1)
    return Priority(value=value, severity=severity, feasibility=feasibility, asset=asset, formula=FORMULA)


def opened(vector: str) -> str:
    """A CVSS 4.0 vector with exploitability opened and requirements and maturity left out: its consequence alone."""
    version, metrics = parse(vector)
    kept = {name: value for name, value in metrics.items() if name not in ("CR", "IR", "AR", "E")}
    exploit = {f"M{name}" for name in _EXPLOITABILITY}
    return join(version, {k: _EXPLOITABILITY.get(k, v) for k, v in kept.items() if k not in exploit})


def _severity(card: ScoreCard | None) -> PriorityFactor:
    if card is None:
        return PriorityFactor(value=0.0, reason="no base vector for this device class")
    value = score_v40(opened(card.v40_bte.vector))
    return PriorityFactor(value=value / 10, reason=f"CVSS 4.0 {value:.1f} with exploitability opened, over 10")


def _feasibility(card: ScoreCard | None, potential: Potential, outcome: Outcome, facts: Facts) -> PriorityFactor:
    if card is None or outcome.kind is ThreatOutcome.NOT_APPLICABLE:
        return PriorityFactor(value=0.0, reason="not applicable")
    reach, where = _reach(card, facts)
    harder = _made_harder(card.v40_bte.vector)
    value = POTENTIAL_WEIGHT[potential.rating] * reach * HINDRANCE ** len(harder)
    parts = [f"potential {potential.rating.value} {POTENTIAL_WEIGHT[potential.rating]:g}", f"reach {where} {reach:g}"]
    if harder:
        parts.append(f"made harder by facts ({', '.join(harder)}) {HINDRANCE ** len(harder):.2g}")
    if outcome.kind is ThreatOutcome.DEMONSTRATED:
        value, note = (1 + value) / 2, "; demonstrated: half of the distance to 1"
    elif outcome.kind is ThreatOutcome.RESISTED:
        value, note = value / 2, "; resisted: halved"
    else:
        note = ""
    return PriorityFactor(value=round(value, 4), reason=" x ".join(parts) + note)


def _reach(card: ScoreCard, facts: Facts) -> tuple[float, str]:
    _, metrics = parse(card.v40_bte.vector)
    vector = metrics.get("MAV", metrics["AV"])
    in_the_open = facts.get("access.physical") == "public" or facts.get("access.lab_access") == "yes"
    if vector == "P" and in_the_open:
        return REACH_IN_THE_OPEN, "by touching a device that attackers can get at"
    return REACH_WEIGHT[vector], _REACH_WORDS[vector]


def _made_harder(vector: str) -> list[str]:
    """Exploitability metrics beside AV that facts made harder than the base vector says."""
    version, metrics = parse(vector)
    return [
        name
        for name in ("AC", "AT", "PR", "UI")
        if rank(version, name, metrics.get(f"M{name}", metrics[name])) < rank(version, name, metrics[name])
    ]


def _asset(threat: Threat, facts: Facts) -> PriorityFactor:
    fact, worth = dearest(threat.assets.all, facts)
    said = "not known, taken as medium" if worth == UNKNOWN else worth
    return PriorityFactor(value=ASSET_WEIGHT[worth], reason=f"{fact} = {said}")
