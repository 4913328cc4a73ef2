"""Killed and resumed, interrupted and resumed, repeated: the evidence is the same."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinymlsec.assessment import Options, Sources, assess, read_run
from tinymlsec.examples import digits_paths
from tinymlsec.records import VerdictKind
from tinymlsec.registry import EffortLevel
from tinymlsec.run_record import RunStatus
from tinymlsec.target.oracle import runtime_available

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])

ONLY = ("static-extraction", "random-bit-flips", "square")
"""Quick ones, so that ten kills take a minute; the attacks on the lifted graph are killed in the slow test."""
SMALL = {
    "random-bit-flips": {"counts": (1, 10, 100), "seeds": 2, "samples": 50},
    "square": {"samples": 20, "max_queries": 30},
}


def evidence_of(folder: Path) -> list[dict[str, object]]:
    return [e.comparable() for e in read_run(folder).evidence]


def command(folder: Path, *more: str) -> list[str]:
    settings = [
        f"--set={attack}.{field}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for attack, values in SMALL.items()
        for field, value in values.items()
    ]
    with digits_paths() as paths:
        return [sys.executable, "-m", "tinymlsec", "assess", str(paths.model), "--data", str(paths.data),
                "--effort", "quick", "--quiet", "--only", ",".join(ONLY), "--format", "json", "-o", str(folder),
                *settings, *more]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A run that was never killed, and how long it took."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    start = time.monotonic()
    subprocess.run(command(folder), check=True, timeout=300)
    return folder, time.monotonic() - start


def test_the_same_seed_gives_the_same_evidence(whole: tuple[Path, float], tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "again", "--workers", "1"), check=True, timeout=300)
    assert evidence_of(tmp_path / "again") == evidence_of(whole[0])


def test_another_seed_gives_other_evidence(whole: tuple[Path, float], tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "other", "--seed", "1"), check=True, timeout=300)
    assert evidence_of(tmp_path / "other") != evidence_of(whole[0])


@pytest.mark.parametrize("moment", range(10))
def test_a_killed_run_goes_on_to_the_same_evidence(whole: tuple[Path, float], tmp_path: Path, moment: int) -> None:
    folder, delay = tmp_path / "run", random.Random(moment).uniform(0.1, 1.0) * whole[1]
    with subprocess.Popen(command(folder)) as process:
        time.sleep(delay)
        process.kill()
    subprocess.run(command(folder, "--resume"), check=True, timeout=300)
    assert evidence_of(folder) == evidence_of(whole[0])
    assert read_run(folder).run.status is RunStatus.COMPLETE


@pytest.mark.slow
def test_killed_between_attacks_on_the_lifted_graph(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the lift needs PyTorch")
    whole, folder = tmp_path / "whole", tmp_path / "run"
    arguments = ("--only", "pgd,progressive-bit-search,runtime-skew")
    subprocess.run(command(whole, *arguments), check=True, timeout=600)
    with subprocess.Popen(command(folder, *arguments)) as process:
        deadline = time.monotonic() + 300
        while not (folder / "evidence.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    subprocess.run(command(folder, *arguments, "--resume"), check=True, timeout=600)
    assert evidence_of(folder) == evidence_of(whole)


def test_interrupt_is_a_state_and_exit_130(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(command(folder, "--set=square.max_queries=100000"), stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not (folder / "run.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)  # into the first attack
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"--resume" in errors
    run = read_run(folder).run
    assert run.status is RunStatus.INTERRUPTED


def test_resuming_something_else_is_refused(whole: tuple[Path, float]) -> None:
    done = subprocess.run(command(whole[0], "--resume", "--seed", "5"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "something else" in done.stderr


def test_a_counted_budget_ends_in_inconclusive_and_resumes_alike(tmp_path: Path) -> None:
    with digits_paths() as paths:
        sources = Sources(paths.model, data=paths.data)
        options = Options(effort=EffortLevel.QUICK, budget=1200, overrides=SMALL, only=ONLY)
        first = assess(sources, tmp_path / "run", options)
    reasons = {e.attack: e.verdict for e in first.evidence}
    assert any(v.reason.startswith("budget") for v in reasons.values())
    assert reasons["static-extraction"].kind is VerdictKind.VULNERABLE  # what the file gives away needs no budget
    lines = (tmp_path / "run" / "evidence.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "evidence.jsonl").write_text("".join(lines[:1]))
    with digits_paths() as paths:
        options = Options(effort=EffortLevel.QUICK, budget=1200, overrides=SMALL, only=ONLY, resume=True)
        again = assess(Sources(paths.model, data=paths.data), tmp_path / "run", options)
    assert [e.comparable() for e in again.evidence] == [e.comparable() for e in first.evidence]


def test_a_report_is_rebuilt_from_the_folder_alone(whole: tuple[Path, float], tmp_path: Path) -> None:
    done = [sys.executable, "-m", "tinymlsec", "report", str(whole[0]), "-o", str(tmp_path), "--quiet"]
    subprocess.run(done, check=True, timeout=120)
    first, second = (json.loads((f / "report.json").read_text()) for f in (whole[0], tmp_path))
    assert first == second
