"""The example plug-in, installed into a folder and found, listed, explained and run by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tinymlsec.target.oracle import runtime_available

PLUGIN = Path(__file__).resolve().parent.parent / "plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and the metadata that pip would write for it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PLUGIN / "tinymlsec_noise", folder / "tinymlsec_noise")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    info = folder / f"tinymlsec_noise-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["tinymlsec.attacks"]
    lines = ["[tinymlsec.attacks]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def run(site: Path, *arguments: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "tinymlsec", *arguments], env=environment, cwd=cwd, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_listed_with_its_provider(site: Path) -> None:
    rows = {row["id"]: row for row in json.loads(run(site, "list", "attacks", "--format", "json"))}
    assert rows["uniform-noise"]["from"] == "tinymlsec-noise"
    assert rows["square"]["from"] == "tinymlsec"


def test_its_docstring_is_its_page(site: Path) -> None:
    page = run(site, "explain", "uniform-noise")
    assert "Adds uniform noise to inputs" in page
    assert "thorough" in page


@pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
def test_it_runs_in_an_assessment(site: Path, tmp_path: Path) -> None:
    run(site, "demo", "--effort", "quick", "-o", str(tmp_path / "run"), cwd=tmp_path)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    (evidence,) = [e for e in report["evidence"] if e["attack"] == "uniform-noise"]
    assert evidence["verdict"]["kind"] == "inconclusive"
    assert evidence["metrics"][0]["n"] == 20
