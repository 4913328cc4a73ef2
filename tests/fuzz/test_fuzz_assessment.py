"""Damaged models through the whole assessment: it ends with a report or a clear error, soon and in little memory."""

from __future__ import annotations

import collections
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fuzz.mutate import Mutator
from models.handmade import SEEDS
from tinymlsec.assessment import Options, Sources, assess
from tinymlsec.errors import InputError
from tinymlsec.examples import digits_model
from tinymlsec.registry import EffortLevel
from tinymlsec.target.oracle import runtime_available

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])

ORACLE_SECONDS = 2.0
WALL_SECONDS = 90.0
"""A file may take this long in all: start of workers, crashes and restarts of the runtime included."""
GIGABYTE = 1 << 30


def seeds(shared: Path | None = None) -> list[bytes]:
    real = [p.read_bytes() for p in sorted(shared.rglob("*.tflite")) if p.stat().st_size < 120_000] if shared else []
    return [*(make() for make in SEEDS.values()), digits_model(), *real]


def through_the_api(count: int, seed: int, shared: Path | None = None) -> collections.Counter[str]:
    mutator, ends = Mutator(seeds(shared), np.random.default_rng(seed)), collections.Counter[str]()
    for number in range(count):
        data = mutator.next()
        options = Options(effort=EffortLevel.QUICK, oracle_seconds=ORACLE_SECONDS, workers=1)
        start = time.monotonic()
        try:
            result = assess(Sources(data, name=f"file {number}"), None, options)
        except InputError:
            ends["refused"] += 1
        else:
            assert len(result.threats) == 41
            ends["assessed, runs" if result.run.model and result.run.model.runs else "assessed, does not run"] += 1
        assert time.monotonic() - start < WALL_SECONDS, f"file {number} of seed {seed}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < GIGABYTE
    return ends


def test_short_campaign_through_the_api() -> None:
    assert sum(through_the_api(12, 1).values()) == 12


@pytest.mark.slow
def test_thousand_files_through_the_api(shared_data: Path) -> None:
    ends = through_the_api(1000, 2, shared_data)
    print(dict(ends))
    assert ends["refused"]
    assert ends["assessed, runs"]


@pytest.mark.slow
def test_fifty_files_through_the_command_line(shared_data: Path, tmp_path: Path) -> None:
    mutator = Mutator(seeds(shared_data), np.random.default_rng(3))
    codes = collections.Counter[int]()
    for number in range(50):
        (tmp_path / "m.tflite").write_bytes(mutator.next())
        command = [sys.executable, "-m", "tinymlsec", "assess", "m.tflite", "--effort", "quick", "--quiet",
                   "-o", f"run{number}"]  # fmt: skip
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True) as process:
            try:
                _, errors = process.communicate(timeout=WALL_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        codes[process.returncode] += 1
        assert process.returncode in (0, 2, 3), errors.decode()
        assert b"Traceback" not in errors
        report = tmp_path / f"run{number}" / "report.html"
        assert report.is_file() if process.returncode != 2 else b"error: " in errors
    print(dict(codes))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < GIGABYTE
