"""SARIF: valid by the specification, fingerprints that last, and nothing that looks like a pass."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from report.report_sample import all_evidence, evidence, run_record, static
from report.threat_sample import FEW, sample_report
from tinymlsec.evidence import Evidence
from tinymlsec.records import Location, VerdictKind
from tinymlsec.report.sarif import render_sarif
from tinymlsec.report.sarif_results import artifact_uri
from tinymlsec.run_record import RunStatus

SCHEMA = json.loads(Path(__file__).with_name("sarif-2.1.0-emitted.schema.json").read_text())


def sarif(*items: Evidence, **run: Any) -> dict[str, Any]:
    log = render_sarif(sample_report(FEW, run_record(**run), items or None))
    jsonschema.Draft7Validator(SCHEMA).validate(log)
    only: dict[str, Any] = log["runs"][0]
    return only


def fingerprints(run: dict[str, Any]) -> set[str]:
    found = [value for r in run["results"] for value in r["partialFingerprints"].values()]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("status", list(RunStatus))
def test_valid_and_honest_about_the_end(status: RunStatus) -> None:
    run = sarif(*(e for e in all_evidence() if e.verdict.kind is not VerdictKind.ERROR), status=status, planned=())
    assert run["invocations"][0]["executionSuccessful"] is (status is RunStatus.COMPLETE)


@pytest.mark.parametrize("broken", ["version", "level", "uri"])
def test_schema_refuses_what_is_wrong(broken: str) -> None:
    log = render_sarif(sample_report(FEW))
    result = log["runs"][0]["results"][0]
    if broken == "version":
        log["version"] = "2.0.0"
    elif broken == "level":
        result["level"] = "high"
    else:
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = "/abs/olute name"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(log)


def test_one_result_per_finding_and_found_threat() -> None:
    run = sarif()
    assert sorted(r["ruleId"] for r in run["results"]) == ["EXTR-01", "M2", "M5", "PROV-03"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    by_id = {rule["id"]: rule for rule in rules}
    assert by_id["M2"]["properties"]["security-severity"] == "7.5"
    assert "external/cwe/cwe-1039" in by_id["M2"]["properties"]["tags"]
    assert by_id["EXTR-01"]["properties"]["tags"] == [
        "security", "finding", "external/cwe/cwe-311", "external/cwe/cwe-312",
    ]  # fmt: skip


def test_places() -> None:
    places = {r["ruleId"]: r["locations"][0] for r in sarif()["results"]}
    assert places["PROV-03"]["physicalLocation"]["region"]["byteOffset"] == 0x1A40
    assert [p["fullyQualifiedName"] for p in places["EXTR-01"]["logicalLocations"]] == ["operator/0", "tensor/4"]


def test_silence_is_no_pass() -> None:
    run = sarif(planned=("square", "never-reached"))
    notes = {n["descriptor"]["id"]: n["level"] for n in run["invocations"][0]["toolExecutionNotifications"]}
    assert notes == {
        "tinymlsec/error": "error",
        "tinymlsec/skipped": "warning",
        "tinymlsec/inconclusive": "note",
        "tinymlsec/not-reached": "error",
        "tinymlsec/untested": "warning",
    }
    assert run["invocations"][0]["executionSuccessful"] is False
    assert run["invocations"][0]["toolConfigurationNotifications"]
    assert all(r["kind"] == "fail" for r in run["results"])


def test_fingerprints_outlive_time_order_and_folders() -> None:
    first = fingerprints(sarif())
    later = run_record().created + timedelta(days=90)
    model = run_record().model
    assert model
    moved = model.model_copy(update={"name": "/home/other/place/" + model.name, "sha256": "ee" * 32})
    items = [e.model_copy(update={"findings": e.findings[::-1], "seconds": 9.0}) for e in reversed(all_evidence())]
    assert fingerprints(sarif(*items, created=later, updated=later, model=moved, host={})) == first


def test_fingerprints_tell_places_apart() -> None:
    base = static().findings[0]
    places = [Location(tensor=1), Location(tensor=2), Location(op=1), Location(file_offset=9), Location(tensor=1)]
    findings = [base.model_copy(update={"location": place}) for place in places]
    run = sarif(evidence("many", ("M5",), VerdictKind.VULNERABLE, findings=tuple(findings)))
    assert len(fingerprints(run)) == len(places) + 2


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("kws.tflite", "kws.tflite"),
        ("models/a b.tflite", "models/a%20b.tflite"),
        ("/home/x/kws.tflite", "kws.tflite"),
        ("../../etc/passwd", "passwd"),
        ("C:\\models\\kws.tflite", "kws.tflite"),
        ("http://evil.test/x", "x"),
        ("", "target"),
        ("..", "target"),
        ("größe\n#?%.tflite", "gr%C3%B6%C3%9Fe%0A%23%3F%25.tflite"),
    ],
)
def test_uri_is_relative_and_encoded(name: str, uri: str) -> None:
    assert artifact_uri(name) == uri
