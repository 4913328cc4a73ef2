"""The record and the files: what is derived, what is written, and that a half-written report cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from report.report_sample import all_evidence, evidence, run_record
from report.threat_sample import FEW, sample_report
from tinymlsec.errors import RunFolderError, UsageError
from tinymlsec.records import VerdictKind
from tinymlsec.report import FORMATS, parse_formats, write, write_reports
from tinymlsec.report.json_report import finite_json
from tinymlsec.report.records import Report
from tinymlsec.report.view import build_report, coverage_of, coverage_text, worst_findings


def test_summary() -> None:
    summary = sample_report().summary
    assert summary.outcomes == {
        "demonstrated": 1, "indicated": 1, "untested": 37, "resisted": 1, "not_applicable": 1,
    }  # fmt: skip
    assert summary.highest == "high"
    assert [w.threat for w in summary.worst] == ["M2", "M5"]
    assert summary.worst[1].fix == "Encrypt the model at rest and keep the key in the device."
    assert summary.worst[0].headline.startswith("M2 Evasion by queries (demonstrated, executed, CVSS 4.0 7.5 high): Sq")
    assert summary.coverage == (
        "4 of 6 planned attacks ran; 1 of these did not decide the question; 1 was skipped; 1 ended in an error."
    )


def test_worst_findings_are_as_many_as_asked_for() -> None:
    assert [w.threat for w in worst_findings(sample_report(), 1)] == ["M2"]


def test_coverage_counts_what_was_not_reached() -> None:
    coverage = coverage_of(
        run_record(planned=("square", "a", "b")), [evidence("square", ("M2",), VerdictKind.VULNERABLE)]
    )
    assert (coverage.planned, coverage.ran, coverage.not_reached) == (3, 1, 2)
    assert coverage_text(coverage) == "1 of 3 planned attacks ran; 2 were not reached."
    assert coverage_text(coverage_of(run_record(planned=()), [])) == "No attack was planned."


def test_writes_all_and_nothing_else(tmp_path: Path) -> None:
    report = sample_report(FEW)
    written = write_reports(report, tmp_path / "new" / "run")
    assert list(written) == ["html", "json", "sarif", "md"]
    assert sorted(p.name for p in (tmp_path / "new" / "run").iterdir()) == [
        "report.html", "report.json", "report.md", "report.sarif",
    ]  # fmt: skip
    again = Report.model_validate_json(written["json"].read_text())
    assert again == report
    assert build_report(again.run, again.evidence, again.threats) == report
    assert json.loads(written["sarif"].read_text())["version"] == "2.1.0"


def test_failure_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.md").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fdopen", full)
    with pytest.raises(RunFolderError, match="No space left"):
        write_reports(sample_report(FEW), tmp_path, ["md"])
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text() == "old"


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_reports(sample_report(FEW), tmp_path / "run", ["json"])


def test_formats() -> None:
    assert parse_formats(" HTML, md,html ") == ("html", "md")
    assert parse_formats(",".join(FORMATS)) == ("html", "json", "sarif", "md")
    for wrong in ("pdf", "html,xml", "", " , "):
        with pytest.raises(UsageError, match="html, json, sarif, md"):
            parse_formats(wrong)


def test_json_has_no_word_for_infinity() -> None:
    assert json.loads(finite_json({"a": float("nan"), "b": [float("-inf"), 1.5]})) == {"a": None, "b": [None, 1.5]}


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "matplotlib", "jinja2", "numpy", "cvss", "pydantic"
    code = f"import sys, tinymlsec.report; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_markdown_names_every_gap() -> None:
    from tinymlsec.report.markdown import render_markdown

    text = render_markdown(sample_report(run=run_record(planned=("square", "late"))))
    assert "`pgd` skipped" in text
    assert "`cpa-weights` error" in text
    assert "`late` not reached" in text
    assert "Untested, which is not a pass (37, most urgent first)" in text
    assert len(all_evidence()) == 6


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_the_calendar_and_huge_numbers_are_written(tmp_path: Path, moment: str) -> None:
    report = sample_report()
    assert report.run.model is not None
    model = report.run.model.model_copy(update={"size": 10**4000})
    run = report.run.model_copy(update={"updated": datetime.fromisoformat(moment), "model": model})
    assert len(write_reports(report.model_copy(update={"run": run}), tmp_path)) == len(FORMATS)
