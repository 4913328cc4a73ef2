"""Samples that never vary are found however the traces are cut, and the origin keeps what is exact exact."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.analysis.batches import Constants, origin, tiles


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 5000, 9000])
def test_constants(size: int) -> None:
    rows = np.zeros((9000, 6), np.int16)
    rows[8999, 1], rows[64, 2], rows[0, 3], rows[4160:, 4] = 1, 1, 1, 5
    made = Constants()
    picked = Constants()
    for first in range(0, 9000, size):
        part = rows[first : first + size]
        made.update(part)
        picked.update(part, np.flatnonzero(np.arange(first, first + len(part)) % 9000 != 8999))
    assert np.flatnonzero(made.mask).tolist() == [0, 5]
    assert np.flatnonzero(picked.mask).tolist() == [0, 1, 5], "the trace that differs was not among them"
    assert made.values.tolist() == rows[0].tolist()


def test_no_traces_no_answer() -> None:
    made = Constants()
    made.update(np.zeros((0, 4)))
    made.update(np.ones((3, 4)), np.zeros(0, np.intp))
    assert len(made.mask) == 0


def test_the_origin() -> None:
    rows = np.array([[0.1, 1, 0.5], [0.1, 2, 1.5], [0.1, 2, 0.7]], np.float32)
    made = origin(rows)
    assert made[0] == np.float32(0.1), "exact where nothing varies"
    assert made[1] == 2, "whole among whole numbers"
    assert made[2] == pytest.approx(0.9)


def test_tiles_cover_everything_once() -> None:
    seen = np.zeros((7, 10), int)
    for rows, columns in tiles(7, 10, 3, 4):
        seen[rows, columns] += 1
    assert (seen == 1).all()
