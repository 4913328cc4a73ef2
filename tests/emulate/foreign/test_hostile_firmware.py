"""Firmware with random damage through all of `doctor --firmware`: an examination or a clear error, in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.emulate.foreign.examination_json import data_of
from tinymlsec.emulate.foreign.examination_text import lines_of
from tinymlsec.emulate.foreign.examine import Question, examine
from tinymlsec.emulate.foreign.first_run import Limits
from tinymlsec.errors import TinymlsecError
from tinymlsec.target.firmware import load_image
from tinymlsec.target.firmware.write import write_bin


def damaged(data: bytes, rng: np.random.Generator, bits: int) -> bytes:
    """Bits flipped anywhere."""
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, len(changed), bits)
    changed[places] ^= (1 << rng.integers(0, 8, bits)).astype(np.uint8)
    return changed.tobytes()


def _examined(path: Path, seconds: float = 4) -> str:
    began = time.monotonic()
    try:
        found = examine(Question(path, limits=Limits(5_000_000, seconds)))
    except TinymlsecError as error:
        return type(error).__name__
    finally:
        assert time.monotonic() - began < 60
    assert "\n".join(lines_of(found))
    assert data_of(found)["image"]["bytes"]
    return "ok"


@pytest.mark.parametrize("seed", range(12))
def test_code_with_flipped_bits(stripped_interpreter_elf: Path, tmp_path: Path, seed: int) -> None:
    """In the raw image there is nothing but code, data and vectors, so the damage is run."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "damaged.bin"
    path.write_bytes(damaged(write_bin(load_image(stripped_interpreter_elf)), rng, 2 ** int(rng.integers(0, 9))))
    _examined(path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_files_with_flipped_bits(stripped_interpreter_elf: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    path = tmp_path / "damaged.elf"
    data = stripped_interpreter_elf.read_bytes()
    if seed % 2:
        path, data = tmp_path / "damaged.bin", write_bin(load_image(stripped_interpreter_elf))
    path.write_bytes(damaged(data, rng, 2 ** int(rng.integers(0, 11))))
    _examined(path)


def test_random_code_behind_a_good_vector_table(stripped_interpreter_elf: Path, tmp_path: Path) -> None:
    """Whatever a processor makes of noise: the tool has an answer."""
    good = write_bin(load_image(stripped_interpreter_elf))
    for seed in range(6):
        noise = np.random.default_rng(seed).bytes(len(good) - 64)
        path = tmp_path / "noise.bin"
        path.write_bytes(good[:64] + noise)
        assert _examined(path) == "ok"
