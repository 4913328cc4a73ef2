"""A scan as SARIF 2.1.0 (OASIS, 2020), for code scanning services and editors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tinymlsec.records import Finding
from tinymlsec.report.sarif import SCHEMA
from tinymlsec.report.sarif_results import artifact_uri, location_of
from tinymlsec.report.sarif_rules import LEVELS
from tinymlsec.report.text import clean
from tinymlsec.scan.output.rows import Row, State, all_rows, coverage_words, gaps, inside_words
from tinymlsec.scan.output.sarif_descriptors import descriptors_of
from tinymlsec.scan.records import Known, ScanReport

_FINGERPRINT = "tinymlsecScan/v1"
_NOTES = (
    ("error", "A file could not be scanned"),
    ("skipped", "A part of a file was not looked at"),
    ("other", "Files of kinds without rules"),
    ("configuration", "Configuration or a plug-in needs a look"),
)


def render_sarif(report: ScanReport) -> dict[str, Any]:
    """The scan as a SARIF log, ready for `json.dumps`.

    Accepted findings are results with a suppression. With a baseline, every result has its state, and what is gone is
    a result that is absent. Fingerprints depend on rule, path and place only.
    """
    rules = descriptors_of(report)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [_result(row, index, baseline=report.baseline) for row in all_rows(report)]
    results += [_absent(item, index) for item in report.gone]
    run = {
        "tool": {"driver": _driver(report, rules)},
        "automationDetails": {"id": "tinymlsec/scan/"},
        "invocations": [_invocation(report)],
        "artifacts": list(_artifacts(report)),
        "results": results,
        "columnKind": "utf16CodeUnits",
        "properties": {"coverage": coverage_words(report), "runtime": report.runtime, "device": report.device or ""},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _driver(report: ScanReport, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "tinymlsec",
        "version": report.tool_version,
        "shortDescription": {"text": "Static checks of models for microcontrollers and of the firmware around them"},
        "rules": rules,
        "notifications": [
            {"id": f"tinymlsec/{kind}", "shortDescription": {"text": text}} for kind, text in _NOTES
        ],
    }  # fmt: skip


def _result(row: Row, index: Mapping[str, int], *, baseline: bool) -> dict[str, Any]:
    finding: Finding = row.finding
    inside = f" In {inside_words(row.inside)}." if row.inside else ""
    result = {
        "ruleId": finding.id,
        "ruleIndex": index[finding.id],
        "level": LEVELS[finding.severity],
        "kind": "fail",
        "message": {"text": f"{clean(finding.message)}{inside}\nFix: {clean(finding.fix)}"},
        "locations": [location_of(artifact_uri(row.file.path), finding.location)],
        "partialFingerprints": {_FINGERPRINT: row.fingerprint},
        "properties": {
            "severity": finding.severity.value, "confidence": finding.confidence.value, "cve": list(finding.cve),
        },
    }  # fmt: skip
    if baseline:
        result["baselineState"] = "unchanged" if row.state is State.KNOWN else "new"
    if row.state is State.SUPPRESSED:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": clean(row.note)}]
    return result


def _absent(item: Known, index: Mapping[str, int]) -> dict[str, Any]:
    return {
        "ruleId": item.rule,
        "ruleIndex": index[item.rule],
        "level": LEVELS[item.severity],
        "kind": "fail",
        "message": {"text": f"No longer there: {clean(item.title)}"},
        "locations": [location_of(artifact_uri(item.path), None)],
        "partialFingerprints": {_FINGERPRINT: item.fingerprint},
        "baselineState": "absent",
    }


def _notification(kind: str, level: str, text: str) -> dict[str, Any]:
    return {"descriptor": {"id": f"tinymlsec/{kind}"}, "level": level, "message": {"text": clean(text)}}


def _execution(report: ScanReport) -> Iterator[dict[str, Any]]:
    for file in report.files:
        if file.error:
            yield _notification("error", "error", f"{file.path}: {file.error}")
    for file, reason in gaps(report):
        yield _notification("skipped", "warning", f"{file.path}: {reason}")
    yield _notification("other", "note", coverage_words(report))


def _invocation(report: ScanReport) -> dict[str, Any]:
    return {
        **_times(report),
        "executionSuccessful": not any(file.error for file in report.files),
        "toolExecutionNotifications": list(_execution(report)),
        "toolConfigurationNotifications": [_notification("configuration", "warning", t) for t in report.problems],
    }


def _times(report: ScanReport) -> dict[str, str]:
    try:
        begin = datetime.fromisoformat(report.started).astimezone(UTC)
        end = begin + timedelta(seconds=report.seconds)
    except (ValueError, OverflowError):
        return {}
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {"startTimeUtc": begin.strftime(form), "endTimeUtc": end.strftime(form)}


def _artifacts(report: ScanReport) -> Iterator[dict[str, Any]]:
    for file in report.files:
        if file.sha256:
            yield {
                "location": {"uri": artifact_uri(file.path)},
                "length": file.size,
                "hashes": {"sha-256": file.sha256},
                "roles": ["analysisTarget"],
                "mimeType": "application/octet-stream",
            }
