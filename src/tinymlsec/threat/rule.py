"""One scoring rule: which facts change which modified metrics of which threats, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinymlsec.threat.facts import Facts
from tinymlsec.threat.vectors import Version

Direction = Literal["lower", "raise"]


@dataclass(frozen=True)
class Rule:
    """A row of the table of allowed changes.

    A rule that lowers never makes a metric worse, and one that raises never makes it milder, whatever the base vector
    is; so the order of rules does not matter and better protection cannot raise a metric.
    """

    id: str
    threats: tuple[str, ...]
    when: tuple[tuple[str, tuple[str, ...]], ...]
    """Facts and the values they may have; all must hold."""
    v31: tuple[tuple[str, str], ...]
    """Modified metrics of CVSS 3.1 and their values."""
    v40: tuple[tuple[str, str], ...]
    """Modified metrics of CVSS 4.0 and their values."""
    reason: str
    direction: Direction = "lower"
    base_av: tuple[str, ...] = ()
    """Attack vectors of the base vector that the rule is meant for; empty for all."""

    def holds(self, facts: Facts) -> bool:
        """Whether every fact has one of the values asked for."""
        return all(facts.get(name, "unknown") in values for name, values in self.when)

    def metrics(self, version: Version) -> tuple[tuple[str, str], ...]:
        """The changes for one version of CVSS."""
        return self.v31 if version == "3.1" else self.v40


def rule(
    rule_id: str,
    threats: str,
    when: Mapping[str, str],
    v31: str,
    v40: str,
    reason: str,
    *,
    direction: Direction = "lower",
    base_av: str = "",
) -> Rule:
    """A rule from words separated by blanks, so that the tables stay readable.

    Args:
        rule_id: stable id such as ``DBG-01``.
        threats: ids of the threats it applies to.
        when: fact -> values that it may have.
        v31: changes such as ``MAC:H MC:L``; empty for none.
        v40: the same for CVSS 4.0.
        reason: one sentence for the report.
        direction: whether it may lower or raise metrics.
        base_av: letters of the base attack vectors it is meant for.
    """
    conditions = tuple((fact, tuple(values.split())) for fact, values in when.items())
    return Rule(
        rule_id, tuple(threats.split()), conditions, _changes(v31), _changes(v40), reason, direction, tuple(base_av)
    )


def _changes(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (word.partition(":") for word in text.split())
    return tuple((metric, value) for metric, _, value in pairs)
