from __future__ import annotations

import pytest

from threat.evidence_made import build_evidence
from tinymlsec.records import Basis, Effort, Equipment, Expertise, Knowledge, VerdictKind
from tinymlsec.threat import potential as p
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.entries import ElapsedTime, Window
from tinymlsec.threat.records import Potential, Rating

CATALOG = load_catalog()
DAY = 86_400.0


def of(threat: str, effort: Effort, verdict: VerdictKind = VerdictKind.VULNERABLE) -> Potential:
    return p.potential_of(CATALOG.threat(threat), [build_evidence("some-attack", threat, verdict, effort=effort)])


@pytest.mark.parametrize(
    ("points", "rating"),
    [
        (0, "basic"), (9, "basic"), (10, "enhanced-basic"), (13, "enhanced-basic"), (14, "moderate"), (19, "moderate"),
        (20, "high"), (24, "high"), (25, "beyond-high"), (60, "beyond-high"),
    ],
)  # fmt: skip
def test_ratings_of_the_cem(points: int, rating: str) -> None:
    assert p.rating_of(points) is Rating(rating)


@pytest.mark.parametrize(
    "table", [p.TIME_POINTS, p.EXPERTISE_POINTS, p.KNOWLEDGE_POINTS, p.WINDOW_POINTS, p.EQUIPMENT_POINTS]
)
def test_tables_are_complete_and_rise(table: dict[object, int]) -> None:
    assert list(table) == list(type(next(iter(table))))  # type: ignore[call-overload]
    assert list(table.values()) == sorted(table.values())


@pytest.mark.parametrize(
    ("days", "step"),
    [(0, "1d"), (1, "1d"), (1.01, "1w"), (14, "2w"), (30, "1m"), (31, "2m"), (183, "6m"), (184, "longer")],
)
def test_elapsed_time_in_steps(days: float, step: str) -> None:
    assert p.elapsed(days * DAY) is ElapsedTime(step)


def test_without_evidence_the_estimate_of_the_catalog_is_declared() -> None:
    for threat in CATALOG.threats.values():
        found = p.potential_of(threat, [])
        assert found.basis is Basis.DECLARED
        assert found.evidence is None
        assert all(factor.reason.startswith("declared: our estimate") for factor in found.factors)
        assert found.points == sum(factor.points for factor in found.factors)


def test_the_effort_of_a_success_counts() -> None:
    effort = Effort(
        attacker_seconds=3 * DAY, attacker_seconds_source="3,000 traces", knowledge=Knowledge.RESTRICTED,
        expertise=Expertise.EXPERT, equipment=Equipment.SPECIALIZED, samples=2,
    )  # fmt: skip
    found = of("H2", effort)
    assert [factor.points for factor in found.factors] == [1, 6, 3, 4, 4]
    assert (found.points, found.rating, found.basis) == (18, Rating.MODERATE, Basis.EXECUTED)
    assert "3,000 traces" in found.factors[0].reason


def test_time_that_evidence_does_not_state_is_estimated_and_says_so() -> None:
    time = of("H2", Effort()).factors[0]
    assert (time.value, time.points) == ("at most a month", 4)
    assert "states no time" in time.reason


@pytest.mark.parametrize("verdict", [VerdictKind.RESISTANT, VerdictKind.INCONCLUSIVE, VerdictKind.SKIPPED])
def test_the_effort_of_a_failure_does_not_count(verdict: VerdictKind) -> None:
    assert of("H2", Effort(samples=500), verdict) == p.potential_of(CATALOG.threat("H2"), [])


def test_the_cheapest_success_counts() -> None:
    runs = [
        build_evidence("dear", "H2", effort=Effort(equipment=Equipment.BESPOKE, attacker_seconds=1)),
        build_evidence("cheap", "H2", effort=Effort(equipment=Equipment.NONE, attacker_seconds=1)),
    ]
    assert p.potential_of(CATALOG.threat("H2"), runs).evidence == runs[1].key


@pytest.mark.parametrize(
    ("samples", "seconds", "window"),
    [(1, 10, "easy"), (9, 10, "easy"), (10, 10, "moderate"), (100, 10, "difficult"),
     (1, 2 * DAY, "moderate"), (1, 40 * DAY, "difficult")],
)  # fmt: skip
def test_window_in_the_limits_of_the_cem(samples: int, seconds: float, window: str) -> None:
    found = of("H9", Effort(samples=samples, attacker_seconds=seconds)).factors[3]
    assert (found.value, found.points) == (window, p.WINDOW_POINTS[Window(window)])


def test_more_effort_is_never_fewer_points() -> None:
    dearer = {
        "attacker_seconds": [0.0, DAY, 8 * DAY, 40 * DAY, 400 * DAY], "samples": [1, 5, 50, 500],
        "expertise": list(Expertise), "knowledge": list(Knowledge), "equipment": list(Equipment),
    }  # fmt: skip
    for name, values in dearer.items():
        for threat in ("H9", "M2"):
            points = [of(threat, Effort.model_validate({"attacker_seconds": 1.0, name: v})).points for v in values]
            assert points == sorted(points), name
            assert points[0] < points[-1]
