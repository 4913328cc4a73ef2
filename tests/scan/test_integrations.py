"""The pre-commit hook and the GitHub action: their form, and what their commands do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")


def action() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPO / "action.yml").read_text())
    return loaded


def step(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in action()["runs"]["steps"] if s.get("name") == name)
    return found


def test_the_hook_names_a_command_that_exists_and_the_files_it_is_for() -> None:
    [hook] = yaml.safe_load((REPO / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"].split()[:2] == ["tinymlsec", "scan"]
    names = ["a/kws.tflite", "fw.ELF", "fw.elf", "main.c", "x.bin", "x.bin.txt"]
    assert [bool(re.search(hook["files"], name)) for name in names] == [True, False, True, False, True, False]


def test_no_input_is_read_as_a_command() -> None:
    for item in action()["runs"]["steps"]:
        assert "${{" not in item.get("run", ""), item["name"]
        assert item.get("shell") == "bash" or "uses" in item


def test_every_input_is_used() -> None:
    text = (REPO / "action.yml").read_text()
    assert all(f"inputs.{name}" in text for name in action()["inputs"])


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize(
    ("paths", "fail_on", "code"), [("models\n", "low", 1), ("models\n\n", "none", 0), ("no\n", "low", 2)]
)
def test_the_scan_step_runs(project: Path, paths: str, fail_on: str, code: int) -> None:
    tools = project / "tools"
    tools.mkdir()
    (tools / "tinymlsec").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tinymlsec "$@"\n')
    (tools / "tinymlsec").chmod(0o755)
    given = {
        "PATHS": paths, "DEVICE": "", "DEPLOYMENT": "", "BASELINE": "", "FAIL_ON": fail_on, "OUT": str(project / "out"),
        "GITHUB_OUTPUT": str(project / "output"), "GITHUB_STEP_SUMMARY": str(project / "summary"),
        "PATH": f"{tools}:{os.environ['PATH']}",
    }  # fmt: skip
    subprocess.run(["bash", "-c", step("Scan")["run"]], env={**os.environ, **given}, check=True)
    lines = (project / "output").read_text().splitlines()
    assert f"exit-code={code}" in lines
    if code != 2:
        assert f"sarif={project}/out/scan.sarif" in lines
        assert json.loads((project / "out" / "scan.sarif").read_text())["version"] == "2.1.0"
        assert "tinymlsec scan" in (project / "summary").read_text()
    verdict = subprocess.run(["bash", "-c", step("Verdict")["run"]], env={**os.environ, "CODE": str(code)}, check=False)
    assert verdict.returncode == code
