"""Six formats of the same record, each read back by a reader of its own.

`TINYMLSEC_UPDATE_GOLDEN=1 pytest tests/scan/test_scan_outputs.py` writes the kept files anew.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from scan.scan_sample import finding, marked, sample_report
from tinymlsec.errors import InputError, UsageError
from tinymlsec.records import Location, Severity
from tinymlsec.rules.discovery import rule_book
from tinymlsec.scan.output import FORMATS, parse_formats, write_reports
from tinymlsec.scan.output.markdown import LIMIT
from tinymlsec.scan.records import FileKind, FileReport, ScanReport

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE.parent / "report" / "sarif-2.1.0-emitted.schema.json").read_text())


def rendered(name: str, report: ScanReport | None = None, fail_on: str = "high") -> str:
    return FORMATS[name](report or sample_report(), fail_on)


def sarif(report: ScanReport | None = None) -> dict[str, Any]:
    log = json.loads(rendered("sarif", report))
    jsonschema.Draft7Validator(SCHEMA).validate(log)
    run: dict[str, Any] = log["runs"][0]
    return run


@pytest.mark.parametrize("name", list(FORMATS))
def test_as_kept(name: str) -> None:
    kept, text = HERE / "golden" / f"scan.{name}", rendered(name)
    if os.environ.get("TINYMLSEC_UPDATE_GOLDEN"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text, encoding="utf-8", newline="")
    old = kept.read_bytes().decode("utf-8")
    changes = list(difflib.unified_diff(old.splitlines(), text.splitlines(), "kept", "now", n=1, lineterm=""))
    assert not changes, "\n".join(changes[:60])


def test_json_is_the_record() -> None:
    assert ScanReport.model_validate_json(rendered("json")) == sample_report()


def test_json_holds_a_name_that_is_no_unicode() -> None:
    name = os.fsdecode(b"model-\xff.tflite")
    report = sample_report().model_copy(update={"files": (FileReport(path=name, kind=FileKind.TFLITE, size=1),)})
    assert json.loads(rendered("json", report))["files"][0]["path"] == name
    for other in FORMATS:
        rendered(other, report).encode() if other != "json" else None


def test_sarif_states_and_suppressions() -> None:
    run = sarif()
    states = {(r["ruleId"], r["baselineState"]) for r in run["results"]}
    assert states == {
        ("EXC-01", "new"), ("EXA-01", "new"), ("EXB-05", "unchanged"), ("EXD-02", "new"), ("EXE-01", "absent"),
    }  # fmt: skip
    [accepted] = [r for r in run["results"] if r.get("suppressions")]
    assert accepted["ruleId"] == "EXD-02"
    assert "a demonstration" in accepted["suppressions"][0]["justification"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    assert {rule["id"]: rule["properties"]["security-severity"] for rule in rules}["EXC-01"] == "9.5"


def test_sarif_is_honest_about_what_did_not_run() -> None:
    invocation = sarif()["invocations"][0]
    assert invocation["executionSuccessful"] is False
    kinds = [n["descriptor"]["id"] for n in invocation["toolExecutionNotifications"]]
    assert kinds == ["tinymlsec/error", "tinymlsec/skipped", "tinymlsec/other"]
    good = sample_report().model_copy(update={"files": sample_report().files[2:3], "baseline": False, "gone": ()})
    run = sarif(good)
    assert run["invocations"][0]["executionSuccessful"] is True
    assert all("baselineState" not in result for result in run["results"])


def test_sarif_fingerprints_outlive_offsets_and_differ_by_place() -> None:
    def prints(*places: Location, path: str = "m.tflite") -> list[str]:
        found = tuple(finding("EXA-01", Severity.HIGH, place) for place in places)
        file = marked(FileReport(path=path, kind=FileKind.TFLITE, size=1, findings=found))
        run = sarif(sample_report().model_copy(update={"files": (file,), "gone": (), "baseline": False}))
        return [r["partialFingerprints"]["tinymlsecScan/v1"] for r in run["results"]]

    assert prints(Location(op=3, file_offset=100)) == prints(Location(op=3, file_offset=900))
    places = [Location(op=1), Location(op=2), Location(op=1), Location(tensor=1), Location(file_offset=1), Location(),
              Location(subgraph=1, op=1), Location(symbol="main"), Location(address=16)]  # fmt: skip
    assert len(set(prints(*places))) == len(places)
    assert prints(Location(op=1), path="a") != prints(Location(op=1), path="b")


def test_csv_can_be_read_and_calculates_nothing() -> None:
    rows = list(csv.DictReader(io.StringIO(rendered("csv"))))
    assert [(row["rule"], row["state"]) for row in rows] == [
        ("EXC-01", "counts"), ("EXA-01", "counts"), ("EXB-05", "known"), ("EXD-02", "suppressed"),
        ("", "error"), ("", "skipped"),
    ]  # fmt: skip
    assert rows[2]["message"].startswith("'=cmd")
    assert rows[0]["inside"] == "tflite at 0x8000 (xor:5a)"
    assert rows[1]["offset"] == str(0x1A40)


@pytest.mark.parametrize(("fail_on", "failures"), [("none", 0), ("critical", 1), ("high", 2), ("low", 2)])
def test_junit_counts_what_counts(fail_on: str, failures: int) -> None:
    root = ET.fromstring(rendered("junit", fail_on=fail_on))
    suite = root[0]
    found = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert found == {"tests": "6", "failures": str(failures), "errors": "1", "skipped": "3"}
    assert len(suite.findall("testcase")) == 6
    assert len(suite.findall("testcase/failure")) == failures


def test_markdown_is_safe_and_short() -> None:
    text = rendered("md")
    assert "<script>" not in text
    assert "](http" not in text
    assert "\x1b" not in text
    many = tuple(
        marked(FileReport(path=f"m{n}.tflite", kind=FileKind.TFLITE, size=1, error="x" * 5000,
                          findings=(finding("EXA-01", Severity.HIGH, Location(op=1), "y" * 5000),)))
        for n in range(500)
    )  # fmt: skip
    long = rendered("md", sample_report().model_copy(update={"files": many}))
    assert len(long) < LIMIT + 100
    assert "further findings" in long


@pytest.mark.parametrize("name", ["text", "md", "csv", "junit", "sarif"])
def test_nothing_from_a_file_controls_the_terminal(name: str) -> None:
    text = rendered(name)
    assert not {"\x1b", "\u202e", "\x00"} & set(text.replace("\\u001b", "\x1b"))


def test_text_says_what_was_not_looked_at() -> None:
    text = rendered("text")
    assert "NOT SCANNED" in text
    assert "accepted: a demonstration (until 2027-01-31)" in text
    assert "scanned: 1 elf, 1 tflite; not readable: 1; no rules for: 1" in text
    assert text.endswith("findings: 1 critical, 1 high; 1 in the baseline, 1 suppressed\n")


def test_one_format_is_a_file_and_several_a_folder(tmp_path: Path) -> None:
    report = sample_report()
    assert write_reports(report, tmp_path / "a" / "x.sarif", ("sarif",), "high") == {
        "sarif": tmp_path / "a" / "x.sarif"
    }
    written = write_reports(report, tmp_path / "b", tuple(FORMATS), "high")
    assert sorted(path.name for path in written.values()) == [
        "scan.csv", "scan.json", "scan.md", "scan.sarif", "scan.txt", "scan.xml",
    ]  # fmt: skip
    with pytest.raises(InputError, match="cannot be written"):
        write_reports(report, tmp_path / "a" / "x.sarif" / "y", ("csv",), "high")


@pytest.mark.parametrize("text", ["", ",", "text,pdf", "html"])
def test_unknown_formats_are_told(text: str) -> None:
    with pytest.raises(UsageError, match="no such report format"):
        parse_formats(text)


def test_sarif_rules_say_what_the_rules_say() -> None:
    rule = rule_book().get("OPT-01")
    found = (finding(rule.id, Severity.LOW, Location(op=1)),)
    file = marked(FileReport(path="m.tflite", kind=FileKind.TFLITE, size=1, findings=found))
    run = sarif(sample_report().model_copy(update={"files": (file,), "gone": (), "baseline": False}))
    [words] = run["tool"]["driver"]["rules"]
    assert words["shortDescription"]["text"] == rule.title
    assert rule.source in words["help"]["text"]
    assert set(rule.threats) <= set(words["properties"]["tags"])
