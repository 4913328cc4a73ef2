from __future__ import annotations

from itertools import permutations, product

import pytest

from threat.evidence_made import build_evidence
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.outcome import outcome_of
from tinymlsec.threat.records import Outcome, ThreatOutcome

CATALOG = load_catalog()
V, R, OPEN, S, E = (
    VerdictKind.VULNERABLE, VerdictKind.RESISTANT, VerdictKind.INCONCLUSIVE, VerdictKind.SKIPPED, VerdictKind.ERROR,
)  # fmt: skip
EXECUTED, STATIC, DECLARED = Basis.EXECUTED, Basis.STATIC, Basis.DECLARED

Runs = list[tuple[str, VerdictKind, Basis]]


def judge(threat: str, runs: Runs, device_class: str = "TinyML") -> Outcome:
    evidence = [build_evidence(attack, threat, verdict, basis) for attack, verdict, basis in runs]
    return outcome_of(CATALOG.threat(threat), device_class, evidence)  # type: ignore[arg-type]


TABLE: list[tuple[str, Runs, ThreatOutcome]] = [
    ("M2", [], ThreatOutcome.UNTESTED),
    ("M2", [("square", V, EXECUTED)], ThreatOutcome.DEMONSTRATED),
    ("M2", [("square", V, Basis.MEASURED)], ThreatOutcome.DEMONSTRATED),
    ("M2", [("square", V, Basis.SIMULATED)], ThreatOutcome.DEMONSTRATED),
    ("M2", [("square", V, STATIC)], ThreatOutcome.INDICATED),
    ("M2", [("square", V, DECLARED)], ThreatOutcome.INDICATED),
    ("M2", [("some-plug-in", V, EXECUTED)], ThreatOutcome.DEMONSTRATED),
    ("M2", [("square", V, STATIC), ("hopskipjump", V, EXECUTED)], ThreatOutcome.DEMONSTRATED),
    ("M2", [("square", R, EXECUTED), ("hopskipjump", V, EXECUTED)], ThreatOutcome.DEMONSTRATED),
    ("M2", [("square", R, EXECUTED)], ThreatOutcome.UNTESTED),
    ("M2", [("square", R, EXECUTED), ("hopskipjump", R, EXECUTED)], ThreatOutcome.RESISTED),
    ("M2", [("square", R, EXECUTED), ("hopskipjump", OPEN, EXECUTED)], ThreatOutcome.UNTESTED),
    ("M2", [("square", R, EXECUTED), ("hopskipjump", S, EXECUTED)], ThreatOutcome.UNTESTED),
    ("M2", [("square", R, EXECUTED), ("hopskipjump", E, EXECUTED)], ThreatOutcome.UNTESTED),
    (
        "M2",
        [("square", R, EXECUTED), ("square", OPEN, EXECUTED), ("hopskipjump", R, EXECUTED)],
        ThreatOutcome.UNTESTED,
    ),
    ("M2", [("some-plug-in", R, EXECUTED), ("other-plug-in", R, EXECUTED)], ThreatOutcome.UNTESTED),
    ("H8", [("random-bit-flips", OPEN, EXECUTED)], ThreatOutcome.UNTESTED),
    ("H8", [("random-bit-flips", R, EXECUTED)], ThreatOutcome.UNTESTED),
    ("H8", [("progressive-bit-search", R, EXECUTED)], ThreatOutcome.RESISTED),
    ("H8", [("progressive-bit-search", R, EXECUTED), ("random-bit-flips", V, EXECUTED)], ThreatOutcome.DEMONSTRATED),
    ("M5", [("static-extraction", V, STATIC)], ThreatOutcome.INDICATED),
    ("M5", [("static-extraction", V, EXECUTED)], ThreatOutcome.DEMONSTRATED),
    ("H9", [("rules-debug-port", R, DECLARED)], ThreatOutcome.RESISTED),
]


@pytest.mark.parametrize(("threat", "runs", "expected"), TABLE)
def test_truth_table(threat: str, runs: Runs, expected: ThreatOutcome) -> None:
    for order in permutations(runs):
        assert judge(threat, list(order)).kind is expected


def test_every_combination_of_two_required_attacks() -> None:
    """The rule written down a second time, over all verdicts and bases."""
    shown = (Basis.EXECUTED, Basis.MEASURED, Basis.SIMULATED)
    cases = list(product(VerdictKind, Basis))
    for first, second in product(cases, cases):
        kind = judge("M2", [("square", *first), ("hopskipjump", *second)]).kind
        hits = [basis for verdict, basis in (first, second) if verdict is V]
        if any(basis in shown for basis in hits):
            assert kind is ThreatOutcome.DEMONSTRATED
        elif hits:
            assert kind is ThreatOutcome.INDICATED
        elif first[0] is R and second[0] is R:
            assert kind is ThreatOutcome.RESISTED
        else:
            assert kind is ThreatOutcome.UNTESTED


def test_untested_says_how_many_ran_and_what_is_open() -> None:
    found = judge("M2", [("square", OPEN, EXECUTED), ("random-thing", R, EXECUTED)])
    assert found.reason == "1 of 2 required attacks ran; open: hopskipjump; no clear answer from square"
    assert (found.required_run, found.required_open) == (("square",), ("hopskipjump",))
    assert len(found.supporting) == 2


def test_skipped_and_failed_attacks_did_not_run() -> None:
    found = judge("M2", [("square", S, EXECUTED), ("hopskipjump", E, EXECUTED)])
    assert found.reason.startswith("0 of 2 required attacks ran")
    assert found.supporting == ()
    assert found.basis is None


def test_the_strongest_basis_is_named() -> None:
    found = judge("M2", [("square", V, Basis.SIMULATED), ("hopskipjump", V, EXECUTED), ("x-static", V, STATIC)])
    assert found.basis is EXECUTED
    assert len(found.supporting) == 2, "static evidence does not support a demonstration"


def test_not_applicable_has_its_reason_and_hides_nothing() -> None:
    assert judge("M12", [], "IoT").kind is ThreatOutcome.NOT_APPLICABLE
    found = judge("M12", [("model-tampering", V, EXECUTED)], "IoT")
    assert found.kind is ThreatOutcome.NOT_APPLICABLE
    assert "model-tampering says vulnerable: the device class is probably wrong" in found.reason
    assert len(found.supporting) == 1
