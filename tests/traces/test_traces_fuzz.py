"""Damaged trace files end in a set or a TraceError, soon and in little memory: a short campaign each time, a long one
with `-m slow`."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuzz.blind import BlindMutator
from fuzz.campaign import run_campaign
from tinymlsec.traces.imports import load_traces
from tinymlsec.traces.survey import survey
from tinymlsec.traces.traceset import TraceError
from traces.sound_traces import T, array_traces, inputs, npy, npz, project, samples, trs

MEGABYTES = 600


@dataclass(frozen=True)
class Seed:
    """A sound file, and where the numbers that describe it lie."""

    data: bytes
    header: int


class TraceMutator(BlindMutator):
    """Changes numbers and lengths of headers, mostly."""

    def __init__(self, seeds: list[Seed], rng: np.random.Generator) -> None:
        super().__init__(seeds, rng)
        self.by_meaning = (self.change_number, self.change_number, self.change_text, self.change_tail)

    def change_number(self, data: bytearray, seed: Seed) -> None:
        width = self.pick((1, 1, 2, 4, 4, 8))
        self.write(data, self.below(seed.header), width, self.number(width))

    def change_text(self, data: bytearray, seed: Seed) -> None:
        """Changes a character of a header for another that headers are made of."""
        at = self.below(min(seed.header, len(data)))
        data[at : at + 1] = self.pick(
            (b"9", b"0", b"-", b"(", b")", b",", b"'", b"<", b">", b"f", b"O", b"V", b"[", b"{")
        )

    def change_tail(self, data: bytearray, _: Seed) -> None:
        """Changes what stands at the end, where archives keep their table of contents."""
        at = max(0, len(data) - 1 - self.below(300))
        self.write(data, at, self.pick((1, 2, 4)), self.number(4))


def seeds(kind: str) -> list[Seed]:
    if kind == ".trs":
        made = [
            trs(samples(d), inputs(), title=t, version=v) for d in ("int8", "float32") for t in (0, 5) for v in (1, 2)
        ]
        return [Seed(data, len(data) - len(data) // 24 * 23) for data in made]
    if kind == ".npy":
        return [Seed(npy(samples(d)), 128) for d in ("int8", "int16", "float32", "float64")]
    pc = np.arange(T, dtype=np.uint32)
    made = [npz(packed, samples=samples("int16"), inputs=inputs(), pc=pc, core="m4") for packed in (False, True)]
    return [Seed(data, 400) for data in made]


def exercise(path: Path) -> str:
    """Opens a set and goes through it; what became of it, without the numbers."""
    try:
        seen = survey(load_traces(path), needs_inputs=False)
    except TraceError as error:
        return "refused: " + re.sub(r" \(file offset.*|[\d,]+(\.\d+)?|'.*'", "", error.message)
    assert np.isfinite([seen.low, seen.high]).all()
    return "read"


def campaign(path: Path, make: Callable[[], bytes], count: int, label: str) -> dict[str, Any]:
    def use(data: bytes) -> str:
        path.write_bytes(data)
        return exercise(path)

    summary: dict[str, Any] = run_campaign(make, use, count, label, None, path.suffix)
    assert summary["failures"] == [], "\n".join(summary["failures"][:3])
    assert summary["peak_megabytes"] < MEGABYTES
    return summary


@pytest.mark.parametrize("kind", [".trs", ".npy", ".npz"])
def test_short_campaign(tmp_path: Path, kind: str) -> None:
    mutator = TraceMutator(seeds(kind), np.random.default_rng(11))
    summary = campaign(tmp_path / f"x{kind}", mutator.next, 600, kind)
    assert summary["outcomes"]["read"] > 10, "too few files get through: nothing behind the header is tried"
    assert len(summary["outcomes"]) > 3, "the files fail in too few ways"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".trs", ".npy", ".npz"])
def test_long_campaign(tmp_path: Path, kind: str) -> None:
    mutator = TraceMutator(seeds(kind), np.random.default_rng(2026))
    print(json.dumps(campaign(tmp_path / f"x{kind}", mutator.next, 20_000, kind), indent=1))


def folder_campaign(sound: Path, opened: str, count: int, seed: int) -> dict[str, Any]:
    """Damages one file of a folder at a time."""
    files = [path for path in sorted(sound.rglob("*")) if path.is_file()]
    rng = np.random.default_rng(seed)
    mutators = [TraceMutator([Seed(file.read_bytes(), min(2000, file.stat().st_size))], rng) for file in files]
    where = {"at": 0}

    def make() -> bytes:
        where["at"] = int(rng.integers(len(files)))
        return mutators[where["at"]].next()

    def use(data: bytes) -> str:
        file = files[where["at"]]
        before = file.read_bytes()
        file.write_bytes(data)
        try:
            return exercise(sound / opened)
        finally:
            file.write_bytes(before)

    summary: dict[str, Any] = run_campaign(make, use, count, opened, None, ".folder")
    assert summary["failures"] == [], "\n".join(summary["failures"][:3])
    assert summary["outcomes"]["read"] > 0
    assert summary["peak_megabytes"] < MEGABYTES
    return summary


def test_projects(tmp_path: Path) -> None:
    project(tmp_path)
    assert len(folder_campaign(tmp_path, "scope.cwp", 400, 12)["outcomes"]) > 6


@pytest.mark.skipif(find_spec("zarr") is None, reason="needs tinymlsec[sidechannel]")
def test_zarr_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinymlsec.traces import zarr_store

    monkeypatch.setattr(zarr_store, "TARGET", 9 * 4 * T)
    zarr_store.write_zarr(array_traces(), tmp_path / "set")
    assert len(folder_campaign(tmp_path, "set", 400, 13)["outcomes"]) > 6


@pytest.mark.slow
def test_long_campaigns_of_folders() -> None:
    from tinymlsec.traces import zarr_store

    for number in range(2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            project(folder)
            print(json.dumps(folder_campaign(folder, "scope.cwp", 8000, 100 + number), indent=1))
            shutil.rmtree(folder / "scope_data")
            (folder / "scope.cwp").unlink()
            zarr_store.write_zarr(array_traces(), folder / "set")
            print(json.dumps(folder_campaign(folder, "set", 8000, 200 + number), indent=1))
