"""Weights of one sum from traces: guess after guess along the sum, several paths at once, by maximum likelihood.

A weight cannot be judged by itself: a guess and its double look alike in the first product, and only later sums tell
them apart. So the most likely paths are kept (a beam), and each further weight is judged on the sums that its path
leads to. Likelihood is that of the profiled templates under Gaussian noise (S. Chari, J. Rao, P. Rohatgi, "Template
Attacks", CHES 2002); the walk along the accumulator follows L. Batina, S. Bhasin, D. Jap, S. Picek, "CSI NN", USENIX
Security 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._costs import sums_over_traces
from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._points import Point

CANDIDATES = np.arange(-127, 128, dtype=np.int32)
FIRST_LOOK = 300
"""Traces, at least, on which all guesses are compared before the best are compared on all traces."""
FIRST_SHARE = 3
"""And at least one of so many: with much noise few traces tell nothing."""
HOPELESS = 60.0
"""Log-likelihood behind the best path beyond which one is given up: e^-60, if the templates are right."""
FINALISTS = 32
"""Guesses of one path that are compared on all traces."""


@dataclass(frozen=True)
class Chain:
    """What was recovered of one sum."""

    weights: NDArray[np.int32]
    """(k,)"""
    blind: NDArray[np.bool_]
    """(k,) the factor was zero in all traces: this weight does nothing there, and only its load speaks of it."""
    margin: float
    """Log-likelihood by which the path is ahead of the next one."""
    sums: NDArray[np.int32]
    """(n,) without bias."""


@dataclass
class _Path:
    cost: float
    sums: NDArray[np.int32]
    weights: tuple[int, ...]


def recover(
    traces: Mapping[int, NDArray[np.float32]],
    factors: NDArray[np.int32],
    steps: Sequence[Sequence[Point]],
    sigma: float,
    beam: int,
) -> Chain:
    """The most likely weights.

    Args:
        traces: by sample, (n,) values of all traces.
        factors: (n, k) what each weight is multiplied with.
        steps: points of each step.
        sigma: standard deviation of the noise.
        beam: paths that are kept.
    """
    paths = [_Path(0.0, np.zeros(len(factors), np.int32), ())]
    blind: NDArray[np.bool_] = (factors == 0).all(axis=0)
    for k, points in enumerate(steps):
        factor = np.ascontiguousarray(factors[:, k])
        if blind[k]:
            paths = [_silent(path, traces, points, sigma) for path in paths]
        else:
            paths = _extended(paths, traces, factor, points, sigma, beam)
    best = paths[0]
    margin = paths[1].cost - best.cost if len(paths) > 1 else float("inf")
    return Chain(np.array(best.weights, np.int32), blind, margin, best.sums)


def _silent(path: _Path, traces: Mapping[int, NDArray[np.float32]], points: Sequence[Point], sigma: float) -> _Path:
    """A weight that is multiplied with nothing: what its load tells, and of those guesses the smallest."""
    loads = [point for point in points if point.feature == "hw_weight"]
    cost = np.zeros(len(CANDIDATES))
    for point in loads:
        level = float(traces[point.sample].mean())
        expected = point.gain * bits(CANDIDATES).astype(np.float64) + point.level
        cost += len(path.sums) * (level - expected) ** 2 / (2 * (sigma**2 + point.spread**2) + 1e-12)
    order = np.lexsort((np.abs(CANDIDATES), cost.round(6)))
    return _Path(path.cost, path.sums, (*path.weights, int(CANDIDATES[order[0]])))


def _extended(
    paths: Sequence[_Path],
    traces: Mapping[int, NDArray[np.float32]],
    factor: NDArray[np.int32],
    points: Sequence[Point],
    sigma: float,
    beam: int,
) -> list[_Path]:
    sums = np.stack([path.sums for path in paths])
    few = slice(0, max(FIRST_LOOK, len(factor) // FIRST_SHARE))
    rough = _costs(sums[:, few], factor[few], CANDIDATES, traces, few, points, sigma)
    if len(factor) > few.stop:
        picked = np.argsort(rough, axis=1)[:, :FINALISTS]
        cost = np.full(rough.shape, np.inf)
        for row, choice in enumerate(picked):
            exact = _costs(sums[row : row + 1], factor, CANDIDATES[choice], traces, slice(None), points, sigma)
            cost[row, choice] = exact[0]
    else:
        cost = rough
    cost += np.array([[path.cost] for path in paths])
    order = np.argsort(cost, axis=None)[:beam]
    least = float(cost.min())
    made = []
    for row, column in zip(*np.unravel_index(order, cost.shape), strict=True):
        if cost[row, column] > least + HOPELESS:
            break
        weight, path = CANDIDATES[column], paths[row]
        made.append(_Path(float(cost[row, column]), path.sums + weight * factor, (*path.weights, int(weight))))
    return made


def _costs(
    sums: NDArray[np.int32],
    factor: NDArray[np.int32],
    guesses: NDArray[np.int32],
    traces: Mapping[int, NDArray[np.float32]],
    which: slice,
    points: Sequence[Point],
    sigma: float,
) -> NDArray[np.float64]:
    """(paths, guesses) negative log-likelihood of the points of one step, but for what all guesses share."""
    cost = np.zeros((len(sums), len(guesses)))
    for point in points:
        rest = np.ascontiguousarray(traces[point.sample][which] - np.float32(point.level), np.float32)
        square, cross = sums_over_traces(point.feature, sums, factor, guesses, rest)
        # sum of (measured - gain * seen - level)^2 without the terms that all guesses share
        cost += (point.gain**2 * square - 2 * point.gain * cross) / (2 * (sigma**2 + point.spread**2) + 1e-6)
    return cost


def recover_bias(
    traces: Mapping[int, NDArray[np.float32]],
    sums: NDArray[np.int32],
    points: Sequence[Point],
    sigma: float,
    most: int,
) -> int:
    """The bias that is added to a known sum.

    Args:
        traces: by sample, (n,).
        sums: (n,) without bias.
        points: that show the sum with it.
        sigma: of the noise.
        most: largest magnitude.
    """
    guesses = np.arange(-most, most + 1, dtype=np.int32)
    few = slice(0, max(FIRST_LOOK, len(sums) // 30))
    rough = _bias_costs(guesses, sums, traces, few, points, sigma)
    finalists = guesses[np.argsort(rough)[:500]]
    cost = _bias_costs(finalists, sums, traces, slice(None), points, sigma)
    return int(finalists[cost.argmin()])


def _bias_costs(
    guesses: NDArray[np.int32],
    sums: NDArray[np.int32],
    traces: Mapping[int, NDArray[np.float32]],
    which: slice,
    points: Sequence[Point],
    sigma: float,
) -> NDArray[np.float64]:
    cost = np.zeros(len(guesses))
    ones = np.ones(sums[which].shape, np.int32)  # a bias is a weight that meets nothing but ones
    for point in points:
        rest = np.ascontiguousarray(traces[point.sample][which] - np.float32(point.level), np.float32)
        square, cross = sums_over_traces("hw_sum", sums[None, which], ones, guesses, rest)
        cost += (point.gain**2 * square[0] - 2 * point.gain * cross[0]) / (2 * (sigma**2 + point.spread**2) + 1e-6)
    return cost
