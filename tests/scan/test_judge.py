"""What counts: severities and suppressions of a project, baseline, exit codes. All dates are fixed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tinymlsec.errors import ConfigError, InputError
from tinymlsec.records import Severity
from tinymlsec.scan.baseline import baseline_of, load_baseline, write_baseline
from tinymlsec.scan.config import Config, load_config
from tinymlsec.scan.engine import scan
from tinymlsec.scan.judge import counting, exit_code, judge
from tinymlsec.scan.output.json_output import render_json
from tinymlsec.scan.records import FileKind, FileReport, ScanReport

TODAY = date(2026, 11, 26)
MODELS = Path("models")


def configured(text: str) -> Config:
    Path("tinymlsec.toml").write_text(text)
    return load_config()


def suppression(**changes: str) -> str:
    entry = {"rule": '"OPT-01"', "path": '"models/*"', "reason": '"known and harmless here"', **changes}
    return "[[suppress]]\n" + "".join(f"{key} = {value}\n" for key, value in entry.items())


def counted(report: ScanReport) -> set[str]:
    return {finding.id for _, finding in counting(report)}


def test_an_accepted_finding_is_shown_and_does_not_count(project: Path) -> None:
    found = scan([MODELS])
    report = judge(found, configured(suppression(expires="2026-11-26")), today=TODAY)
    [item] = report.files[0].suppressed
    assert (item.finding.id, item.reason, item.expires) == ("OPT-01", "known and harmless here", "2026-11-26")
    assert "OPT-01" in counted(found)
    assert "OPT-01" not in counted(report)
    assert report.problems == ()
    assert exit_code(found, "low") == 1
    assert exit_code(report, "low") == 0


def test_fingerprints_stay_when_others_are_suppressed(project: Path) -> None:
    found = scan([MODELS])
    report = judge(found, configured(suppression()), today=TODAY)
    before, after = found.files[0], report.files[0]
    assert {*after.fingerprints, *(item.fingerprint for item in after.suppressed)} == set(before.fingerprints)


def test_an_expired_suppression_counts_again_and_is_named(project: Path) -> None:
    report = judge(scan([MODELS]), configured(suppression(expires="2026-11-25")), today=TODAY)
    assert "OPT-01" in counted(report)
    assert report.problems == ("suppression of OPT-01 in models/* expired on 2026-11-25: 1 finding counts again",)


def test_what_matches_nothing_is_named(project: Path) -> None:
    report = judge(scan([MODELS]), configured(suppression(path='"other/*"')), today=TODAY)
    assert report.problems == ("suppression of OPT-01 in other/* matches nothing",)
    assert "OPT-01" in counted(report)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[supress]]\n", "did you mean 'suppress'"),
        (suppression(ruel='"x"'), "unknown key"),
        (suppression(reason='""'), "reason"),
        ('[[suppress]]\nrule = "OPT-01"\npath = "*"\n', "reason"),
        (suppression(expires='"soon"'), "expires"),
        (suppression(rule='"OPT-99"'), "no rule fits 'OPT-99'"),
        ('[severity]\nOPT-01 = "severe"\n', "severity.OPT-01"),
        ('[severity]\n"NOPE-*" = "low"\n', "no rule fits"),
        ("suppress = 3\n", "a list"),
        ("[[suppress]\n", "not valid TOML"),
        ("x" * 2000, "too long"),
        ("[[suppress]]\n" * 501, "suppress"),
    ],
)
def test_mistakes_are_told(project: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("*", r"\*")):
        configured(text)


def test_no_file_is_no_configuration_but_a_named_one_must_be_there(project: Path) -> None:
    assert load_config() == Config()
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(Path("other.toml"))


def test_severities_of_the_project(project: Path) -> None:
    config = configured('[severity]\n"OPT-*" = "low"\n')
    report = judge(scan([MODELS]), config, today=TODAY)
    assert {f.severity for f in report.files[0].findings if f.id == "OPT-01"} == {Severity.LOW}
    assert exit_code(report, "medium") == 0
    assert exit_code(report, "low") == 1


def test_a_baseline_leaves_what_is_new(project: Path) -> None:
    write_baseline(judge(scan([MODELS]), Config()), Path("base.json"))
    (project / "models" / "new.tflite").write_bytes((project / "models" / "bad.tflite").read_bytes())
    report = judge(scan([MODELS]), Config(), load_baseline(Path("base.json")), today=TODAY)
    assert {file.path for file, _ in counting(report)} == {"models/new.tflite"}
    assert set(report.files[0].known) == set(report.files[0].fingerprints)
    assert report.gone == ()
    assert exit_code(report, "low") == 1


def test_a_json_report_is_a_baseline_too(project: Path) -> None:
    report = judge(scan([MODELS]), configured(suppression()), today=TODAY)
    Path("scan.json").write_text(render_json(report))
    assert load_baseline(Path("scan.json")) == baseline_of(report)
    assert exit_code(judge(scan([MODELS]), Config(), load_baseline(Path("scan.json"))), "low") == 0


def test_what_is_gone_is_named_for_files_that_were_read(project: Path) -> None:
    write_baseline(scan([MODELS]), Path("base.json"))
    base = load_baseline(Path("base.json"))
    (project / "models" / "bad.tflite").write_bytes((project / "models" / "good.tflite").read_bytes())
    report = judge(scan([MODELS]), Config(), base)
    assert [item.rule for item in report.gone] == ["OPT-01"]
    assert judge(scan([MODELS / "good.tflite"]), Config(), base).gone == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"), (b"[]", "JSON object"), (b"{}", "schema version"), (b"[" * 100_000, "not valid JSON"),
        (b'{"schema_version": "2.0"}', "schema version"), (b'{"schema_version": "1.0"}', "does not follow"),
        (b'{"schema_version": "1.0", "files": [{}]}', "does not follow"),
    ],
)  # fmt: skip
def test_a_damaged_baseline_is_an_error(project: Path, content: bytes, words: str) -> None:
    Path("base.json").write_bytes(content)
    with pytest.raises(InputError, match=words):
        load_baseline(Path("base.json"))


def report_of(*files: FileReport) -> ScanReport:
    return ScanReport(tool_version="0", runtime="r", started="2026-11-26T00:00:00", seconds=0, files=files)


MODEL = FileReport(path="m", kind=FileKind.TFLITE, size=1)
BROKEN = FileReport(path="b", kind=FileKind.OTHER, size=1, error="no")
OTHER = FileReport(path="o", kind=FileKind.OTHER, size=1, skipped=("no rules",))


@pytest.mark.parametrize(
    ("files", "code"),
    [((), 3), ((OTHER,), 3), ((BROKEN,), 3), ((MODEL,), 0), ((MODEL, OTHER), 0), ((MODEL, BROKEN), 2)],
)
def test_silence_is_no_pass(files: tuple[FileReport, ...], code: int) -> None:
    assert exit_code(report_of(*files), "high") == code
