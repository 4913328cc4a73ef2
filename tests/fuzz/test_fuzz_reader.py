"""The fuzz target as tests: a short campaign each time, a long one on demand.

Each runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuzz.fuzz_reader import exercise
from fuzz.mutate import Mutator
from models.handmade import SEEDS

REPO = Path(__file__).resolve().parents[2]
REAL = sorted((REPO.parent / "shared" / "data").glob("**/*.tflite"))


def campaign(tmp_path: Path, *arguments: str, seconds: int) -> dict[str, Any]:
    command = [sys.executable, str(REPO / "tests/fuzz/fuzz_reader.py"), "--keep", str(tmp_path / "kept"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPO / "src")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["failures"] == []
    assert summary["peak_megabytes"] < 1024
    return summary


def test_short_campaign(tmp_path: Path) -> None:
    summary = campaign(tmp_path, "--count", "1000", "--seed", "7", seconds=60)
    outcomes = summary["outcomes"]
    assert sum(outcomes.values()) == 1000
    assert outcomes["read"] > 100, "too few files get past the reader: the facts are hardly tried"
    assert len(outcomes) > 40, "the files fail in too few ways: mutation does not reach deep"


@pytest.mark.slow
def test_long_campaign(tmp_path: Path) -> None:
    small = [str(path) for path in REAL if path.stat().st_size < 60_000]
    campaign(tmp_path, "--count", "100000", "--seed", "2026", *small, seconds=1200)


def test_the_same_seed_makes_the_same_files() -> None:
    first, second = (Mutator([make() for make in SEEDS.values()], np.random.default_rng(3)) for _ in range(2))
    assert [first.next() for _ in range(50)] == [second.next() for _ in range(50)]


def test_the_campaign_notices_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises something else than ModelFileError must be reported."""
    from fuzz import fuzz_reader

    def broken(_: bytes) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr(fuzz_reader, "read_model", broken)
    summary = fuzz_reader.campaign([SEEDS["zoo"]()], 3, 0, None)
    assert len(summary["failures"]) == 3


def test_sound_seeds_are_read() -> None:
    assert {exercise(make()) for make in SEEDS.values()} == {"read"}
