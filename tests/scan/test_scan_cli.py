"""`tinymlsec scan` as a user meets it: exit codes, files, configuration, start, interruption."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from scan.scan_sample import case
from tinymlsec.cli import main

Run = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """What came of a call."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def tinymlsec(capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls the command line in this process."""

    def call(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return call


def test_findings_are_exit_1_and_clean_is_0(project: Path, tinymlsec: Run) -> None:
    assert tinymlsec("scan", "models", "--fail-on", "low").returncode == 1
    done = tinymlsec("scan", "models", "--fail-on", "none")
    assert done.returncode == 0
    assert "OPT-01" in done.stdout
    assert "scanned: 2 tflite; no rules for: 1" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "nothing to scan"),
        (("nothing.tflite",), 2, "No such file"),
        (("models/notes.txt",), 3, ""),
        (("models", "--fail-on", "worst"), 2, "none of none, low"),
        (("models", "--format", "pdf"), 2, "no such report format"),
        (("models", "--format", "json,sarif"), 2, "several formats need a folder"),
        (("models", "--device", "no-such-board"), 2, "no-such-board"),
        (("models", "--runtime", "none"), 2, "no table of that runtime"),
        (("models", "--baseline", "none.json"), 2, "none.json"),
        (("models", "--config", "none.toml"), 2, "none.toml"),
        (("models", "--deployment", "none.toml"), 2, "none.toml"),
        (("models", "--firmware", "models/notes.txt"), 2, "base address"),
        (("models", "--firmware", "none.elf"), 2, "none.elf"),
        (("models", "models", "--facts"), 2, "one model file"),
    ],
)
def test_exit_codes_of_what_cannot_be(
    project: Path, tinymlsec: Run, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = tinymlsec("scan", *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_several_formats_into_a_folder(project: Path, tinymlsec: Run) -> None:
    done = tinymlsec(
        "scan", "models", "--format", "json,sarif,md,csv,junit,text", "-o", "out", "--fail-on", "none", "-q"
    )
    assert (done.returncode, done.stdout) == (0, "")
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == ["scan.csv", "scan.json", "scan.md", "scan.sarif", "scan.txt", "scan.xml"]
    assert len(json.loads(Path("out/scan.json").read_text())["files"]) == 3


def test_configuration_and_baseline(project: Path, tinymlsec: Run) -> None:
    assert tinymlsec("scan", "models", "--write-baseline", "base.json", "-q").returncode == 0
    assert tinymlsec("scan", "models", "--baseline", "base.json", "--fail-on", "low").returncode == 0
    Path("tinymlsec.toml").write_text('[severity]\n"*-*" = "none"\n')
    assert tinymlsec("scan", "models", "--fail-on", "low").returncode == 0
    Path("tinymlsec.toml").write_text("[severities]\n")
    done = tinymlsec("scan", "models")
    assert done.returncode == 2
    assert "did you mean 'severity'?" in done.stderr


def test_no_baseline_is_made_of_nothing(project: Path, tinymlsec: Run) -> None:
    assert tinymlsec("scan", "models/notes.txt", "--write-baseline", "base.json").returncode == 3
    assert not Path("base.json").exists()


def test_a_device_alone_is_judged_by_its_facts(project: Path, tinymlsec: Run) -> None:
    done = tinymlsec("scan", "--device", "esp8266-nodemcu", "--format", "json", "--fail-on", "none")
    [report] = json.loads(done.stdout)["files"]
    assert (done.returncode, report["kind"], report["path"]) == (0, "product", "device/esp8266-nodemcu")


def test_rules_are_listed_and_explained(project: Path, tinymlsec: Run) -> None:
    rows = json.loads(tinymlsec("list", "rules", "--family", "opt", "--format", "json").stdout)
    assert {row["id"].partition("-")[0] for row in rows} == {"OPT"}
    done = tinymlsec("explain", "opt-01")
    assert done.returncode == 0
    assert "Fix:" in done.stdout
    assert "tflm-2026-08" in done.stdout


def test_facts_are_as_before(project: Path, tinymlsec: Run) -> None:
    assert json.loads(tinymlsec("scan", "--facts", "models/good.tflite", "--format", "json").stdout)["sha256"]


def test_help_and_a_small_scan_start_in_half_a_second(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processor time, best of five: 0.25 s and 0.5 s on a machine that does other work besides, less on an idle one."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "compiled"))  # an installed package is compiled, too
    assert min(seconds_of(("scan", "--help")) for _ in range(5)) < 0.5
    assert min(seconds_of(("scan", "models", "--fail-on", "none")) for _ in range(5)) < 0.75


def seconds_of(arguments: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "tinymlsec", *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_scan_imports_neither_torch_nor_drawing(project: Path) -> None:
    code = (
        "import sys; from tinymlsec.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('matplotlib', 'jinja2', 'cvss', 'torch', 'unicorn', 'scalib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, "scan", "models"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_ends_with_130_and_keeps_what_was_done(project: Path, own_cache: Path) -> None:
    source = case("OPT-01").bad
    for number in range(3000):
        # a few bytes behind the flatbuffer make files of different digests
        (project / "models" / f"m{number}.tflite").write_bytes(source + number.to_bytes(4, "little"))
    command = [sys.executable, "-m", "tinymlsec", "scan", "models", "--jobs", "2", "--fail-on", "none"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while len(entries(own_cache)) < 40 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        words = process.stderr.read().decode()
    assert process.returncode == 130, words
    assert "the same command goes on" in words
    assert "Traceback" not in words
    kept = len(entries(own_cache))
    assert 40 <= kept < 3000


def entries(own_cache: Path) -> list[Path]:
    return list((own_cache / "scan").glob("*/*.json"))
