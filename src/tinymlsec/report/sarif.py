"""The report as SARIF 2.1.0 (OASIS, 2020), for code scanning services and editors.

One result per finding and one per demonstrated or indicated threat. What did not run is a notification, and a run that
was interrupted or had attacks that ended in an error says that it did not succeed: silence must not look like a pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tinymlsec.records import VerdictKind
from tinymlsec.report.gaps import not_reached
from tinymlsec.report.sarif_results import artifact_uri, results_of
from tinymlsec.report.sarif_rules import rules_of
from tinymlsec.report.text import clean
from tinymlsec.report.threat_view import threat_views

if TYPE_CHECKING:
    from tinymlsec.report.records import Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
"""Name of the schema; nothing is fetched from there."""

_LEVELS = {VerdictKind.SKIPPED: "warning", VerdictKind.ERROR: "error", VerdictKind.INCONCLUSIVE: "note"}


def _notification(kind: str, level: str, text: str) -> dict[str, Any]:
    return {"descriptor": {"id": f"tinymlsec/{kind}"}, "level": level, "message": {"text": clean(text)}}


def _execution(report: Report) -> Iterator[dict[str, Any]]:
    for item in report.evidence:
        if level := _LEVELS.get(item.verdict.kind):
            text = (
                f"Attack {item.attack} for {', '.join(item.threats)}: {item.verdict.kind.value}: {item.verdict.reason}"
            )
            yield _notification(item.verdict.kind.value, level, text)
    for attack in not_reached(report.run, [e.attack for e in report.evidence]):
        yield _notification("not-reached", "error", f"Attack {attack} was planned and not reached; resume the run.")
    untested = [item.threat for item in report.threats if item.outcome.value == "untested"]
    if untested:
        text = f"{len(untested)} of {len(report.threats)} threats are untested, which is not a pass: "
        yield _notification("untested", "warning", text + ", ".join(untested))


def _stamp(moment: datetime) -> str:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    with contextlib.suppress(OverflowError):  # the first and the last day of the calendar stay in their own zone
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _invocation(report: Report) -> dict[str, Any]:
    run, attacks = report.run, report.summary.attacks
    return {
        "commandLine": clean(run.command),
        "startTimeUtc": _stamp(run.created),
        "endTimeUtc": _stamp(run.updated),
        "executionSuccessful": run.status.value == "complete" and not attacks.errors and not attacks.not_reached,
        "toolExecutionNotifications": list(_execution(report)),
        "toolConfigurationNotifications": [_notification("plug-in", "warning", t) for t in run.plugin_problems],
    }


def _artifacts(report: Report) -> list[dict[str, Any]]:
    model = report.run.model
    if model is None:
        return []
    return [
        {
            "location": {"uri": artifact_uri(model.name)},
            "length": model.size,
            "hashes": {"sha-256": model.sha256},
            "roles": ["analysisTarget"],
            "mimeType": "application/octet-stream",
        }
    ]


def _driver(report: Report, rules: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "tinymlsec",
        "version": report.run.tool_version,
        "shortDescription": {"text": "Security assessment of machine learning on microcontrollers"},
        "rules": list(rules),
        "notifications": [
            {"id": f"tinymlsec/{kind}", "shortDescription": {"text": text}}
            for kind, text in (
                ("skipped", "An attack did not run"),
                ("error", "An attack ended in an error"),
                ("inconclusive", "An attack ran and does not decide the question"),
                ("not-reached", "The run ended before an attack"),
                ("untested", "Threats without an answer"),
                ("plug-in", "A plug-in could not be loaded"),
            )
        ],
    }


def render_sarif(report: Report) -> dict[str, Any]:
    """The report as a SARIF log, ready for `json.dumps`.

    Fingerprints depend on rule, model name and place only: the same finding has the same fingerprint in every run.
    """
    views = threat_views(report.threats)
    rules = list(rules_of(report, views))
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    run = {
        "tool": {"driver": _driver(report, rules)},
        "invocations": [_invocation(report)],
        "artifacts": _artifacts(report),
        "results": list(results_of(report, views, index)),
        "columnKind": "utf16CodeUnits",
        "properties": {
            "coverage": report.summary.coverage,
            "outcomes": report.summary.outcomes,
            "deviceClass": report.run.device_class,
            "targetDigest": report.run.target_digest,
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
