"""Attack potential: what an attacker must bring, in points, beside CVSS and never mixed into it.

Source: Common Methodology for Information Technology Security Evaluation (CEM), version 3.1 revision 5, annex B.4,
calculation of attack potential; the JIL documents "Application of Attack Potential to Smartcards" and "... to Hardware
Devices with Security Boxes" use the same five factors with tables of their own. Points and ratings below are the CEM's.
How an `Effort` of ours maps onto its steps is our own reading and is stated at each factor.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinymlsec.evidence import Evidence
from tinymlsec.records import Basis, Effort, Equipment, Expertise, Knowledge, VerdictKind
from tinymlsec.threat.entries import ElapsedTime, Estimate, Threat, Window
from tinymlsec.threat.records import Factor, Potential, Rating

TIME_POINTS: dict[ElapsedTime, int] = {
    ElapsedTime.DAY: 0, ElapsedTime.WEEK: 1, ElapsedTime.TWO_WEEKS: 2, ElapsedTime.MONTH: 4, ElapsedTime.TWO_MONTHS: 7,
    ElapsedTime.THREE_MONTHS: 10, ElapsedTime.FOUR_MONTHS: 13, ElapsedTime.FIVE_MONTHS: 15, ElapsedTime.SIX_MONTHS: 17,
    ElapsedTime.LONGER: 19,
}  # fmt: skip
EXPERTISE_POINTS: dict[Expertise, int] = {
    Expertise.LAYMAN: 0, Expertise.PROFICIENT: 3, Expertise.EXPERT: 6, Expertise.MULTIPLE_EXPERTS: 8,
}  # fmt: skip
KNOWLEDGE_POINTS: dict[Knowledge, int] = {Knowledge.PUBLIC: 0, Knowledge.RESTRICTED: 3, Knowledge.SENSITIVE: 7}
WINDOW_POINTS: dict[Window, int] = {Window.UNLIMITED: 0, Window.EASY: 1, Window.MODERATE: 4, Window.DIFFICULT: 10}
EQUIPMENT_POINTS: dict[Equipment, int] = {
    Equipment.NONE: 0, Equipment.STANDARD: 0, Equipment.SPECIALIZED: 4, Equipment.BESPOKE: 7,
}  # fmt: skip

RATINGS: tuple[tuple[int, Rating], ...] = (
    (0, Rating.BASIC), (10, Rating.ENHANCED_BASIC), (14, Rating.MODERATE), (20, Rating.HIGH), (25, Rating.BEYOND_HIGH),
)  # fmt: skip
"""Fewest points of each rating."""

_DAY = 86_400.0
_TIME_LIMITS: tuple[tuple[float, ElapsedTime], ...] = (
    (1, ElapsedTime.DAY), (7, ElapsedTime.WEEK), (14, ElapsedTime.TWO_WEEKS), (30, ElapsedTime.MONTH),
    (61, ElapsedTime.TWO_MONTHS), (91, ElapsedTime.THREE_MONTHS), (122, ElapsedTime.FOUR_MONTHS),
    (152, ElapsedTime.FIVE_MONTHS), (183, ElapsedTime.SIX_MONTHS),
)  # fmt: skip
"""Most days of each step."""

_TIME_WORDS = {
    "1d": "at most a day", "1w": "at most a week", "2w": "at most two weeks", "1m": "at most a month",
    "2m": "at most two months", "3m": "at most three months", "4m": "at most four months",
    "5m": "at most five months", "6m": "at most six months", "longer": "more than six months",
}  # fmt: skip


def rating_of(points: int) -> Rating:
    """The rating of a sum of points."""
    return next(rating for least, rating in reversed(RATINGS) if points >= least)


def potential_of(threat: Threat, evidence: Sequence[Evidence]) -> Potential:
    """Attack potential of a threat: that of its cheapest successful attack, or the catalog's estimate.

    Only vulnerable evidence counts: the effort of an attack that failed says nothing about one that works.

    Args:
        threat: the class, with its declared estimate.
        evidence: evidence of a run; what does not name the threat is left aside.
    """
    measured = [
        from_evidence(threat, item)
        for item in evidence
        if threat.id in item.threats and item.verdict.kind is VerdictKind.VULNERABLE
    ]
    return min(measured, key=lambda one: one.points, default=from_estimate(threat.estimate))


def from_estimate(estimate: Estimate) -> Potential:
    """Attack potential as the catalog declares it."""
    why = f"{estimate.mark}: {estimate.reason}"
    return _potential(
        _time(estimate.time, why),
        Factor(name="expertise", value=estimate.expertise, points=EXPERTISE_POINTS[estimate.expertise], reason=why),
        Factor(name="knowledge", value=estimate.knowledge, points=KNOWLEDGE_POINTS[estimate.knowledge], reason=why),
        Factor(name="window of opportunity", value=estimate.window, points=WINDOW_POINTS[estimate.window], reason=why),
        Factor(name="equipment", value=estimate.equipment, points=EQUIPMENT_POINTS[estimate.equipment], reason=why),
        basis=Basis.DECLARED,
    )


def from_evidence(threat: Threat, evidence: Evidence) -> Potential:
    """Attack potential of one successful attack, from its effort.

    Time is the attacker's time on the device where the evidence states it, else the catalog's estimate. The window
    follows from the devices needed and that time, in the CEM's limits. The other factors are taken as they stand.
    """
    effort, attack = evidence.effort, evidence.attack
    stated = f"as stated by the evidence of {attack}"
    window, why = _window(threat.estimate, effort)
    return _potential(
        _effort_time(threat.estimate, effort, attack),
        Factor(name="expertise", value=effort.expertise, points=EXPERTISE_POINTS[effort.expertise], reason=stated),
        Factor(name="knowledge", value=effort.knowledge, points=KNOWLEDGE_POINTS[effort.knowledge], reason=stated),
        Factor(name="window of opportunity", value=window, points=WINDOW_POINTS[window], reason=why),
        Factor(name="equipment", value=effort.equipment, points=EQUIPMENT_POINTS[effort.equipment], reason=stated),
        basis=evidence.basis,
        evidence=evidence.key,
    )


def elapsed(seconds: float) -> ElapsedTime:
    """The step of the CEM for a time in seconds."""
    return next((step for days, step in _TIME_LIMITS if seconds <= days * _DAY), ElapsedTime.LONGER)


def _potential(*factors: Factor, basis: Basis, evidence: str | None = None) -> Potential:
    points = sum(factor.points for factor in factors)
    return Potential(points=points, rating=rating_of(points), factors=factors, basis=basis, evidence=evidence)


def _time(step: ElapsedTime, reason: str) -> Factor:
    return Factor(name="elapsed time", value=_TIME_WORDS[step], points=TIME_POINTS[step], reason=reason)


def _effort_time(estimate: Estimate, effort: Effort, attack: str) -> Factor:
    if effort.attacker_seconds is None:
        return _time(estimate.time, f"{attack} states no time on the device; {estimate.mark}: {estimate.reason}")
    source = effort.attacker_seconds_source or f"as stated by the evidence of {attack}"
    return _time(elapsed(effort.attacker_seconds), f"{effort.attacker_seconds:.3g} s on the device: {source}")


def _window(estimate: Estimate, effort: Effort) -> tuple[Window, str]:
    """Easy: below ten samples and a day of access; moderate: below a hundred and a month; difficult: more."""
    if effort.samples == 1 and effort.attacker_seconds is None:
        return estimate.window, f"one device, access time not stated; {estimate.mark}"
    days = (effort.attacker_seconds or 0.0) / _DAY
    by_effort = Window.EASY if effort.samples < 10 and days < 1 else Window.MODERATE
    if effort.samples >= 100 or days >= 30:
        by_effort = Window.DIFFICULT
    devices = "1 device" if effort.samples == 1 else f"{effort.samples} devices"
    reason = f"{devices}, {days:.2g} days of access"
    if estimate.window is Window.UNLIMITED and by_effort is Window.EASY:
        return Window.UNLIMITED, f"{reason}; {estimate.mark}: nobody notices or hinders access"
    return by_effort, reason
