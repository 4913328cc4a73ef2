"""Finds the rules: those in this package, and those that other packages bring."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from tinymlsec.errors import PluginError, UsageError
from tinymlsec.rules.rule import Rule, Subject
from tinymlsec.rules.subjects import FAMILIES

ENTRY_POINT_GROUP = "tinymlsec.rules"


@dataclass(frozen=True)
class RuleBook:
    """All rules that were found, in the order in which they run, and what could not be loaded."""

    rules: Mapping[str, Rule[Any]]
    problems: tuple[str, ...] = ()
    """Plug-ins that could not be loaded; never fatal."""

    def about(self, subject: Subject) -> tuple[Rule[Any], ...]:
        """The rules for one kind of subject, in order."""
        return tuple(spec for spec in self.rules.values() if spec.subject is subject)

    def get(self, rule_id: str) -> Rule[Any]:
        """One rule by its id.

        Raises:
            UsageError: there is none of that id.
        """
        try:
            return self.rules[rule_id.upper()]
        except KeyError:
            raise UsageError(
                "there is no rule of that id", found=rule_id[:40], next_step="see: tinymlsec list rules"
            ) from None


def _order(spec: Rule[Any]) -> tuple[int, str]:
    return (FAMILIES.index(spec.family) if spec.family in FAMILIES else len(FAMILIES), spec.id)


def _rules_in(module: ModuleType) -> Iterator[Rule[Any]]:
    for value in vars(module).values():
        if isinstance(value, Rule) and value.module == module.__name__:
            yield value


def _builtin() -> Iterator[Rule[Any]]:
    package = importlib.import_module("tinymlsec.rules")
    for info in pkgutil.iter_modules(package.__path__, "tinymlsec.rules."):
        if not info.ispkg and not info.name.rpartition(".")[2].startswith("_"):
            yield from _rules_in(importlib.import_module(info.name))


@cache
def rule_book() -> RuleBook:
    """Every rule. A plug-in that cannot be loaded, or takes an id in use, is reported and left out.

    Raises:
        PluginError: two of our own rules have one id.
    """
    found: dict[str, Rule[Any]] = {}
    for spec in _builtin():
        if spec.id in found:
            raise PluginError(f"two rules have the id {spec.id}", found=f"{found[spec.id].module} and {spec.module}")
        found[spec.id] = spec
    problems: list[str] = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        try:
            for spec in _rules_in(point.load()):
                if spec.id in found:
                    raise PluginError(f"rule id {spec.id} is taken", found=point.value)
                found[spec.id] = replace(spec, provider=point.dist.name if point.dist else point.value)
        except (Exception, SystemExit) as error:
            problems.append(f"plug-in {point.name} ({point.value}): {type(error).__name__}: {error}")
    return RuleBook(dict(sorted(found.items(), key=lambda pair: _order(pair[1]))), tuple(problems))
