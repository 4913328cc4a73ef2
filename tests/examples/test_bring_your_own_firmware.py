"""The example is run as its README says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "bring-your-own-firmware"


def test_it_builds_and_every_answer_is_right(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder)
    for script in ("make.py", "run.py"):
        told = subprocess.run(
            [sys.executable, str(folder / script)], capture_output=True, text=True, timeout=300, check=False
        )
        assert told.returncode == 0, told.stderr
    assert "100 of 100 answers are right" in told.stdout
    assert "b'ready\\n'" in told.stdout
