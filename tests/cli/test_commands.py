"""The verbs, as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinymlsec.target.oracle import runtime_available

needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])


def test_help_names_working_verbs_only(call) -> None:  # type: ignore[no-untyped-def]
    text = call("--help").stdout
    verbs = ("assess", "report", "init", "demo", "list", "explain", "doctor", "scan", "compare", "export-c", "measure")
    assert all(verb in text for verb in verbs)
    assert "harden" not in text


@pytest.mark.parametrize("what", ["attacks", "threats", "devices", "defenses"])
def test_lists_are_json_on_request(call, what: str) -> None:  # type: ignore[no-untyped-def]
    rows = json.loads(call("list", what, "--format", "json").stdout)
    assert rows
    assert len({row["id"] for row in rows}) == len(rows)


def test_counts_of_catalog_and_devices(call) -> None:  # type: ignore[no-untyped-def]
    assert len(json.loads(call("list", "threats", "--format", "json").stdout)) == 41
    assert len(json.loads(call("list", "devices", "--format", "json").stdout)) == 88


def test_device_filters(call) -> None:  # type: ignore[no-untyped-def]
    rows = json.loads(call("list", "devices", "--class", "tinyml", "--has", "trustzone_m", "--format", "json").stdout)
    assert 0 < len(rows) < 65
    assert {row["class"] for row in rows} == {"TinyML"}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("square", "thorough"),
        ("H2", "weights"),
        ("stm32l4r5zi", "cores"),
        ("robust_accuracy", "share"),
        ("SAF-01", "MSI"),
    ],
)
def test_everything_has_a_page(call, name: str, word: str) -> None:  # type: ignore[no-untyped-def]
    done = call("explain", name)
    assert done.returncode == 0
    assert word in done.stdout


def test_an_unknown_page_is_told(call) -> None:  # type: ignore[no-untyped-def]
    done = call("explain", "no-such-thing")
    assert done.returncode == 2
    assert "tinymlsec list" in done.stderr


def test_init_writes_a_profile_that_assess_reads(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert call("init", "--name", "Lock", "--set", "debug.port=fused", "-o", "p.toml").returncode == 0
    assert call("init", "-o", "p.toml").returncode == 2
    done = call("assess", "--device", "esp8266-nodemcu", "--deployment", "p.toml", "-o", "run", "--quiet")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["run"]["deployment"]["debug"]["port"] == "fused"
    assert len(report["threats"]) == 41


def test_a_bad_flag_of_init_is_told(call) -> None:  # type: ignore[no-untyped-def]
    done = call("init", "--set", "debug.port=ajar")
    assert done.returncode == 2
    assert "ajar" in done.stderr


def test_a_device_alone_is_scored_by_facts(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = call("assess", "--device", "esp8266-nodemcu", "-o", "run")
    assert done.returncode == 0, done.stderr
    threats = json.loads((tmp_path / "run" / "report.json").read_text())["threats"]
    outcomes = {t["threat"]: t["outcome"] for t in threats}
    assert {t for t, o in outcomes.items() if o == "not_applicable"} == {"H7", "S3", "M12", "M13"}
    assert all(t["scorecard"] for t in threats if t["outcome"] != "not_applicable")


def test_scan_prints_facts(call, digits) -> None:  # type: ignore[no-untyped-def]
    assert "CONV_2D" in call("scan", "--facts", digits.model).stdout
    assert json.loads(call("scan", "--facts", digits.model, "--format", "json").stdout)["sha256"]


def test_doctor_answers_in_text_and_json(call) -> None:  # type: ignore[no-untyped-def]
    assert "numpy" in call("doctor").stdout
    assert "square" in json.loads(call("doctor", "--format", "json").stdout)["attacks"]


@needs_runtime
def test_fail_on_makes_a_gate(call, digits) -> None:  # type: ignore[no-untyped-def]
    common = ("assess", digits.model, "--only", "static-extraction", "--quiet", "--format", "json")
    assert call(*common, "-o", "a", "--fail-on", "low").returncode == 1
    assert call(*common, "-o", "b").returncode == 0


@needs_runtime
def test_a_file_name_that_is_no_utf8_is_no_obstacle(call, digits, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    odd = tmp_path / os.fsdecode(b"model-\xff.tflite")
    odd.write_bytes(digits.model.read_bytes())
    done = call("assess", odd, "--only", "static-extraction", "-o", "run", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "model-?.tflite" in (tmp_path / "run" / "report.html").read_text()


@needs_runtime
def test_demo_says_something_at_once_and_ends_with_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tinymlsec", "demo", "--effort", "quick", "-o", "run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        start = time.monotonic()
        first = process.stdout.readline()
        waited = time.monotonic() - start
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "digits" in first
    assert waited < 10  # 2 s on an idle machine; a suite shares its processors
    assert [f"  {n}. " in rest for n in (1, 2, 3)] == [True] * 3
    assert str(Path("run") / "report.html") in rest
    assert "next:" in rest


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tinymlsec.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'matplotlib', 'jinja2', 'cvss', 'torch') if m in sys.modules])"
    )
    for arguments in (["--help"], ["list", "attacks"], ["list", "devices"], ["list", "threats"], ["explain", "square"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]", arguments
