"""CVSS scores of one threat on one device in one deployment, with the reason of every change.

Base vectors are per threat and device class and are never edited. Facts set only modified base metrics and requirement
metrics, evidence sets only exploit maturity; the table of rules (`rules.py`) lists every change that is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tinymlsec.evidence import Evidence
from tinymlsec.records import Severity, VerdictKind
from tinymlsec.target.device_facts import DeviceClass
from tinymlsec.threat.entries import Threat
from tinymlsec.threat.facts import Facts, collect_facts
from tinymlsec.threat.modify import Setting, holding, modified_metrics
from tinymlsec.threat.outcome import outcome_of
from tinymlsec.threat.records import Change, Outcome, Score, ScoreCard, ThreatOutcome
from tinymlsec.threat.requirements import Requirement, requirements
from tinymlsec.threat.rules import rules_for
from tinymlsec.threat.vectors import Version, base_metric, join, parse, score_v40, scores_v31

if TYPE_CHECKING:
    from tinymlsec.target.deployment import Deployment
    from tinymlsec.target.device import Device

Maturity = Literal["X", "A", "P", "U"]

MATURITY: dict[ThreatOutcome, tuple[Maturity, str]] = {
    ThreatOutcome.DEMONSTRATED: ("A", "The attack was carried out against this target."),
    ThreatOutcome.INDICATED: ("X", "Nothing was executed; the worst is assumed."),
    ThreatOutcome.UNTESTED: ("X", "Not all required attacks have run; the worst is assumed."),
    ThreatOutcome.RESISTED: ("U", "Every required attack was tried against this target and failed."),
}
"""Exploit maturity by outcome. An undefined E (X) scores as A, so that what was not tested is never cheaper."""


def score(
    threat: Threat,
    device_class: DeviceClass,
    device: Device | None,
    deployment: Deployment,
    evidence: Sequence[Evidence] = (),
) -> ScoreCard | None:
    """All scores of a threat; None where the device class has no base vector for it.

    Args:
        threat: the class.
        device_class: picks the base vectors.
        device: None where it is not known.
        deployment: the profile; `Deployment()` where nothing is known.
        evidence: evidence of a run; it sets exploit maturity and nothing else.
    """
    outcome = outcome_of(threat, device_class, evidence)
    return score_facts(threat, device_class, collect_facts(device, deployment), outcome, evidence)


def score_facts(
    threat: Threat, device_class: DeviceClass, facts: Facts, outcome: Outcome, evidence: Sequence[Evidence] = ()
) -> ScoreCard | None:
    """As `score`, from facts and outcome that were already collected."""
    vectors = threat.vectors.get(device_class)
    if vectors is None:
        return None
    maturity, why, rule = exploit_maturity(threat, outcome, evidence)
    needs = requirements(threat, facts)
    old, old_changes = environmental(threat, "3.1", vectors.v31, facts, needs)
    new, new_changes = environmental(threat, "4.0", vectors.v40, facts, needs)
    if maturity != "X":
        new = f"{new}/E:{maturity}"
        new_changes.append(_maturity_change(maturity, why, rule, outcome))
    return ScoreCard(
        threat=threat.id,
        device_class=device_class,
        why=vectors.why,
        v31_base=_score(vectors.v31, scores_v31(vectors.v31)[0]),
        v31_environmental=_score(old, scores_v31(old)[1]),
        v40_b=_score(vectors.v40, score_v40(vectors.v40)),
        v40_bte=_score(new, score_v40(new)),
        exploit_maturity=maturity,
        changes=(*old_changes, *new_changes),
    )


def exploit_maturity(threat: Threat, outcome: Outcome, evidence: Sequence[Evidence]) -> tuple[Maturity, str, str]:
    """E of CVSS 4.0 with reason and rule id: A demonstrated, U resisted, P where some required attack failed, else X.

    CVSS speaks of attacks in the world. Here E says what is known about this target, in the order A and X (worst),
    P, U: an untested threat never scores below one that was tested and resisted in part.
    """
    resistant = {
        item.attack
        for item in evidence
        if threat.id in item.threats and item.verdict.kind is VerdictKind.RESISTANT
    } & set(threat.required_attacks)  # fmt: skip
    if outcome.kind is ThreatOutcome.UNTESTED and resistant:
        return "P", f"Some required attacks failed here ({', '.join(sorted(resistant))}), others are open.", "EVI-P"
    letter, reason = MATURITY.get(outcome.kind, ("X", ""))
    return letter, reason, f"EVI-{letter}"


def environmental(
    threat: Threat, version: Version, base_vector: str, facts: Facts, needs: Sequence[Requirement]
) -> tuple[str, list[Change]]:
    """A base vector with the modified and requirement metrics that the facts ask for, and the changes."""
    _, base = parse(base_vector)
    settings = modified_metrics(version, base, holding(rules_for(threat.id), facts, base["AV"]))
    metrics = {**base, **{need.metric: need.value for need in needs}}
    metrics |= {metric: asked[0].value for metric, asked in settings.items()}
    changes = [
        Change(version=version, metric=n.metric, before="X", after=n.value, rule=n.rule, reason=n.reason,
               fact=f"{n.fact} = {facts.get(n.fact, 'unknown')}")
        for n in needs
    ]  # fmt: skip
    changes += [_change(version, base, facts, one) for asked in settings.values() for one in asked]
    return join(version, metrics), changes


def _change(version: Version, base: dict[str, str], facts: Facts, setting: Setting) -> Change:
    fact = "; ".join(f"{name} = {facts.get(name, 'unknown')}" for name, _ in setting.rule.when)
    return Change(
        version=version,
        metric=setting.metric,
        before=base[base_metric(setting.metric)],
        after=setting.value,
        rule=setting.rule.id,
        reason=setting.rule.reason,
        fact=fact,
    )


def _maturity_change(maturity: Maturity, why: str, rule: str, outcome: Outcome) -> Change:
    fact = f"outcome = {outcome.kind.value}"
    return Change(version="4.0", metric="E", before="X", after=maturity, rule=rule, reason=why, fact=fact)


def _score(vector: str, value: float) -> Score:
    return Score(vector=vector, score=value, severity=Severity.from_score(value))
