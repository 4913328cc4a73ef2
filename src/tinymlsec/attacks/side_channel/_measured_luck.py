"""How well true weights rank by luck: drawn from noise, for all guessed weights together.

A rank among 255 guesses is no probability by itself. Guesses that resemble each other share their luck, so that one
that resembles none comes first more often than once in 255 times; and the sums of one weight resemble those of the
next. So the same noise is held against the predictions of all steps, and the ranks that it gives are what observed
ones are compared with. What is rarer than once in all draws is judged as by M. Brown, "A method for combining
non-independent, one-sided tests of significance", Biometrics 31, 1975: minus the sum of the logarithms of the
probabilities follows a Gamma distribution with the mean and the variance that the noise gave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS, SAMPLES = 1000, 4
"""Traces without any leak, and samples of each: with more the true guess ranks first less often by luck, so few are on
the safe side."""
ROWS = 600
"""Traces whose predictions noise is held against."""
OWN_SHARE = 1e-3
"""Share of a prediction's variance that must be its own; what has less says nothing."""


@dataclass(frozen=True)
class Luck:
    """Ranks without any leak."""

    ranks: NDArray[np.int64]
    """(w, DRAWS) of each true weight; each draw is one noise for all of them."""

    def each(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        """(w,) probability of these ranks, or of better ones."""
        return self._probabilities(ranks[:, None])[:, 0]

    def together(self, ranks: NDArray[np.int64]) -> float:
        """Probability of all of them, or of better ones; 1 without any."""
        if not len(ranks):
            return 1.0
        each = self.each(ranks)
        if len(each) == 1:
            return float(each[0])
        observed = float(-np.log(each).sum())
        drawn = -np.log(self._probabilities(self.ranks)).sum(axis=0)
        as_good = int((drawn >= observed - 1e-9).sum())
        if as_good:
            return (1 + as_good) / (1 + len(drawn))
        mean, variance = float(drawn.mean()), float(drawn.var())
        beyond = erlang_tail(observed * mean / variance, math.ceil(mean * mean / variance))
        return min(beyond, 1 / (1 + len(drawn)))

    def _probabilities(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        """(w, m)"""
        rows = [np.searchsorted(np.sort(own), seen, side="right") for own, seen in zip(self.ranks, ranks, strict=True)]
        made: NDArray[np.float64] = (1.0 + np.array(rows)) / (1.0 + self.ranks.shape[1])
        return np.minimum(made, 1.0)


def erlang_tail(x: float, shape: int) -> float:
    """Probability that a Gamma distributed variable of scale 1 exceeds x.

    Args:
        x: 0 or above.
        shape: a whole number, 1 or above.
    """
    term, total = 1.0, 0.0
    for k in range(shape):
        total += term
        term *= x / (k + 1)
    return min(1.0, math.exp(-x) * total)


def luck_of(
    predicted: Sequence[NDArray[np.uint8]], known: int, true: NDArray[np.int64], rng: np.random.Generator
) -> Luck:
    """Draws ranks.

    Args:
        predicted: for each weight (n, known + g) predictions for the same traces.
        known: columns that the others are freed of.
        true: (w,) places of the true weights among the guesses.
        rng: of the noise.
    """
    if not predicted:
        return Luck(np.zeros((0, DRAWS), np.int64))
    noise = rng.standard_normal((len(predicted[0]), DRAWS * SAMPLES), np.float32)
    ranks = []
    for columns, place in zip(predicted, true, strict=True):
        scores = (_freed(columns.astype(np.float64), known).T @ noise).reshape(-1, DRAWS, SAMPLES).max(axis=2)
        ranks.append((scores >= scores[place]).sum(axis=0))
    return Luck(np.array(ranks, np.int64))


def _freed(columns: NDArray[np.float64], known: int) -> NDArray[np.float32]:
    """(n, g) guesses without what is known, of length 1; 0 where nothing is left."""
    centered = columns - columns.mean(axis=0)
    basis, guesses = centered[:, :known], centered[:, known:]
    rest = guesses - basis @ np.linalg.lstsq(basis, guesses, rcond=1e-6)[0]
    own, whole = np.linalg.norm(rest, axis=0), np.linalg.norm(guesses, axis=0)
    alive = own**2 > OWN_SHARE * whole**2
    freed: NDArray[np.float32] = np.divide(rest, own, out=np.zeros_like(rest), where=alive).astype(np.float32)
    return freed
