"""95 % intervals: Wilson for shares, percentile bootstrap for means and medians.

Sources: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927; Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals); Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 1, 2007 (two crossed factors).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from tinymlsec._lazy import np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""

RESAMPLES = 2000
"""Bootstrap resamples. The Monte Carlo error of a 2.5 % point is then below a tenth of the interval's width."""

_BLOCK = 1 << 22
"""Resampled values held in memory at a time."""


class Interval(NamedTuple):
    """A 95 % interval; the estimate it belongs to always lies within."""

    low: float
    high: float


class Share(NamedTuple):
    """An estimated share with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def share_of(successes: int, n: int) -> Share:
    """A share with Wilson's interval; 0 between 0 and 1 where n is 0.

    Raises:
        ValueError: as for `wilson`.
    """
    return Share(successes / n if n else 0.0, *wilson(successes, n), n)


def wilson(successes: int, n: int) -> Interval:
    """Wilson's score interval of a share.

    Args:
        successes: attempts that succeeded, 0 to n.
        n: attempts. Without any, nothing is known: 0 to 1.

    Raises:
        ValueError: more successes than attempts, or negative numbers.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} attempts")
    if n == 0:
        return Interval(0.0, 1.0)
    share, z2 = successes / n, Z95 * Z95
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return _around(share, max(0.0, center - half), min(1.0, center + half))


def bootstrap(
    values: ArrayLike, rng: Generator, statistic: Literal["mean", "median"] = "mean", resamples: int = RESAMPLES
) -> Interval:
    """Percentile bootstrap interval of the mean or median of independent values.

    Args:
        values: (n,) finite numbers, n >= 1. One value alone gives an interval of no width.
        rng: randomness of the resampling.
        statistic: what is estimated.
        resamples: how often the values are drawn again.

    Raises:
        ValueError: no values, or values that are not finite.
    """
    sample = _finite(values).reshape(-1)
    reduce = np.mean if statistic == "mean" else np.median
    rows = max(1, min(resamples, _BLOCK // sample.size))
    drawn = [
        reduce(sample[rng.integers(0, sample.size, (min(rows, resamples - done), sample.size))], axis=1)
        for done in range(0, resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975))
    return _around(float(reduce(sample)), float(low), float(high))


def crossed_bootstrap(table: ArrayLike, rng: Generator, resamples: int = RESAMPLES) -> Interval:
    """Interval of the mean of a table over both of its crossed factors.

    Rows and columns are drawn again independently of each other. Cells of one row (one fault pattern, all inputs) and
    of one column (one input, all patterns) hang together; an interval that took all cells for independent would be
    far too narrow. With few rows (below about ten) the interval is still somewhat too narrow.

    Args:
        table: (rows, columns) finite numbers.
        rng: randomness of the resampling.
        resamples: how often rows and columns are drawn again.

    Raises:
        ValueError: an empty table, not two dimensions, or values that are not finite.
    """
    cells = _finite(table)
    if cells.ndim != 2:
        raise ValueError(f"a table has two dimensions, not {cells.ndim}")
    rows = _counts(rng, cells.shape[0], resamples)
    columns = _counts(rng, cells.shape[1], resamples)
    # Divided once, at the end: sums of whole numbers are exact, so no share passes 1 and every build of NumPy agrees.
    means = np.einsum("br,rc,bc->b", rows, cells, columns, optimize=True) / cells.size
    low, high = np.quantile(means, (0.025, 0.975))
    return _around(float(cells.mean()), float(low), float(high))


def _counts(rng: Generator, n: int, resamples: int) -> NDArray[np.float64]:
    """(resamples, n) how often each of n items was drawn among n."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError("an interval needs at least one value, and finite values only")
    return array


def _around(value: float, low: float, high: float) -> Interval:
    """Rounding, and skew of the resampled values, may leave the value just outside; the interval then reaches to it."""
    return Interval(min(low, value), max(high, value))
