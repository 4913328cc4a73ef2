"""SARIF reporting descriptors of the scanner's rules: those that have a result."""

from __future__ import annotations

import inspect
from typing import Any

from tinymlsec.records import Confidence, Finding, Severity
from tinymlsec.report.sarif_rules import LEVELS, PRECISION, SCORES, descriptor, tags
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Rule
from tinymlsec.scan.output.rows import all_rows
from tinymlsec.scan.records import Known, ScanReport


def descriptors_of(report: ScanReport) -> list[dict[str, Any]]:
    """One for each rule with a finding, accepted, known and gone ones included, in the order of their ids."""
    worst: dict[str, Finding | Known] = {}
    items: list[Finding | Known] = [*(row.finding for row in all_rows(report)), *report.gone]
    for item in items:
        key = item.id if isinstance(item, Finding) else item.rule
        if key not in worst or item.severity.rank > worst[key].severity.rank:
            worst[key] = item
    return [_descriptor(key, worst[key]) for key in sorted(worst)]


def _descriptor(key: str, example: Finding | Known) -> dict[str, Any]:
    """By the rule's own words where this installation has the rule, else by those of its finding."""
    level = example.severity
    rule = rule_book().rules.get(key)
    confidence = example.confidence if isinstance(example, Finding) else Confidence.MEDIUM
    title, parts, properties = _words(example, rule)
    return descriptor(
        key, title, parts, SCORES[level], LEVELS[level],
        {**properties, "precision": PRECISION[confidence], "problem.severity": _problem(level)},
    )  # fmt: skip


def _words(example: Finding | Known, rule: Rule[Any] | None) -> tuple[str, list[tuple[str, str]], dict[str, Any]]:
    if rule is not None:
        doc = inspect.cleandoc(rule.doc)
        parts = [("", doc), ("Fix", rule.fix), ("Source", rule.source), ("Threats", ", ".join(rule.threats))]
        return rule.title, parts, {"tags": tags(rule.cwe, rule.family.lower(), *rule.threats)}
    if isinstance(example, Finding):
        return example.title, [("", example.title), ("Fix", example.fix)], {"tags": tags(example.cwe)}
    return example.title, [("", example.title)], {"tags": tags(())}


def _problem(level: Severity) -> str:
    return LEVELS[level].replace("note", "recommendation")
