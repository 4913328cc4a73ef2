"""SARIF reporting descriptors: one per threat that was found, one per rule that found something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tinymlsec.records import Confidence, Severity
from tinymlsec.report.markdown import escape
from tinymlsec.report.text import clean, short

if TYPE_CHECKING:
    from tinymlsec.records import Finding
    from tinymlsec.report.records import Report
    from tinymlsec.report.threat_view import ThreatView

SCORES = {
    Severity.NONE: 0.0,
    Severity.LOW: 2.0,
    Severity.MEDIUM: 5.5,
    Severity.HIGH: 8.0,
    Severity.CRITICAL: 9.5,
}
"""A number within the CVSS band of a word, for findings, which have a word only."""

LEVELS = {
    Severity.NONE: "note",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
PRECISION = {Confidence.LOW: "low", Confidence.MEDIUM: "medium", Confidence.HIGH: "high"}


def tags(cwe: Sequence[str], *more: str) -> list[str]:
    """Tags of a rule, its weaknesses in the form that code scanning services read."""
    numbers = dict.fromkeys(name.upper().removeprefix("CWE-") for name in cwe)
    return ["security", *more, *(f"external/cwe/cwe-{n.zfill(3)}" for n in numbers if n.isdecimal())]


def descriptor(
    key: str, name: str, help_parts: Sequence[tuple[str, str]], score: float, level: str, properties: dict[str, Any]
) -> dict[str, Any]:
    """A reporting descriptor.

    Args:
        key: id of the rule.
        name: its title.
        help_parts: (heading, text) pairs; the first text is the full description.
        score: for `security-severity`, 0 to 10.
        level: SARIF level of its results.
        properties: further properties.
    """
    plain = "\n\n".join(f"{head}: {clean(text)}" if head else clean(text) for head, text in help_parts if text)
    marked = "\n\n".join(
        f"**{head}:** {escape(text, 2000)}" if head else escape(text, 2000) for head, text in help_parts if text
    )
    return {
        "id": key,
        "shortDescription": {"text": short(name, 200)},
        "fullDescription": {"text": clean(help_parts[0][1], 1000)},
        "help": {"text": plain, "markdown": marked},
        "defaultConfiguration": {"level": level},
        "properties": {"security-severity": f"{score:.1f}", **properties},
    }


def _threat_rule(view: ThreatView) -> dict[str, Any]:
    score = view.v4.score if view.v4 else 0.0
    means = view.means
    defenses = "; ".join(f"{d.title} ({d.cost})" for d in view.defenses)
    parts = [("", means[0]), *(("", text) for text in means[1:]), ("Known defenses, costs declared", defenses)]
    properties = {
        "tags": tags(view.cwe, "threat", view.layer.lower()),
        "precision": "high" if view.outcome == "demonstrated" else "medium",
        "problem.severity": LEVELS[Severity.from_score(score)].replace("note", "recommendation"),
    }
    return descriptor(view.id, view.title, parts, score, LEVELS[Severity.from_score(score)], properties)


def _finding_rule(findings: Sequence[Finding]) -> dict[str, Any]:
    """A rule with the worst severity that it found in this run."""
    worst = max(findings, key=lambda f: f.severity.rank)
    cwe = sorted({name for f in findings for name in f.cwe})
    properties = {
        "tags": tags(cwe, "finding"),
        "precision": PRECISION[worst.confidence],
        "problem.severity": LEVELS[worst.severity].replace("note", "recommendation"),
    }
    parts = [("", worst.title), ("Fix", worst.fix)]
    return descriptor(worst.id, worst.title, parts, SCORES[worst.severity], LEVELS[worst.severity], properties)


def rules_of(report: Report, views: Sequence[ThreatView]) -> Iterator[dict[str, Any]]:
    """All rules that have a result, in the order of their ids."""
    threats = {view.id: _threat_rule(view) for view in views if view.found}
    by_id: dict[str, list[Finding]] = {}
    for item in report.evidence:
        for finding in item.findings:
            by_id.setdefault(finding_rule_id(finding), []).append(finding)
    rules = {**threats, **{key: {**_finding_rule(found), "id": key} for key, found in by_id.items()}}
    yield from (rules[key] for key in sorted(rules))


def finding_rule_id(finding: Finding) -> str:
    """The rule id of a finding; apart from those of threats, whose ids are short enough to be taken by accident."""
    return f"rule/{finding.id}" if finding.id[1:].isdecimal() else finding.id
