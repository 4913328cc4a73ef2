"""Statistics of constant tensors: uniformity, least significant bits, repetition, channels that stand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_UNIFORM = 2048
"""Elements from which the test for uniformity is made: 8 expected in each of 256 cells."""
BLOCK = 4096
"""Elements of a block of a larger tensor."""
UNIFORM_LIMIT = 340.0
"""Chi-square with 255 degrees of freedom: uniform bytes lie below it with probability 0.9997."""
LEAST_PAIRS = 2000
"""Elements from which the test of least significant bits is made."""
PAIR_LIMIT = 6.0
"""Standard deviations; docs/scan/model-rules.md has the measured false alarms and power."""
_UNLIKE = 0.4
_LEAST_COUNT = 32
_LEAST_PLACES = 4
MAX_PERIOD = 64
_HEAD = 256
_SHARE = 0.98
_LEFT_OUT = (0, 1, 2, 3, 126, 127, 128, 129, 130, 253, 254, 255)
"""Cells of the histogram that the test of pairs leaves out: saturated values, and the peak that pruning makes at 0."""


@dataclass(frozen=True)
class RandomRun:
    """Elements that look uniformly random."""

    first: int
    """Number of the first element."""
    count: int
    chi_square: float
    """The lowest of its blocks."""


def chi_squares(lane: NDArray[np.uint8], block: int) -> NDArray[np.float64]:
    """(blocks,) chi-square of each whole block's byte histogram against equal probabilities (255 degrees of freedom).

    Args:
        lane: bytes in a row.
        block: bytes of a block.
    """
    blocks = lane.size // block
    cells = lane[: blocks * block].reshape(blocks, block).astype(np.int64) + 256 * np.arange(blocks)[:, None]
    counts = np.bincount(cells.reshape(-1), minlength=256 * blocks).reshape(blocks, 256)
    squares: NDArray[np.float64] = ((counts - block / 256) ** 2).sum(axis=1) / (block / 256)
    return squares


def random_run(raw: NDArray[np.uint8], width: int) -> RandomRun | None:
    """Blocks of elements whose most significant bytes look uniformly random, all of them as one; None without any.

    Weights gather around zero, so their most significant bytes (sign and size) are far from uniform; encrypted,
    compressed or random bytes are uniform there too. Tensors of fewer than 8,192 elements are one block.

    Args:
        raw: bytes of a tensor, little-endian elements.
        width: bytes of an element.
    """
    lane = np.ascontiguousarray(raw[width - 1 :: width])
    if lane.size < LEAST_UNIFORM:
        return None
    block = lane.size if lane.size < 2 * BLOCK else BLOCK
    values = chi_squares(lane, block)
    found = np.flatnonzero(values < UNIFORM_LIMIT)
    if not found.size:
        return None
    return RandomRun(int(found[0]) * block, found.size * block, float(values[found].min()))


def pair_score(values: NDArray[np.int8]) -> float | None:
    """How much the two values of each pair (2k, 2k + 1) agree beyond what neighbours across pairs do.

    Replacing least significant bits by random ones makes both values of a pair equally frequent and leaves neighbours
    of different pairs as they were (Westfeld and Pfitzmann, "Attacks on Steganographic Systems", 1999). That a smooth
    histogram has alike neighbours too is no evidence, so the comparison is within the same histogram: for neighbours
    a and b, (a - b)^2 - (a + b) estimates the squared difference of their expectations free of bias, for Poisson
    counts. Each difference across pairs is set against the mean of the two differences within pairs beside it, so that
    slopes and curves cancel. Places with fewer than 32 counts say nothing and are left out.

    Args:
        values: int8 tensor of any shape.

    Returns:
        The sum of these in standard deviations; None below 2,000 values or where fewer than 4 places say something. 0
        where differences within pairs are more than 0.4 of those across: a message in most of the weights leaves
        hardly any, and histograms of a few values are not smooth by nature.
    """
    if values.size < LEAST_PAIRS:
        return None
    counts = np.bincount(values.reshape(-1).view(np.uint8) ^ 128, minlength=256).astype(np.float64)
    total = counts[:-1] + counts[1:]
    square = (counts[:-1] - counts[1:]) ** 2
    differences, spreads = square - total, 4 * square * total + 2 * total**2
    kept = np.ones(256, bool)
    kept[list(_LEFT_OUT)] = False
    place = np.arange(1, 254, 2)  # between 2k + 1 and 2k + 2: across pairs
    place = place[kept[place - 1] & kept[place] & kept[place + 1] & kept[place + 2] & (total[place] >= _LEAST_COUNT)]
    if place.size < _LEAST_PLACES:
        return None
    across = float(differences[place].sum())
    within = float((differences[place - 1] + differences[place + 1]).sum() / 2)
    spread = float(spreads[place].sum() + (spreads[place - 1] + spreads[place + 1]).sum() / 2)
    return 0.0 if within > _UNLIKE * across else (across - within) / spread**0.5


def period(raw: NDArray[np.uint8], width: int) -> int | None:
    """Length in bytes of a pattern that fills at least 98 % of the data; None without one.

    One element over and over (a tensor filled with one value) does not count.

    Args:
        raw: bytes of a tensor.
        width: bytes of an element.
    """
    head = raw[:_HEAD].tobytes()
    lengths = (n for n in range(2, MAX_PERIOD + 1) if n % width or n > width)
    length = next((n for n in lengths if head[n:] == head[:-n]), None)
    if length is None or _repeats(raw, width) > _SHARE or _repeats(raw, length) < _SHARE:
        return None
    return length


def _repeats(raw: NDArray[np.uint8], distance: int) -> float:
    """Share of bytes that equal the one `distance` before."""
    return float((raw[distance:] == raw[:-distance]).mean())


def outstanding_channel(values: NDArray[Any], scale: NDArray[np.float32], axis: int) -> tuple[int, float] | None:
    """(channel, how many times the median) of the channel with the largest weight; None where channels are too few.

    Channels whose weights are all zero do not count.
    """
    flat = np.abs(np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float32))
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite or no number then does not count
        peaks = flat.max(axis=1).astype(np.float64) * (scale if scale.size == len(flat) else 1.0)
    peaks = np.where(np.isfinite(peaks), peaks, 0.0)
    alive = peaks[peaks > 0]
    if alive.size < 8:
        return None
    place = int(np.argmax(peaks))
    return place, float(peaks[place] / np.median(alive))
