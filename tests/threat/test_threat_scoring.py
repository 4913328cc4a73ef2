from __future__ import annotations

from typing import Any

import pytest

from threat.evidence_made import build_evidence
from tinymlsec.records import Severity, VerdictKind
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.device_facts import DeviceClass
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.records import ScoreCard
from tinymlsec.threat.scoring import score

CATALOG = load_catalog()
R, V = VerdictKind.RESISTANT, VerdictKind.VULNERABLE


def card(threat: str, profile: dict[str, Any] | None = None, device_class: DeviceClass = "TinyML") -> ScoreCard:
    found = score(CATALOG.threat(threat), device_class, None, Deployment.model_validate(profile or {}))
    assert found is not None
    return found


def by_metric(found: ScoreCard, version: str) -> dict[str, str]:
    return {change.metric: change.after for change in found.changes if change.version == version}


def test_nothing_known_leaves_the_base_vector() -> None:
    for threat in CATALOG.threats.values():
        for device_class, vectors in threat.vectors.items():
            found = card(threat.id, device_class=device_class)
            assert found.changes == ()
            assert (found.v31_environmental.vector, found.v40_bte.vector) == (vectors.v31, vectors.v40)
            assert found.v40_bte.score == found.v40_b.score


def test_no_vector_no_score() -> None:
    assert score(CATALOG.threat("M12"), "IoT", None, Deployment()) is None


@pytest.mark.parametrize(
    ("threat", "profile", "v31", "v40"),
    [
        ("H9", {"debug": {"port": "fused", "bootloader": "disabled"}}, {"MAC": "H"}, {"MAC": "H"}),
        ("S1", {"interfaces": {"network_exposure": "none"}}, {"MAV": "L"}, {"MAV": "L"}),
        ("S1", {"interfaces": {"network_exposure": "internet"}}, {"MAV": "N"}, {"MAV": "N"}),
        ("S4", {"update": {"signed": True}}, {"MAC": "H"}, {"MAC": "H", "MAT": "P"}),
        ("S4", {"update": {"signed": True, "model_separate": True, "model_signed": False}}, {}, {}),
        ("M4", {"interfaces": {"outputs": "label"}}, {}, {"MAT": "P"}),
        ("H2", {"keys": {"shared_fleet_key": True}}, {"MS": "C"}, {"MSC": "H"}),
        ("M1", {"product": {"safety_critical": True}}, {"IR": "H"}, {"IR": "H", "MSI": "S"}),
        ("M5", {"assets": {"model": "high"}}, {"CR": "H"}, {"CR": "H"}),
        ("M5", {"assets": {"model": "none"}}, {"CR": "L"}, {"CR": "L"}),
        ("M8", {"assets": {"user_data": "low", "training_data": "medium"}}, {"CR": "M"}, {"CR": "M"}),
        ("H2", {"assets": {"model": "low"}}, {}, {}),
    ],
)
def test_facts_set_their_metrics(
    threat: str, profile: dict[str, Any], v31: dict[str, str], v40: dict[str, str]
) -> None:
    found = card(threat, profile)
    assert (by_metric(found, "3.1"), by_metric(found, "4.0")) == (v31, v40)
    for metric, value in v40.items():
        assert f"/{metric}:{value}" in found.v40_bte.vector


def test_a_change_says_what_why_and_from_which_fact() -> None:
    found = card("H9", {"debug": {"port": "fused", "bootloader": "disabled"}})
    change = found.changes[0]
    assert (change.metric, change.before, change.after, change.rule) == ("MAC", "L", "H", "DBG-01")
    assert "debug.port = fused" in change.fact
    assert "debug port is off for good" in change.reason
    assert found.v31_environmental.score < found.v31_base.score
    assert found.v40_bte.score < found.v40_b.score


def test_a_part_with_a_known_bypass_or_without_the_feature_is_not_believed() -> None:
    class Part:
        def __init__(self, answer: str, bypassed: bool) -> None:
            self.answer, self.bypassed = answer, bypassed

        def fact(self, _: str) -> str:
            return self.answer

        def bypasses(self, _: str) -> tuple[str, ...]:
            return ("a glitch",) if self.bypassed else ()

    profile = Deployment.model_validate({"debug": {"readout_protection": "permanent"}})
    changed = {}
    for answer, bypassed in (("yes", False), ("no", False), ("yes", True), ("unknown", False)):
        found = score(CATALOG.threat("H9"), "TinyML", Part(answer, bypassed), profile)  # type: ignore[arg-type]
        assert found is not None
        changed[answer, bypassed] = "MAC" in by_metric(found, "4.0")
    assert changed == {("yes", False): True, ("no", False): False, ("yes", True): False, ("unknown", False): True}


def test_evidence_sets_exploit_maturity_and_nothing_else() -> None:
    threat = CATALOG.threat("M2")
    runs = {
        "A": [build_evidence("square", "M2", V)],
        "X": [build_evidence("square", "M2", VerdictKind.INCONCLUSIVE)],
        "P": [build_evidence("square", "M2", R)],
        "U": [build_evidence("square", "M2", R), build_evidence("hopskipjump", "M2", R)],
    }
    cards = {letter: score(threat, "TinyML", None, Deployment(), items) for letter, items in runs.items()}
    assert {letter: found.exploit_maturity for letter, found in cards.items() if found} == {k: k for k in runs}
    plain = card("M2")
    for letter, found in cards.items():
        assert found is not None
        assert found.v40_bte.vector == plain.v40_bte.vector + ("" if letter == "X" else f"/E:{letter}")
        assert found.v31_environmental == plain.v31_environmental
    bte = {letter: found.v40_bte.score for letter, found in cards.items() if found}
    assert bte["A"] == bte["X"] > bte["P"] > bte["U"]


def test_evidence_about_other_threats_is_left_aside() -> None:
    found = score(CATALOG.threat("M2"), "TinyML", None, Deployment(), [build_evidence("pgd", "M1", V)])
    assert found == card("M2")


def test_severity_follows_the_score() -> None:
    found = card("S1", {"product": {"safety_critical": True}})
    assert found.v40_bte.severity is Severity.from_score(found.v40_bte.score) is Severity.CRITICAL


def test_cards_go_to_json_and_back() -> None:
    found = card("H6", {"assets": {"keys": "high"}, "boot": {"fault_hardened": True}})
    assert ScoreCard.model_validate_json(found.model_dump_json()) == found
