"""The fuzz target of the loaders as tests: a short campaign each time, ten thousand files on demand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.sound_firmware import SEEDS
from fuzz import fuzz_firmware
from fuzz.mutate_firmware import FirmwareMutator
from tinymlsec.emulate.compilers import find_zig

REPO = Path(__file__).resolve().parents[2]


def campaign(tmp_path: Path, *arguments: str, seconds: int) -> dict[str, Any]:
    """Runs one in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, fuzz_firmware.__file__, "--keep", str(tmp_path / "kept"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPO / "src")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["failures"] == []
    assert summary["peak_megabytes"] < fuzz_firmware.MEGABYTES
    return summary


def test_short_campaign(tmp_path: Path) -> None:
    summary = campaign(tmp_path, "--count", "800", "--seed", "7", seconds=60)
    outcomes = summary["outcomes"]
    assert sum(outcomes.values()) == 800
    for kind in ("elf", "hex", "uf2", "raw"):
        assert outcomes[f"read: {kind}"] > 20, "too few files get past the loaders: look-ups are hardly tried"
    assert len(outcomes) > 25, "the files fail in too few ways: mutation does not reach deep"


@pytest.mark.slow
@pytest.mark.skipif(find_zig() is None, reason="needs tinymlsec[firmware]")
def test_ten_thousand_files(tmp_path: Path) -> None:
    """Firmware of the project's own toolchain among the files to start from."""
    summary = campaign(tmp_path, "--count", "10000", "--seed", "2026", "--built", seconds=1200)
    print(json.dumps(summary, indent=1))
    assert sum(summary["outcomes"].values()) == 10_000


def test_the_same_seed_makes_the_same_files() -> None:
    sound = [make() for make in SEEDS.values()]
    first, second = (FirmwareMutator(sound, np.random.default_rng(3)) for _ in range(2))
    assert [first.next() for _ in range(50)] == [second.next() for _ in range(50)]


def test_the_campaign_notices_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader that raises something else than InputError, and one that contradicts itself, must be reported."""

    def broken(_: bytes, **options: object) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr(fuzz_firmware, "load_image", broken)
    assert len(fuzz_firmware.campaign([SEEDS["hex"]()], 3, 0, None)["failures"]) == 3
    monkeypatch.undo()
    monkeypatch.setattr(fuzz_firmware.FirmwareImage, "read", lambda image, address, size: b"")
    assert len(fuzz_firmware.campaign([SEEDS["raw"]()], 20, 0, None)["failures"]) > 5


@pytest.mark.parametrize("name", [name for name in SEEDS if not name.endswith(("scattered", "pages"))])
def test_sound_seeds_are_read(name: str) -> None:
    assert fuzz_firmware.exercise(SEEDS[name]()) == f"read: {name.split()[0]}"
