"""The first weights of a sum that starts with an unknown bias: both are searched together, the bias coarse to fine.

Most bits of a sum are copies of its sign, so its Hamming weight changes little when the bias does: ranges of biases are
judged by one inside, for every guess of the weights, and only the best are divided. An unknown bias is otherwise fatal:
with it taken for zero, the right weights rank among the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Guesses = NDArray[np.int32]
Cost = Callable[[Guesses, Guesses, float], NDArray[np.float64]]
"""(weights (g, 1 or 2), starts (g,), share of the traces) -> (g,) minus log-likelihood."""

SHARES = (0.03, 0.3, 1.0)
"""Of the traces: for the first ranges, for those that are divided, and for single biases."""
RANGES = ((1 << 10, 32), (1 << 13, 128), (1 << 15, 512), (1 << 30, 2048))
"""Up to which magnitude ranges are how wide: an error of the bias counts in relation to the sum."""
KEPT = 40_000
"""Guesses whose range is divided."""
BLOCK = 1 << 19
"""Guesses that are judged at a time."""


class Opened(NamedTuple):
    """Guesses of the first weights and of what lay in the register before them."""

    weights: Guesses
    """(g, 1 or 2)"""
    starts: Guesses
    """(g,)"""
    costs: NDArray[np.float64]
    """(g,)"""


def opening(cost: Cost, weights: Guesses, known: NDArray[np.float64], most: int) -> Opened:
    """The best guesses.

    Args:
        cost: of samples that show sums.
        weights: (m, 1 or 2) that their load does not rule out.
        known: (m,) cost of their load.
        most: largest magnitude of the start.
    """
    corners, sizes = _ranges(most)
    rows, places = (a.ravel() for a in np.meshgrid(np.arange(len(weights)), np.arange(len(corners)), indexing="ij"))
    share = SHARES[0]
    starts, widths = corners[places], sizes[places]
    while True:
        costs = np.empty(len(rows))
        for at in range(0, len(rows), BLOCK):
            part = slice(at, at + BLOCK)
            costs[part] = cost(weights[rows[part]], starts[part] + widths[part] // 2, share) + known[rows[part]]
        if share == SHARES[2]:
            return Opened(weights[rows], starts, costs)
        if len(rows) > KEPT:
            best = np.argpartition(costs, KEPT)[:KEPT]
            rows, starts, widths = rows[best], starts[best], widths[best]
        if widths.max() == 1:
            share = SHARES[2]
            continue
        wide = np.flatnonzero(widths > 1)
        half = widths // 2
        rows = np.concatenate([rows, rows[wide]])
        starts = np.concatenate([starts, starts[wide] + half[wide]])
        widths = np.concatenate([np.maximum(half, 1), half[wide]])
        share = SHARES[1]


def _ranges(most: int) -> tuple[Guesses, Guesses]:
    """Lower ends and widths of ranges that cover all starts."""
    corners, sizes, low = [], [], 0
    for top, width in RANGES:
        high = min(top, -(-most // width) * width)
        if high > low:
            ends = np.arange(low, high, width)
            corners += [ends, -ends - width]
            sizes += [np.full(len(ends), width)] * 2
            low = high
    return np.concatenate(corners).astype(np.int32), np.concatenate(sizes).astype(np.int32)
