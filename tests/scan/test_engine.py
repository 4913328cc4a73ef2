"""From paths to a report: one process or several, errors of single files, order."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scan.deadly import Broken, Deadly, Endless, as_path
from tinymlsec.context import silent
from tinymlsec.errors import InputError
from tinymlsec.scan import engine
from tinymlsec.scan.collect import Found, collect
from tinymlsec.scan.engine import scan
from tinymlsec.scan.pool import scan_in_processes
from tinymlsec.scan.records import FileKind, FileReport, ScanReport
from tinymlsec.scan.scanner import Scanner
from tinymlsec.scan.settings import ScanSettings


def timeless(report: ScanReport) -> list[FileReport]:
    return [file.model_copy(update={"seconds": 0.0}) for file in report.files]


def test_a_folder_gives_one_report_a_file(project: Path) -> None:
    report = scan([Path("models")])
    assert [(f.path, f.kind) for f in report.files] == [
        ("models/bad.tflite", FileKind.TFLITE),
        ("models/good.tflite", FileKind.TFLITE),
        ("models/notes.txt", FileKind.OTHER),
    ]
    bad, good, notes = report.files
    assert {f.id for f in bad.findings} == {"OPT-01"}
    assert len(bad.fingerprints) == len(bad.findings)
    assert "OPT-01" not in {f.id for f in good.findings}
    assert "plain text" in notes.skipped[0]
    assert ScanReport.model_validate_json(report.model_dump_json()) == report


def test_processes_find_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        shutil.copy("models/bad.tflite", f"models/bad{number}.tflite")
    alone = scan([Path("models")], use_cache=False, jobs=1)
    monkeypatch.setattr(engine, "_START_SECONDS", 0.0)
    seen: list[int] = []
    several = scan([Path("models")], use_cache=False, jobs=2, progress=lambda done, total, what: seen.append(done))
    assert timeless(several) == timeless(alone)
    assert seen[-1] == len(several.files)


def test_names_that_are_no_unicode_go_through_processes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Path("models") / os.fsdecode(b"odd-\xff.tflite")
    shutil.copy("models/bad.tflite", odd)
    monkeypatch.setattr(engine, "_START_SECONDS", 0.0)
    report = scan([Path("models")], jobs=2)
    assert odd.as_posix() in {file.path for file in report.files if file.findings}


def test_small_scans_start_no_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinymlsec.scan.pool.scan_in_processes", None)
    assert len(scan([Path("models")], jobs=8).files) == 3


def test_what_kills_or_stops_a_worker_costs_itself_only(project: Path) -> None:
    files = collect([Path("models")]).files
    odd = [Found(as_path(kind()), kind.name, 10, given=True) for kind in (Deadly, Endless)]
    reports = scan_in_processes([*odd, *files], ScanSettings(), None, 2, silent, patience=5.0)
    by_path = {report.path: report for report in reports}
    assert by_path.keys() == {"deadly.tflite", "endless.tflite", *(file.shown for file in files)}
    assert "died" in str(by_path["deadly.tflite"].error)
    assert "not done after" in str(by_path["endless.tflite"].error)
    assert by_path["models/bad.tflite"].findings


def test_an_unexpected_error_of_one_file_is_told_and_ends_nothing(project: Path) -> None:
    report = Scanner(ScanSettings()).scan(Found(as_path(Broken()), "broken.tflite", 10, given=True))
    assert "internal error" in str(report.error)
    assert "AssertionError" in str(report.error)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1c\0\0\0TFL3", b"\x1c\0\0\0TFL9" + bytes(64)])
def test_a_model_file_that_cannot_be_read_is_never_clean(project: Path, content: bytes) -> None:
    Path("models/broken.tflite").write_bytes(content)
    [report] = scan([Path("models/broken.tflite")]).files
    assert report.findings or report.error


def test_a_file_that_goes_away_is_an_error_of_its_own(project: Path) -> None:
    item = collect([Path("models/bad.tflite")]).files[0]
    Path("models/bad.tflite").unlink()
    assert Scanner(ScanSettings()).scan(item).error == "No such file or directory"


def test_a_file_that_becomes_a_link_is_not_followed(project: Path) -> None:
    item = next(f for f in collect([Path("models")]).files if f.shown == "models/notes.txt")
    Path("models/notes.txt").unlink()
    Path("models/notes.txt").symlink_to("/etc/hostname")
    assert Scanner(ScanSettings()).scan(item).error


def test_too_large_files_are_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinymlsec.target.tflite.limits.MAX_FILE_BYTES", 100)
    [report] = scan([Path("models/good.tflite")], use_cache=False).files
    assert "too large" in str(report.error)


@pytest.mark.parametrize(
    "settings",
    [ScanSettings(device="no-such-board"), ScanSettings(runtime="no-such-runtime")],
    ids=["device", "runtime"],
)
def test_wrong_names_are_told_before_any_work(project: Path, settings: ScanSettings) -> None:
    with pytest.raises(InputError):
        scan([Path("models")], settings)


def test_fingerprints_do_not_depend_on_where_the_project_lies(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scan([Path("models")])
    other = tmp_path_factory.mktemp("elsewhere") / "deep"
    shutil.copytree("models", other / "models")
    absolute = scan([project / "models"])
    monkeypatch.chdir(other)
    there = scan([Path("./models")])
    marks = [[file.fingerprints for file in report.files] for report in (here, absolute, there)]
    assert marks[0] == marks[1] == marks[2]
    assert any(marks[0])
