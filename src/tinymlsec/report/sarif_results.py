"""SARIF results: findings and found threats, each with a place and a fingerprint that lasts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tinymlsec.records import Severity
from tinymlsec.report.sarif_rules import LEVELS, finding_rule_id
from tinymlsec.report.text import clean, short

if TYPE_CHECKING:
    from tinymlsec.evidence import Evidence
    from tinymlsec.records import Finding, Location
    from tinymlsec.report.records import Report
    from tinymlsec.report.threat_view import ThreatView

_MAX_NAME = 200
_NO_FILE = "target"


def artifact_uri(name: str) -> str:
    """A relative URI for a file: no scheme, no host, no way out of the folder, everything else percent-encoded.

    Args:
        name: file name or path as it was found, from anywhere.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part not in ("/", ".", "..", "")]
    kept = parts[-1:] if path.is_absolute() or ".." in path.parts or ":" in name else parts
    encoded = "/".join(quote(part[:_MAX_NAME], safe="", errors="backslashreplace") for part in kept)
    return encoded or _NO_FILE


def _digest(*parts: object) -> str:
    return hashlib.sha256(
        "\x1f".join("" if p is None else str(p) for p in parts).encode("utf-8", "replace")
    ).hexdigest()


def _place(location: Location) -> tuple[object, ...]:
    """What names the place best; byte offsets move with every edit, so they count only where nothing else is known."""
    named = (location.op, location.tensor, location.symbol)
    return named if any(p is not None for p in named) else (*named, location.file_offset, location.address)


def _physical(uri: str, location: Location | None) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if location is not None and location.file_offset is not None:
        physical["region"] = {"byteOffset": location.file_offset, "byteLength": 1}
    if location is not None and location.address is not None:
        physical["address"] = {"absoluteAddress": location.address}
    return physical


def _logical(location: Location) -> list[dict[str, Any]]:
    parts = (("operator", location.op), ("tensor", location.tensor), ("symbol", location.symbol))
    return [{"fullyQualifiedName": f"{kind}/{short(str(v), 200)}", "kind": kind} for kind, v in parts if v is not None]


def location_of(uri: str, location: Location | None) -> dict[str, Any]:
    """A SARIF location: the file, the bytes in it, and the operator, tensor or symbol."""
    logical = _logical(location) if location is not None else []
    found: dict[str, Any] = {"physicalLocation": _physical(uri, location)}
    return {**found, "logicalLocations": logical} if logical else found


def _finding_result(
    finding: Finding, item: Evidence, uri: str, number: int, rules: Mapping[str, int]
) -> dict[str, Any]:
    key, place = finding_rule_id(finding), finding.location
    where = artifact_uri(place.path) if place.path else uri
    return {
        "ruleId": key,
        "ruleIndex": rules[key],
        "level": LEVELS[finding.severity],
        "kind": "fail",
        "message": {"text": f"{clean(finding.message)}\nFix: {clean(finding.fix)}"},
        "locations": [location_of(where, place)],
        "partialFingerprints": {"tinymlsecFinding/v1": _digest(key, where, *_place(place), number)},
        "properties": {
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "basis": item.basis.value,
            "attack": item.attack,
            "threats": list(item.threats),
            "cve": list(finding.cve),
        },
    }


def _findings(report: Report, uri: str, rules: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Findings in an order that depends on their content alone, so that those of one place are always counted alike."""
    pairs = [(finding, item) for item in report.evidence for finding in item.findings]
    pairs.sort(key=lambda p: (p[0].id, [str(part) for part in _place(p[0].location)], p[0].message, p[1].attack))
    seen: Counter[tuple[object, ...]] = Counter()
    for finding, item in pairs:
        same = (finding.id, finding.location.path, *_place(finding.location))
        yield _finding_result(finding, item, uri, seen[same], rules)
        seen[same] += 1


def _threat_result(view: ThreatView, report: Report, uri: str, rules: Mapping[str, int]) -> dict[str, Any]:
    behind = [e for e in report.evidence if view.id in e.threats and e.verdict.kind.value == "vulnerable"]
    summary = " ".join(clean(e.summary) for e in behind[:5])
    score = view.v4.score if view.v4 else 0.0
    return {
        "ruleId": view.id,
        "ruleIndex": rules[view.id],
        "level": LEVELS[Severity.from_score(score)],
        "kind": "fail",
        "message": {"text": f"{view.title}: {view.outcome} ({clean(view.reason)}). {summary}".rstrip()},
        "locations": [location_of(uri, None)],
        "partialFingerprints": {"tinymlsecThreat/v1": _digest(view.id, uri)},
        "rank": min(max(view.priority, 0.0), 100.0),
        "properties": {
            "outcome": view.outcome,
            "basis": view.basis,
            "priority": view.priority,
            "cvss": [{"name": s.name, "vector": s.vector, "score": s.score} for s in view.scores],
            "attackPotential": view.potential.rating if view.potential else "",
            "evidence": [e.key for e in behind],
        },
    }


def results_of(report: Report, views: Sequence[ThreatView], rules: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Found threats in order of priority, then all findings.

    Args:
        report: the record.
        views: its threats.
        rules: rule id -> index in the list of rules.
    """
    uri = artifact_uri(report.run.model.name) if report.run.model else _NO_FILE
    yield from (_threat_result(view, report, uri, rules) for view in views if view.found)
    yield from _findings(report, uri, rules)
