from __future__ import annotations

import re

import pytest

from tinymlsec.target.deployment import Deployment
from tinymlsec.target.device import FEATURE_NAMES
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.facts import _ANY_OF, DEPLOYMENT_FACTS, DEVICE_FACTS, collect_facts, fact_order
from tinymlsec.threat.modify import holding, modified_metrics
from tinymlsec.threat.rule import Rule, rule
from tinymlsec.threat.rules import ALL_RULES, SAFETY_RULES, rules_for
from tinymlsec.threat.vectors import base_metric, parse, rank

THREATS = load_catalog().threats
ALLOWED = {
    "3.1": {"MAV", "MAC", "MPR", "MUI", "MS", "MC", "MI", "MA"},
    "4.0": {"MAV", "MAC", "MAT", "MPR", "MUI", "MVC", "MVI", "MVA", "MSC", "MSI", "MSA"},
}


def test_ids_are_unique_and_well_formed() -> None:
    ids = [one.id for one in ALL_RULES]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Z]{3,4}-\d\d", name) for name in ids)


@pytest.mark.parametrize("one", ALL_RULES, ids=lambda one: one.id)
def test_rule_reads_known_facts_and_sets_modified_metrics_only(one: Rule) -> None:
    order = fact_order()
    assert set(one.threats) <= set(THREATS)
    assert one.reason.endswith(".")
    assert one.v31 or one.v40
    for fact, values in one.when:
        assert set(values) <= {*order[fact], "unknown"}
    for version in ("3.1", "4.0"):
        for metric, value in one.metrics(version):  # type: ignore[arg-type]
            assert metric in ALLOWED[version]
            rank(version, metric, value)  # type: ignore[arg-type]


@pytest.mark.parametrize("one", ALL_RULES, ids=lambda one: one.id)
def test_some_known_fact_decides_every_rule(one: Rule) -> None:
    assert any("unknown" not in values for _, values in one.when)


@pytest.mark.parametrize("one", ALL_RULES, ids=lambda one: one.id)
def test_conditions_are_ends_of_the_order_of_their_fact(one: Rule) -> None:
    """Lowering rules hold from the best value on downwards without gaps, raising ones from the worst on upwards."""
    for fact, values in one.when:
        ordered = fact_order()[fact]
        known = [value for value in ordered if value in values]
        end = ordered[: len(known)] if one.direction == "lower" else ordered[-len(known) :]
        assert known == list(end), (fact, values)


@pytest.mark.parametrize("one", ALL_RULES, ids=lambda one: one.id)
def test_every_rule_does_something_for_every_threat_it_names(one: Rule) -> None:
    for threat_id in one.threats:
        effects = 0
        for vectors in THREATS[threat_id].vectors.values():
            for version, vector in (("3.1", vectors.v31), ("4.0", vectors.v40)):
                _, base = parse(vector)
                facts = {fact: values[0] for fact, values in one.when}
                effects += bool(modified_metrics(version, base, holding([one], facts, base["AV"])))  # type: ignore[arg-type]
        assert effects, f"{one.id} changes nothing for {threat_id} in any class or version"


def test_facts_are_fields_of_profile_and_device() -> None:
    known = {name for name, _, _ in Deployment().facts()}
    assert set(DEPLOYMENT_FACTS) <= known
    for name in DEVICE_FACTS:
        parts = _ANY_OF.get(name, (name.partition(".")[2],))
        assert set(parts) <= set(FEATURE_NAMES)


def test_every_fact_is_read_by_some_rule() -> None:
    read = {fact for one in ALL_RULES for fact, _ in one.when}
    assert {*DEPLOYMENT_FACTS, *DEVICE_FACTS} == read


def test_values_of_facts_are_those_of_the_profile() -> None:
    for name, values in DEPLOYMENT_FACTS.items():
        section, _, key = name.partition(".")
        for value in (*values, "unknown"):
            Deployment.model_validate({section: {key: value}})


def test_nothing_known_changes_nothing() -> None:
    facts = collect_facts(None, Deployment())
    assert set(facts.values()) == {"unknown"}
    assert not any(one.holds(facts) for one in ALL_RULES)


def test_safety_rules_name_the_threats_to_decisions_and_service() -> None:
    decisions, service = (set(one.threats) for one in SAFETY_RULES)
    assert decisions == {t.id for t in THREATS.values() if {"outputs", "actuation"} & set(t.assets.integrity)}
    assert service == {t.id for t in THREATS.values() if "service" in t.assets.availability}


def test_order_of_rules_does_not_matter() -> None:
    _, base = parse(THREATS["S7"].vectors["TinyML"].v40)
    facts = {
        **{fact: values[0] for fact, values in fact_order().items()},
        "interfaces.network_exposure": "internet", "keys.default_credentials": "yes",
    }  # fmt: skip
    rules = holding(rules_for("S7"), facts, base["AV"])
    both = [modified_metrics("4.0", base, order) for order in (rules, rules[::-1])]
    assert len(rules) > 2
    assert {k: {s.rule.id for s in v} for k, v in both[0].items()} == {
        k: {s.rule.id for s in v} for k, v in both[1].items()
    }


def test_a_lowering_rule_never_raises_and_a_raising_one_never_lowers() -> None:
    base = {"AV": "L", "AC": "H"}
    lower = rule("TST-01", "H1", {"debug.port": "fused"}, "MAV:N MAC:L", "", "Would raise.")
    upper = rule("TST-02", "H1", {"debug.port": "open"}, "MAV:P MAC:H", "", "Would lower.", direction="raise")
    assert modified_metrics("3.1", base, [lower, upper]) == {}
    assert base_metric("MAV") == "AV"
