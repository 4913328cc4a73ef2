"""Applies the table of rules to base vectors: which modified metrics follow, and from which rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tinymlsec.threat.facts import Facts
from tinymlsec.threat.rule import Rule
from tinymlsec.threat.vectors import Version, base_metric, rank


class Setting(NamedTuple):
    """One modified metric that one rule asks for."""

    metric: str
    value: str
    rule: Rule


def holding(rules: Sequence[Rule], facts: Facts, base_av: str) -> list[Rule]:
    """The rules whose facts hold and that are meant for the base attack vector."""
    return [one for one in rules if (not one.base_av or base_av in one.base_av) and one.holds(facts)]


def modified_metrics(version: Version, base: dict[str, str], rules: Sequence[Rule]) -> dict[str, list[Setting]]:
    """The modified base metrics that differ from the base, each with the rules that ask for its value.

    All rules that raise come first, then all that lower, so the result does not depend on their order: per metric it
    is the mildest of what lowering rules allow and the worst of base and raising rules.

    Args:
        version: of CVSS.
        base: base metrics of the vector; never changed.
        rules: rules that hold.
    """
    result: dict[str, list[Setting]] = {}
    for metric in dict.fromkeys(name for one in rules for name, _ in one.metrics(version)):
        settings = [
            Setting(metric, value, one) for one in rules for name, value in one.metrics(version) if name == metric
        ]
        value = _final(version, metric, base[base_metric(metric)], settings)
        if value != base[base_metric(metric)]:
            result[metric] = [one for one in settings if one.value == value]
    return result


def _final(version: Version, metric: str, base: str, settings: Sequence[Setting]) -> str:
    def ranked(value: str) -> int:
        return rank(version, metric, value)

    worst = max((base, *(one.value for one in settings if one.rule.direction == "raise")), key=ranked)
    return min((worst, *(one.value for one in settings if one.rule.direction == "lower")), key=ranked)
