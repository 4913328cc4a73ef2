"""How likely measured samples are, given guesses of weights: under a known template or the one that fits best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._costs import Sums
from tinymlsec.attacks.side_channel._points import Point

Costs = NDArray[np.float64]
"""Minus a log-likelihood, but for a constant that all guesses share."""
FLOOR = 1e-4
"""Least variance of noise, in units of the trace squared: simulated traces may have none."""


class Moments(NamedTuple):
    """Sums over traces of what a guess predicts (x) and of what was measured (y); numbers, or arrays of one shape."""

    n: Costs
    x: Costs
    xx: Costs
    y: Costs
    yy: Costs
    xy: Costs

    def plus(self, other: Moments) -> Moments:
        """Of both together."""
        return Moments(*(a + b for a, b in zip(self, other, strict=True)))


def moments_of(sums: Sums, rest: NDArray[np.float32]) -> Moments:
    """Of every path and guess.

    Args:
        sums: over the traces, (p, g).
        rest: (n,) measured minus a level.
    """
    measured = rest.astype(np.float64)
    n, y, yy = (np.asarray(v) for v in (len(rest), measured.sum(), (measured**2).sum()))
    return Moments(n, sums.total, sums.square, y, yy, sums.cross)


def template_cost(point: Point, sums: Sums, sigma: float) -> Costs:
    """Under a template with known gain and level."""
    variance = 2 * (sigma**2 + point.spread**2) + 1e-6
    cost: Costs = (point.gain**2 * sums.square - 2 * point.gain * sums.cross) / variance
    return cost


def fitted_cost(m: Moments, sign: float) -> Costs:
    """Under gain, level and noise that fit best: n / 2 * log of the variance that is left, that of a correlation.

    Args:
        m: moments.
        sign: of the gain; a guess that goes with the other sign explains nothing.
    """
    varied, total = np.maximum(m.xx - m.x**2 / m.n, 0), np.maximum(m.yy - m.y**2 / m.n, 0)
    together = np.maximum(sign * (m.xy - m.x * m.y / m.n), 0)
    explained = np.divide(together**2, varied, out=np.zeros_like(together), where=varied > 1e-9 * m.n)
    cost: Costs = m.n / 2 * np.log(np.maximum(total - explained, 0) / m.n + FLOOR)
    return cost
