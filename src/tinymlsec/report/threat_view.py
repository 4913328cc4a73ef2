"""A threat as reports show it. This module alone knows how threat records and the catalog are built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinymlsec.report.text import number
from tinymlsec.report.words import OUTCOMES, Word, number_of
from tinymlsec.threat.catalog import Catalog, load_catalog

if TYPE_CHECKING:
    from tinymlsec.report.evidence_view import EvidenceView
    from tinymlsec.threat.entries import Threat
    from tinymlsec.threat.records import Potential, Priority, Score, ScoreCard, ThreatAssessment

_MARKS = {"found": "read at a public source", "gk": "general knowledge, not checked"}
NOT_PLANNED = "did not run: not in the plan of this run (not chosen, or not part of this version)"


@dataclass(frozen=True)
class ScoreView:
    """One CVSS score with its vector."""

    name: str
    vector: str
    score: float
    severity: str


@dataclass(frozen=True)
class ChangeView:
    """One metric that facts or evidence changed."""

    system: str
    metric: str
    change: str
    reason: str
    rule: str


@dataclass(frozen=True)
class FactorView:
    """One factor of the attack potential or of the priority."""

    name: str
    value: str
    reason: str
    points: str = ""


@dataclass(frozen=True)
class PotentialView:
    """The attack potential with its reasons."""

    rating: str
    points: int | None
    note: str
    factors: tuple[FactorView, ...]


@dataclass(frozen=True)
class DefenseView:
    """A known defense with its declared cost."""

    id: str
    title: str
    cost: str
    source: str


@dataclass(frozen=True)
class RequiredView:
    """A required attack, and whether it ran."""

    attack: str
    state: str


@dataclass(frozen=True)
class ThreatView:
    """One threat with everything that the reports say about it."""

    id: str
    order: int
    """Place in the catalog."""
    title: str
    layer: str
    group: str
    group_number: int
    means: tuple[str, ...]
    tags: tuple[str, ...]
    cwe: tuple[str, ...]
    outcome: str
    reason: str
    basis: str
    v4: ScoreView | None
    """CVSS 4.0 with threat and environment."""
    v31: ScoreView | None
    """CVSS 3.1 environmental."""
    scores: tuple[ScoreView, ...]
    score_notes: tuple[str, ...]
    changes: tuple[ChangeView, ...]
    potential: PotentialView | None
    priority: float
    formula: str
    factors: tuple[FactorView, ...]
    required: tuple[RequiredView, ...]
    required_text: str
    defenses: tuple[DefenseView, ...]
    todo: tuple[str, ...]
    evidence: tuple[EvidenceView, ...] = ()

    @property
    def word(self) -> Word:
        """Word and sign of the outcome."""
        return OUTCOMES[self.outcome]

    @property
    def found(self) -> bool:
        """Demonstrated or indicated."""
        return self.outcome in ("demonstrated", "indicated")

    @property
    def anchor(self) -> str:
        """The identifier of the threat in a page."""
        return self.id

    @property
    def priority_text(self) -> str:
        """The priority as printed."""
        return f"{self.priority:.1f}"

    def with_evidence(
        self, evidence: tuple[EvidenceView, ...], todo: tuple[str, ...], required: tuple[RequiredView, ...]
    ) -> ThreatView:
        """The same threat with its evidence, what that says is to be done, and how each required attack ended."""
        return replace(self, evidence=evidence, todo=todo, required=required)


def threat_views(threats: Sequence[ThreatAssessment]) -> tuple[ThreatView, ...]:
    """The threats in order of priority, highest first; those that do not apply come last."""
    catalog = load_catalog()
    place = {name: number for number, name in enumerate(catalog.threats)}
    return tuple(sorted((_view(item, catalog, place.get(item.threat, len(place))) for item in threats), key=_urgency))


def _urgency(view: ThreatView) -> tuple[bool, float, float, int]:
    return view.outcome == "not_applicable", -view.priority, -view.v4.score if view.v4 else 0.0, view.order


def _view(item: ThreatAssessment, catalog: Catalog, order: int) -> ThreatView:
    entry = catalog.threats.get(item.threat)
    group = catalog.group(item.group)
    card = item.scorecard
    return ThreatView(
        id=item.threat,
        order=order,
        title=item.title,
        layer=catalog.layers[item.layer].title,
        group=group.title,
        group_number=item.group,
        means=tuple(_means(entry)) if entry else (group.text,),
        tags=tuple(_tags(entry, catalog)) if entry else (),
        cwe=entry.cwe if entry else (),
        outcome=item.outcome.value,
        reason=item.reason,
        basis=item.basis.value if item.basis else "",
        v4=_score("CVSS 4.0 BTE", card.v40_bte) if card else None,
        v31=_score("CVSS 3.1 environmental", card.v31_environmental) if card else None,
        scores=tuple(_scores(card)) if card else (),
        score_notes=tuple(_notes(item)),
        changes=tuple(_changes(card)) if card else (),
        potential=_potential(item.potential),
        priority=item.priority.value,
        formula=item.priority.formula,
        factors=tuple(_factors(item.priority)),
        required=tuple(_required(item)),
        required_text=_required_text(item),
        defenses=tuple(_defenses(item, catalog)),
        todo=(),
    )


def _means(entry: Threat) -> Iterator[str]:
    yield entry.consequence
    yield f"What the attacker must reach: {entry.access}"
    yield f"What makes it possible: {entry.exploits}"


def _tags(entry: Threat, catalog: Catalog) -> Iterator[str]:
    yield "known as " + entry.known_as
    yield "attacker: " + ", ".join(catalog.positions[p].lower() for p in entry.positions)
    yield "at stake: " + ", ".join(catalog.assets[a].title.lower() for a in entry.assets.all)
    yield from entry.cwe
    yield from (f"ATLAS {name}" for name in entry.atlas)


def _score(name: str, score: Score) -> ScoreView:
    return ScoreView(name, score.vector, score.score, score.severity.value)


def _scores(card: ScoreCard) -> Iterator[ScoreView]:
    yield _score("CVSS 4.0 BTE", card.v40_bte)
    yield _score("CVSS 4.0 base", card.v40_b)
    yield _score("CVSS 3.1 environmental", card.v31_environmental)
    yield _score("CVSS 3.1 base", card.v31_base)


def _notes(item: ThreatAssessment) -> Iterator[str]:
    if item.scorecard:
        yield f"Why this base vector for the class {item.scorecard.device_class}: {item.scorecard.why}"
    if ref := item.reference:
        pairs = (("CVSS 3.1", ref.v31), ("CVSS 4.0", ref.v40))
        scores = ", ".join(f"{name} {value:.1f}" for name, value in pairs if value is not None)
        yield f"Published elsewhere: {scores or 'no score'} ({ref.source})."


def _changes(card: ScoreCard) -> Iterator[ChangeView]:
    for c in card.changes:
        reason = f"{c.reason} ({c.fact})" if c.fact else c.reason
        yield ChangeView(f"CVSS {c.version}", c.metric, f"{c.before} → {c.after}", reason, c.rule)


def _potential(potential: Potential) -> PotentialView:
    note = (
        f"Computed from the effort of evidence {potential.evidence[:12]}, basis {potential.basis.value}."
        if potential.evidence
        else f"Estimate of the catalog, basis {potential.basis.value}; no evidence says what the attack costs here."
    )
    factors = tuple(FactorView(f.name, f.value, f.reason, str(f.points)) for f in potential.factors)
    return PotentialView(potential.rating.value.replace("-", " "), potential.points, note, factors)


def _factors(priority: Priority) -> Iterator[FactorView]:
    for name, factor in (
        ("severity", priority.severity),
        ("feasibility", priority.feasibility),
        ("asset at stake", priority.asset),
    ):
        yield FactorView(name, number(factor.value), factor.reason)


def _required(item: ThreatAssessment) -> Iterator[RequiredView]:
    yield from (RequiredView(name, "ran") for name in item.required_run)
    yield from (RequiredView(name, NOT_PLANNED) for name in item.required_open)


def _required_text(item: ThreatAssessment) -> str:
    total = len(item.required_run) + len(item.required_open)
    ran = f"{len(item.required_run)} of {number_of(total, 'required attack')} ran."
    return f"{ran} All must run and fail before this threat counts as resisted."


def _defenses(item: ThreatAssessment, catalog: Catalog) -> Iterator[DefenseView]:
    for name in item.defenses:
        if defense := catalog.defenses.get(name):
            known = _MARKS[defense.mark]
            source = known if defense.source == "general knowledge" else f"{defense.source} ({known})"
            yield DefenseView(name, defense.title, defense.cost, source)
