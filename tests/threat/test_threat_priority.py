from __future__ import annotations

import random
from typing import Any

import pytest

from tinymlsec.target.deployment import Deployment
from tinymlsec.threat import priority as p
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.facts import collect_facts, fact_order
from tinymlsec.threat.outcome import outcome_of
from tinymlsec.threat.potential import from_estimate, rating_of
from tinymlsec.threat.records import Priority, ThreatOutcome
from tinymlsec.threat.rules import rules_for
from tinymlsec.threat.scoring import score_facts

CATALOG = load_catalog()


def priority(
    threat_id: str,
    profile: dict[str, Any] | None = None,
    *,
    points: int | None = None,
    outcome: ThreatOutcome = ThreatOutcome.UNTESTED,
    device_class: str = "TinyML",
) -> Priority:
    threat = CATALOG.threat(threat_id)
    facts = collect_facts(None, Deployment.model_validate(profile or {}))
    known = outcome_of(threat, device_class, []).model_copy(update={"kind": outcome})  # type: ignore[arg-type]
    card = score_facts(threat, device_class, facts, known)  # type: ignore[arg-type]
    potential = from_estimate(threat.estimate)
    if points is not None:
        potential = potential.model_copy(update={"points": points, "rating": rating_of(points)})
    return p.priority_of(threat, card, potential, known, facts)


def test_value_is_the_product_of_the_printed_factors() -> None:
    for threat_id in CATALOG.threats:
        found = priority(threat_id)
        product = found.severity.value * found.feasibility.value * found.asset.value
        assert found.value == pytest.approx(100 * product, abs=0.051)
        assert found.formula == p.FORMULA
        assert all(part.reason for part in (found.severity, found.feasibility, found.asset))


def test_readout_of_a_device_anyone_can_pick_up_is_not_low() -> None:
    profile = {"access": {"physical": "public", "lab_access": "yes"}, "assets": {"model": "high"}}
    readout = priority("H9", profile)
    assert readout.value > 75
    assert readout.value > priority("H9").value > priority("H12", profile).value


def test_severity_is_the_consequence_alone() -> None:
    """The same impact gives the same severity, wherever the attacker must stand and however hard it is."""
    threat = CATALOG.threat("H9")
    assert p.opened(threat.vectors["TinyML"].v40) == p.opened(CATALOG.threat("S1").vectors["TinyML"].v40)
    assert priority("H9").severity == priority("S1").severity
    assert "MAV" not in p.opened(f"{threat.vectors['TinyML'].v40}/CR:H/MAV:A/MVC:L/E:U")
    assert p.opened(f"{threat.vectors['TinyML'].v40}/CR:H/MVC:L/E:U").endswith("/MVC:L")


def test_monotone_in_attack_potential() -> None:
    for threat_id in CATALOG.threats:
        values = [priority(threat_id, points=points).value for points in (0, 10, 14, 20, 25)]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1]


@pytest.mark.parametrize("threat_id", ["H9", "M5", "S1"])
def test_monotone_in_the_worth_of_assets(threat_id: str) -> None:
    names = ("model", "user_data", "training_data", "decisions", "availability", "safety", "keys", "firmware")
    worths = ("none", "low", "medium", "high")
    values = [priority(threat_id, {"assets": dict.fromkeys(names, worth)}).value for worth in worths]
    assert values == sorted(values)
    assert len(set(values)) == 4
    assert priority(threat_id).value == values[2], "not known counts as medium"


def test_monotone_in_severity() -> None:
    milder = priority("M5", {"model": {"encrypted_at_rest": "yes"}})
    assert milder.severity.value < priority("M5").severity.value
    assert milder.value < priority("M5").value


def test_order_of_outcomes() -> None:
    kinds = (ThreatOutcome.DEMONSTRATED, ThreatOutcome.INDICATED, ThreatOutcome.UNTESTED, ThreatOutcome.RESISTED)
    for threat_id in CATALOG.threats:
        shown, indicated, untested, resisted = (priority(threat_id, outcome=kind) for kind in kinds)
        assert indicated.value == untested.value > resisted.value > 0
        certain = untested.feasibility.value == 1.0
        assert shown.value == untested.value if certain else shown.value > untested.value


def test_a_demonstration_beats_the_estimate() -> None:
    shown = priority("H7", outcome=ThreatOutcome.DEMONSTRATED)
    assert shown.feasibility.value > 0.5 > priority("H7").feasibility.value


def test_what_does_not_apply_has_none() -> None:
    assert priority("M12", outcome=ThreatOutcome.NOT_APPLICABLE, device_class="IoT").value == 0


def test_protection_lowers_priority() -> None:
    fused = {"debug": {"port": "fused", "readout_protection": "permanent", "bootloader": "disabled"}}
    found = priority("H9", fused)
    assert "made harder by facts (AC, AT)" in found.feasibility.reason
    assert found.value < priority("H9").value


def test_better_protection_never_raises_priority() -> None:
    rng, order = random.Random(5), fact_order()
    for _ in range(60):
        threat = rng.choice(list(CATALOG.threats.values()))
        device_class = rng.choice(list(threat.vectors))
        facts = {name: rng.choice((*values, "unknown")) for name, values in order.items()}
        known, potential = outcome_of(threat, device_class, []), from_estimate(threat.estimate)
        read = {name for one in rules_for(threat.id) for name, _ in one.when} | {"access.physical", "access.lab_access"}
        for name in sorted(read):
            values = []
            for value in order[name]:
                changed = {**facts, name: value}
                card = score_facts(threat, device_class, changed, known)
                values.append(p.priority_of(threat, card, potential, known, changed).value)
            assert values == sorted(values), (threat.id, device_class, name)


def test_closing_a_software_path_of_a_device_in_the_open_does_not_raise_priority() -> None:
    facts = {"access": {"physical": "public"}, "interfaces": {"network_exposure": "none"}}
    values = [
        priority("S4", {**facts, "update": {"channel": channel}}).value for channel in ("none", "local", "server")
    ]
    assert values == sorted(values)


def test_better_access_control_never_raises_priority() -> None:
    for threat_id in CATALOG.threats:
        values = [
            priority(threat_id, {"access": {"physical": who, "lab_access": "no"}}).value
            for who in ("controlled", "restricted", "public")
        ]
        assert values == sorted(values)


def test_only_version_4_enters() -> None:
    threat = CATALOG.threat("H9")
    facts = collect_facts(None, Deployment())
    known = outcome_of(threat, "TinyML", [])
    card = score_facts(threat, "TinyML", facts, known)
    assert card is not None
    other = card.model_copy(update={"v31_base": card.v40_b, "v31_environmental": card.v40_b})
    potential = from_estimate(threat.estimate)
    assert p.priority_of(threat, card, potential, known, facts) == p.priority_of(threat, other, potential, known, facts)
