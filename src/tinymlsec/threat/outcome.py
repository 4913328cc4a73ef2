"""The outcome of a threat: a pure function of the threat, the device class and the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from tinymlsec.evidence import Evidence
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.target.device_facts import DeviceClass
from tinymlsec.threat.entries import Threat
from tinymlsec.threat.records import Outcome, ThreatOutcome

SHOWN: frozenset[Basis] = frozenset({Basis.EXECUTED, Basis.MEASURED, Basis.SIMULATED})
"""Bases on which a success demonstrates a threat; on the others it only indicates it."""

RAN: frozenset[VerdictKind] = frozenset({VerdictKind.VULNERABLE, VerdictKind.RESISTANT, VerdictKind.INCONCLUSIVE})
"""Verdicts of an attack that ran; skipped and error are no runs."""

_BASIS_ORDER = tuple(Basis)


def outcome_of(threat: Threat, device_class: DeviceClass, evidence: Sequence[Evidence]) -> Outcome:
    """What is known about a threat.

    demonstrated: any evidence says vulnerable, with basis executed, measured or simulated. indicated: only static or
    declared evidence does. resisted: every required attack ran and all its evidence is resistant. not_applicable: the
    device class has no base vector. untested: anything else.

    Args:
        threat: the class.
        device_class: picks the base vector.
        evidence: evidence of a run; what does not name the threat is left aside.
    """
    about = [item for item in evidence if threat.id in item.threats]
    if device_class not in threat.vectors:
        return _not_applicable(threat, device_class, about)
    hits = [item for item in about if item.verdict.kind is VerdictKind.VULNERABLE]
    shown = [item for item in hits if item.basis in SHOWN]
    if shown:
        return _decided(ThreatOutcome.DEMONSTRATED, f"{_names(shown)} succeeded", shown, threat, about)
    if hits:
        return _decided(ThreatOutcome.INDICATED, f"{_names(hits)} found it; nothing was executed", hits, threat, about)
    return _without_success(threat, about)


def _not_applicable(threat: Threat, device_class: DeviceClass, about: Sequence[Evidence]) -> Outcome:
    reason = f"class {device_class} has no base vector for {threat.id}: {threat.title} needs a model on the device"
    hits = [item for item in about if item.verdict.kind is VerdictKind.VULNERABLE]
    if hits:
        reason += f"; yet {_names(hits)} says vulnerable: the device class is probably wrong"
    return _decided(ThreatOutcome.NOT_APPLICABLE, reason, hits, threat, about)


def _without_success(threat: Threat, about: Sequence[Evidence]) -> Outcome:
    ran = [item for item in about if item.verdict.kind in RAN]
    required = [item for item in about if item.attack in threat.required_attacks]
    missing = _open(threat, ran)
    if not missing and all(item.verdict.kind is VerdictKind.RESISTANT for item in required):
        reason = f"every required attack ran and failed: {_names(required)}"
        return _decided(ThreatOutcome.RESISTED, reason, required, threat, about)
    total = len(threat.required_attacks)
    reason = f"{total - len(missing)} of {total} required attacks ran"
    if missing:
        reason += f"; open: {', '.join(missing)}"
    undecided = [i for i in required if i.attack not in missing and i.verdict.kind is not VerdictKind.RESISTANT]
    if undecided:
        reason += f"; no clear answer from {_names(undecided)}"
    return _decided(ThreatOutcome.UNTESTED, reason, ran, threat, about)


def _decided(
    kind: ThreatOutcome, reason: str, support: Sequence[Evidence], threat: Threat, about: Sequence[Evidence]
) -> Outcome:
    missing = _open(threat, [item for item in about if item.verdict.kind in RAN])
    basis = min((item.basis for item in support), key=_BASIS_ORDER.index, default=None)
    return Outcome(
        kind=kind,
        reason=reason,
        basis=basis,
        supporting=tuple(item.key for item in support),
        required_run=tuple(name for name in threat.required_attacks if name not in missing),
        required_open=missing,
    )


def _open(threat: Threat, ran: Sequence[Evidence]) -> tuple[str, ...]:
    """Required attacks that have not run."""
    names = {item.attack for item in ran}
    return tuple(name for name in threat.required_attacks if name not in names)


def _names(evidence: Sequence[Evidence]) -> str:
    return ", ".join(dict.fromkeys(item.attack for item in evidence))
