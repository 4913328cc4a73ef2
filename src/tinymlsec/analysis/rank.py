"""How near an attack came: rank of the true value, guessing entropy, success rate, traces needed.

F.-X. Standaert, T. Malkin, M. Yung, "A Unified Framework for the Analysis of Side-Channel Key Recovery Attacks",
EUROCRYPT 2009. Ties never help the attacker: a silent device, where all guesses score alike, stays at the rank of
chance and counts as no success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymlsec.analysis.intervals import Interval, Share, bootstrap, share_of
from tinymlsec.records import Curve, CurvePoint


@dataclass(frozen=True)
class Ranks:
    """Where the true values stand among all guesses."""

    middle: NDArray[np.float64]
    """(...,) 1 is the best; among guesses that score alike, their middle."""
    worst: NDArray[np.int64]
    """(...,) the same with all that score alike before the true one."""
    guesses: int

    def success(self, order: int = 1) -> NDArray[np.bool_]:
        """(...,) whether the true value is surely among the first `order` guesses."""
        return np.asarray(self.worst <= order)


def ranks_of(scores: ArrayLike, true: ArrayLike) -> Ranks:
    """Ranks of the true values.

    Args:
        scores: (..., g) of each guess, larger is likelier; finite.
        true: (...,) place of the true value among the guesses, or one place for all.

    Raises:
        ValueError: no guesses, scores that are not finite, or a true value that is not among them.
    """
    table, places = np.asarray(scores, np.float64), np.asarray(true, np.int64)
    if not table.ndim or not table.shape[-1] or not np.isfinite(table).all():
        raise ValueError("ranks need finite scores of at least one guess")
    if places.size and (places.min() < 0 or places.max() >= table.shape[-1]):
        raise ValueError(f"the true value is none of {table.shape[-1]} guesses")
    places = np.broadcast_to(places, table.shape[:-1])
    own = np.take_along_axis(table, places[..., None], axis=-1)
    above, equal = (table > own).sum(axis=-1), (table == own).sum(axis=-1)
    return Ranks(1.0 + above + (equal - 1) / 2, np.asarray(above + equal), table.shape[-1])


def guessing_entropy(ranks: Ranks, rng: np.random.Generator) -> tuple[float, Interval]:
    """Mean rank over repetitions in bits, with its 95 % bootstrap interval: log2 of the guesses it takes on average.

    Args:
        ranks: one-dimensional, one for each repetition.
        rng: of the bootstrap.
    """
    low, high = bootstrap(ranks.middle, rng)
    return float(np.log2(ranks.middle.mean())), Interval(float(np.log2(low)), float(np.log2(high)))


def chance_entropy(guesses: int) -> float:
    """Guessing entropy, in bits, of who knows nothing."""
    return float(np.log2((guesses + 1) / 2))


def success_rate(ranks: Ranks, order: int = 1) -> Share:
    """Share of repetitions in which the true value is surely among the first guesses, with Wilson's interval."""
    won = ranks.success(order)
    return share_of(int(won.sum()), won.size)


def success_curve(
    successes: NDArray[np.bool_], counts: Sequence[int], *, title: str, chance: float, metric: str = "weights_recovered"
) -> Curve:
    """Success against traces, with Wilson's interval at each point.

    Args:
        successes: (repetitions, points).
        counts: traces at each point, ascending.
        title: of the curve.
        chance: rate of a guesser.
        metric: that the share is one of.

    Raises:
        ValueError: other than one count for each point, or counts that do not ascend.
    """
    table = _checked(successes, counts)
    shares = [share_of(int(column.sum()), len(column)) for column in table.T]
    points = tuple(
        CurvePoint(x=count, y=share.value, low=share.low, high=share.high, n=share.n)
        for count, share in zip(counts, shares, strict=True)
    )
    return Curve(title=title, x_label="traces", metric=metric, points=points, log_x=True, chance=chance)


def entropy_curve(ranks: Ranks, counts: Sequence[int], rng: np.random.Generator, *, title: str) -> Curve:
    """Guessing entropy against traces, with a bootstrap interval at each point.

    Args:
        ranks: (repetitions, points).
        counts: traces at each point, ascending.
        rng: of the bootstrap.
        title: of the curve.

    Raises:
        ValueError: as for `success_curve`.
    """
    _checked(ranks.middle, counts)
    points = []
    for place, count in enumerate(counts):
        column = Ranks(ranks.middle[:, place], ranks.worst[:, place], ranks.guesses)
        value, (low, high) = guessing_entropy(column, rng)
        points.append(CurvePoint(x=count, y=value, low=low, high=high, n=len(column.middle)))
    return Curve(
        title=title, x_label="traces", metric="guessing_entropy", points=tuple(points), log_x=True,
        chance=chance_entropy(ranks.guesses),
    )  # fmt: skip


def traces_needed(successes: NDArray[np.bool_], counts: Sequence[int], goal: float = 0.99) -> int | None:
    """The first number of traces from which on the success rate never falls below the goal again; None: never.

    It is known up to the counts that were tried: the true number lies between the count before and this one.

    Args:
        successes: (repetitions, points).
        counts: traces at each point, ascending.
        goal: share of repetitions.

    Raises:
        ValueError: as for `success_curve`.
    """
    table = _checked(successes, counts)
    below = np.flatnonzero(table.mean(axis=0) < goal)
    first = 0 if not len(below) else int(below[-1]) + 1
    return int(counts[first]) if first < len(counts) else None


def _checked(table: NDArray[np.generic], counts: Sequence[int]) -> NDArray[np.generic]:
    if table.ndim != 2 or table.shape[1] != len(counts) or not table.size:
        raise ValueError(f"a table of shape {table.shape} does not belong to {len(counts)} counts of traces")
    if list(counts) != sorted(set(counts)):
        raise ValueError(f"counts of traces ascend, unlike {list(counts)}")
    return table
