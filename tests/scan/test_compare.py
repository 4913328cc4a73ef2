"""Two scans or two assessments side by side."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from report.report_sample import evidence, run_record, square, static
from report.threat_sample import FEW, sample_report
from tinymlsec.assessment import Assessment
from tinymlsec.compare.load import compare
from tinymlsec.compare.records import Comparison, Trend
from tinymlsec.compare.runs import compare_runs
from tinymlsec.compare.text import render_markdown, render_text
from tinymlsec.errors import InputError, UsageError
from tinymlsec.evidence import Evidence
from tinymlsec.records import Metric, Severity, VerdictKind
from tinymlsec.run_record import RunStatus
from tinymlsec.scan.engine import scan
from tinymlsec.scan.output.json_output import render_json
from tinymlsec.threat.records import ThreatOutcome


def run_of(*items: Evidence, outcomes: dict[str, ThreatOutcome] | None = None, **run: Any) -> Assessment:
    record = run_record(**run)
    threats = sample_report(FEW, record).threats
    changed = tuple(
        t.model_copy(update={"outcome": (outcomes or {}).get(t.threat, t.outcome)}) for t in threats
    )  # fmt: skip
    return Assessment(record, items or (square(), static()), changed, None)


def compared(a: Assessment, b: Assessment) -> Comparison:
    result = compare_runs(a, b, ("a", "b"))
    assert Comparison.model_validate_json(result.model_dump_json()) == result
    return result


def with_metric(*metrics: Metric) -> Assessment:
    return run_of(square().model_copy(update={"metrics": metrics}))


def test_a_run_equals_itself() -> None:
    result = compared(run_of(), run_of())
    assert (result.new, result.gone, result.threats, result.metrics, result.verdicts, result.notes) == ((),) * 6
    assert result.same == len(static().findings)
    assert result.worst_new is Severity.NONE


def test_findings_that_come_and_go() -> None:
    fewer = static().model_copy(update={"findings": static().findings[1:]})
    result = compared(run_of(square(), fewer), run_of())
    assert [item.rule for item in result.new] == [static().findings[0].id]
    assert result.worst_new is static().findings[0].severity
    assert [item.rule for item in compared(run_of(), run_of(square(), fewer)).gone] == [static().findings[0].id]


@pytest.mark.parametrize(
    ("old", "new", "trend"),
    [
        (ThreatOutcome.RESISTED, ThreatOutcome.DEMONSTRATED, Trend.WORSE),
        (ThreatOutcome.DEMONSTRATED, ThreatOutcome.RESISTED, Trend.BETTER),
        (ThreatOutcome.INDICATED, ThreatOutcome.DEMONSTRATED, Trend.WORSE),
        (ThreatOutcome.UNTESTED, ThreatOutcome.RESISTED, Trend.CHANGED),
        (ThreatOutcome.RESISTED, ThreatOutcome.UNTESTED, Trend.CHANGED),
    ],
)
def test_outcomes_of_threats(old: ThreatOutcome, new: ThreatOutcome, trend: Trend) -> None:
    result = compared(run_of(outcomes={"M2": old}), run_of(outcomes={"M2": new}))
    [change] = result.threats
    assert (change.threat, change.outcome_a, change.outcome_b, change.trend) == ("M2", old.value, new.value, trend)
    assert (result.worst_new is Severity.NONE) is (trend is not Trend.WORSE)


def test_a_score_that_moved_alone() -> None:
    a, b = run_of(), run_of()
    card = b.threats[0].scorecard
    assert card is not None
    higher = card.v40_bte.model_copy(update={"score": min(card.v40_bte.score + 1.0, 10.0)})
    changed = b.threats[0].model_copy(update={"scorecard": card.model_copy(update={"v40_bte": higher})})
    [change] = compared(a, Assessment(b.run, b.evidence, (changed, *b.threats[1:]), None)).threats
    assert change.trend is Trend.WORSE
    assert change.score_b is not None
    assert change.score_a is not None
    assert change.score_b > change.score_a


@pytest.mark.parametrize(
    ("a", "b", "trend"),
    [
        ((0.9, 0.88, 0.92), (0.91, 0.89, 0.93), None),
        ((0.9, 0.88, 0.92), (0.8, 0.78, 0.82), Trend.WORSE),
        ((0.8, 0.78, 0.82), (0.9, 0.88, 0.92), Trend.BETTER),
        ((0.9, 0.88, 0.92), (0.92, None, None), None),
        ((0.9, 0.88, 0.92), (0.93, None, None), Trend.BETTER),
        ((0.9, None, None), (0.9, None, None), None),
    ],
)
def test_metrics_beyond_their_intervals(
    a: tuple[float, float, float], b: tuple[float, float, float], trend: Trend | None
) -> None:
    old, new = (Metric.of("robust_accuracy", v, low=low, high=high, n=100) for v, low, high in (a, b))
    changes = compared(with_metric(old), with_metric(new)).metrics
    assert [change.trend for change in changes] == ([] if trend is None else [trend])


def test_metrics_where_less_is_better() -> None:
    old, new = (Metric.of("attack_success_rate", v, low=v - 0.01, high=v + 0.01) for v in (0.2, 0.8))
    assert compared(with_metric(old), with_metric(new)).metrics[0].trend is Trend.WORSE


def test_verdicts_and_notes() -> None:
    later = evidence("square", ("M2",), VerdictKind.INCONCLUSIVE)
    result = compared(run_of(), run_of(later, static(), status=RunStatus.INTERRUPTED, tool_version="9.9.9"))
    assert [(v.attack, v.a, v.b) for v in result.verdicts] == [("square", "vulnerable", "inconclusive")]
    assert result.notes == (
        "they are of different versions of tinymlsec: 0.1.0 and 9.9.9", "the second is interrupted",
    )  # fmt: skip
    for text in (render_text(result), render_markdown(result)):
        assert "vulnerable -&gt; inconclusive" in text or "vulnerable -> inconclusive" in text


def write_scan(path: str, *models: str) -> Path:
    Path(path).write_text(render_json(scan([Path(model) for model in models])))
    return Path(path)


def test_scans_by_their_fingerprints(project: Path) -> None:
    a = write_scan("a.json", "models/good.tflite")
    b = write_scan("b.json", "models")
    result = compare(a, b)
    assert "OPT-01" in {item.rule for item in result.new}
    assert all(item.where == "models/bad.tflite" for item in result.new)
    assert "models/bad.tflite was scanned in the second only" in result.notes
    assert len(compare(b, a).gone) == len(result.new)
    assert compare(b, b).new == ()


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        ("none.json", "a.json", InputError), ("a.json", "models", InputError), ("a.json", "run", UsageError),
        ("a.json", "other.json", InputError),
    ],
)  # fmt: skip
def test_sides_that_do_not_fit(project: Path, a: str, b: str, error: type[Exception]) -> None:
    write_scan("a.json", "models")
    Path("other.json").write_text("{}")
    if b == "run":
        command = [sys.executable, "-m", "tinymlsec", "assess", "--device", "esp8266-nodemcu", "-o", "run", "--quiet"]
        subprocess.run(command, check=True)
    with pytest.raises(error):
        compare(Path(a), Path(b))


def test_the_verb(project: Path) -> None:
    write_scan("a.json", "models/good.tflite")
    Path("b").mkdir()
    shutil.move(write_scan("b.json", "models"), "b/scan.json")

    def call(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tinymlsec", "compare", "a.json", "b", *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert call().returncode == 0
    assert call("--fail-on", "low").returncode == 1
    assert json.loads(call("--format", "json").stdout)["new"]
    assert call("--format", "md", "-o", "c.md").stdout == ""
    assert Path("c.md").read_text().startswith("## Compared")
    assert call("--format", "xml").returncode == 2
