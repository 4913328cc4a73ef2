"""Tests on constants: false alarms on weights as training leaves them, and what they see and do not see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.rules._weight_statistics import PAIR_LIMIT, UNIFORM_LIMIT, chi_squares, pair_score, period, random_run
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.reader import read_model

KINDS = ("normal", "laplace", "student", "channels", "pruned", "shifted")


def weights(rng: np.random.Generator, kind: str, n: int, spread: float) -> NDArray[np.int8]:
    """Shapes that histograms of trained weights have."""
    values = rng.normal(0, spread, n)
    if kind == "laplace":
        values = rng.laplace(0, spread / np.sqrt(2), n)
    elif kind == "student":
        values = rng.standard_t(4, n) * spread / np.sqrt(2)
    elif kind == "channels":
        values *= np.repeat(np.exp(rng.normal(0, 0.6, n // 64 + 1)), 64)[:n]
    elif kind == "pruned":
        values *= rng.random(n) < 0.3
    elif kind == "shifted":
        values += rng.uniform(-spread, spread)
    return np.clip(np.rint(values), -127, 127).astype(np.int8)


def noisy(rng: np.random.Generator, values: NDArray[np.int8], share: float) -> NDArray[np.int8]:
    bits = rng.integers(0, 2, values.size, dtype=np.int8)
    return np.where(rng.random(values.size) < share, (values & ~1) | bits, values).astype(np.int8)


def test_no_false_alarm_on_600_tensors() -> None:
    rng = np.random.default_rng(1)
    scores = [
        pair_score(weights(rng, KINDS[trial % 6], int(2000 * 2 ** rng.uniform(0, 4)), float(2 ** rng.uniform(0, 6))))
        for trial in range(600)
    ]
    assert max(score for score in scores if score is not None) < PAIR_LIMIT


@pytest.mark.parametrize(
    ("n", "spread", "share"), [(16_384, 4, 1.0), (16_384, 5, 1.0), (65_536, 12, 1.0), (65_536, 5, 0.5)]
)
def test_messages_in_narrow_tensors_are_seen(n: int, spread: float, share: float) -> None:
    rng = np.random.default_rng(2)
    seen = [(pair_score(noisy(rng, weights(rng, "normal", n, spread), share)) or 0) > PAIR_LIMIT for _ in range(20)]
    assert sum(seen) >= 18


@pytest.mark.parametrize(("n", "spread", "share"), [(16_384, 30, 1.0), (4096, 5, 0.25)])
def test_it_is_blind_where_the_documentation_says_so(n: int, spread: float, share: float) -> None:
    rng = np.random.default_rng(3)
    seen = [(pair_score(noisy(rng, weights(rng, "normal", n, spread), share)) or 0) > PAIR_LIMIT for _ in range(20)]
    assert sum(seen) <= 2


def test_real_weights(shared_data: Path) -> None:
    scores = []
    for path in sorted(shared_data.rglob("*.tflite")):
        model = read_model(path.read_bytes())
        for tensor in model.main.tensors:
            try:
                values = constant(model, tensor)
            except ModelFileError:
                continue
            if values is not None and values.dtype == np.int8 and (score := pair_score(values)) is not None:
                scores.append(score)
    assert len(scores) >= 30
    assert max(scores) < PAIR_LIMIT / 2


def test_too_few_weights_have_no_score() -> None:
    assert pair_score(np.zeros(1999, np.int8)) is None


def test_uniform_bytes_lie_below_the_limit() -> None:
    rng = np.random.default_rng(4)
    values = chi_squares(rng.integers(0, 256, 2000 * 4096).astype(np.uint8), 4096)
    assert values.size == 2000
    assert int((values >= UNIFORM_LIMIT).sum()) <= 4  # expected 0.6
    assert 250 < values.mean() < 260


def test_a_random_block_inside_of_weights_is_found() -> None:
    rng = np.random.default_rng(5)
    held = weights(rng, "normal", 65_536, 40)
    held[20_000:30_000] = rng.integers(-128, 128, 10_000)  # holds one whole block of 4,096
    found = random_run(held.view(np.uint8), 1)
    assert found is not None
    assert (found.first, found.count) == (20_480, 8192)
    assert random_run(weights(rng, "normal", 65_536, 40).view(np.uint8), 1) is None


def test_random_floats_are_found_by_their_high_bytes() -> None:
    rng = np.random.default_rng(6)
    floats = rng.normal(0, 0.1, 4096).astype(np.float32)
    assert random_run(floats.view(np.uint8), 4) is None
    noise = np.frombuffer(rng.bytes(16_384), np.uint8)
    assert random_run(noise, 4) is not None


@pytest.mark.parametrize(("block", "width", "expected"), [
    (b"\xde\xad\xbe\xef", 1, 4), (b"\x05", 1, None), (b"\0\0\x80\x3f", 4, None), (b"\0\0\x80\x3f\0\0\0\x40", 4, 8),
    (bytes(range(65)), 1, None),
])  # fmt: skip
def test_period(block: bytes, width: int, expected: int | None) -> None:
    assert period(np.frombuffer(block * (4096 // len(block)), np.uint8), width) == expected
