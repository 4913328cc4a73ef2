"""Better protection never scores higher: every fact that can matter, on every threat, class and CVSS version."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import pytest

from tinymlsec.target.device_facts import DeviceClass
from tinymlsec.threat import scoring
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.entries import Threat
from tinymlsec.threat.facts import fact_order
from tinymlsec.threat.requirements import requirements
from tinymlsec.threat.rule import Rule, rule
from tinymlsec.threat.rules import rules_for
from tinymlsec.threat.vectors import score_v40, scores_v31

ORDER = fact_order()
THREATS = load_catalog().threats
BACKGROUNDS = {
    "nothing known": dict.fromkeys(ORDER, "unknown"),
    "all protected": {name: values[0] for name, values in ORDER.items()},
    "all open": {name: values[-1] for name, values in ORDER.items()},
}


@cache
def relevant(threat_id: str) -> tuple[str, ...]:
    """Facts that rules or requirements of a threat read."""
    threat = THREATS[threat_id]
    entries = {entry for asset in threat.assets.all for entry in load_catalog().assets[asset].profile}
    read = {name for one in rules_for(threat_id) for name, _ in one.when} | {f"assets.{entry}" for entry in entries}
    return tuple(sorted(read | {"product.safety_critical"}))


def vectors_of(threat: Threat, device_class: DeviceClass, facts: dict[str, str]) -> tuple[str, str]:
    needs, base = requirements(threat, facts), threat.vectors[device_class]
    old, _ = scoring.environmental(threat, "3.1", base.v31, facts, needs)
    new, _ = scoring.environmental(threat, "4.0", base.v40, facts, needs)
    return old, new


def scores(threat: Threat, device_class: DeviceClass, facts: dict[str, str]) -> tuple[float, float]:
    old, new = vectors_of(threat, device_class, facts)
    return scores_v31(old)[1], score_v40(new)


def violations(threat: Threat, device_class: DeviceClass, facts: dict[str, str], name: str) -> Iterator[str]:
    """Pairs of values of one fact, the better first, where the better one scores higher."""
    by_value = {v: scores(threat, device_class, {**facts, name: v}) for v in (*ORDER[name], "unknown")}
    known = ORDER[name]
    pairs = [*pairwise(known), (known[0], "unknown"), ("unknown", known[-1])]
    for better, worse in pairs:
        for version, low, high in zip(("3.1", "4.0"), by_value[better], by_value[worse], strict=True):
            if low > high:
                yield f"{threat.id} {device_class} {version}: {name} = {better} {low} above {worse} {high}"


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_one_fact_at_a_time(background: str) -> None:
    facts = BACKGROUNDS[background]
    found = [
        text
        for threat in THREATS.values()
        for device_class in threat.vectors
        for name in relevant(threat.id)
        for text in violations(threat, device_class, facts, name)
    ]
    assert found == []


def test_random_combinations() -> None:
    rng = random.Random(20260101)
    found: list[str] = []
    for _ in range(250):
        threat = rng.choice(list(THREATS.values()))
        device_class = rng.choice(list(threat.vectors))
        facts = {name: rng.choice((*values, "unknown")) for name, values in ORDER.items()}
        found += [text for name in relevant(threat.id) for text in violations(threat, device_class, facts, name)]
    assert found == []


def test_other_facts_change_nothing() -> None:
    for threat in THREATS.values():
        for device_class in threat.vectors:
            kept = {name: BACKGROUNDS["all protected"][name] for name in relevant(threat.id)}
            all_vectors = {vectors_of(threat, device_class, {**facts, **kept}) for facts in BACKGROUNDS.values()}
            assert len(all_vectors) == 1


def test_protection_does_move_scores() -> None:
    """Otherwise the tests above would pass on a table that does nothing."""
    moved = 0
    for threat in THREATS.values():
        blank, best, worst = (scores(threat, "TinyML", facts) for facts in BACKGROUNDS.values())
        moved += best < blank and blank <= worst
    assert moved >= 35


def test_protection_never_removes_a_threat() -> None:
    for threat in THREATS.values():
        for device_class in threat.vectors:
            assert min(scores(threat, device_class, BACKGROUNDS["all protected"])) > 0


@pytest.mark.parametrize(
    "bad",
    [
        rule("TST-01", "H9", {"debug.port": "fused"}, "MS:C", "MSC:H", "Punishes a fuse.", direction="raise"),
        rule("TST-02", "H9", {"debug.port": "open"}, "MAC:H", "MAC:H", "Rewards an open port."),
    ],
    ids=["raises", "lowers"],
)
def test_a_rule_the_wrong_way_round_is_caught(bad: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "rules_for", lambda _: (bad,))
    found = list(violations(THREATS["H9"], "TinyML", BACKGROUNDS["nothing known"], "debug.port"))
    assert any("3.1" in text for text in found)
    assert any("4.0" in text for text in found)
