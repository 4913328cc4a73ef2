"""How attacks choose inputs and ask victims, in one place: random subsets, random inputs, margins, chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec._lazy import np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.target.space import Codes, InputSpace
    from tinymlsec.target.victim import Victim


BLOCK_VALUES = 1 << 22
"""Input values handled together; bounds memory for large inputs."""


def blocks(n: int, values: int) -> Iterator[NDArray[np.intp]]:
    """Rows 0 to n - 1 in groups of at most BLOCK_VALUES values (and at least one row), of `values` values a row."""
    rows = max(1, BLOCK_VALUES // max(1, values))
    for start in range(0, n, rows):
        yield np.arange(start, min(start + rows, n))


def some(rng: Generator, n: int, wanted: int) -> NDArray[np.intp]:
    """Rows of at most `wanted` of n samples, drawn without repetition, in ascending order."""
    return np.sort(rng.permutation(n)[:wanted]).astype(np.intp)


def random_codes(rng: Generator, space: InputSpace, n: int, steps: int | None = None) -> Codes:
    """Uniformly random inputs within the bounds of the space.

    Args:
        rng: randomness.
        space: grid and bounds.
        n: how many.
        steps: length of a sequence for a model with state; None otherwise.

    Returns:
        (n, *sample_shape), or (n, steps, *sample_shape).
    """
    shape = (n, *(() if steps is None else (steps,)), *space.sample_shape)
    if space.is_grid:
        return rng.integers(round(space.low), round(space.high), shape, endpoint=True).astype(space.code_dtype)
    return rng.uniform(space.low, space.high, shape).astype(space.code_dtype)


def asker(
    victim: Victim, labels: NDArray[np.int64]
) -> Callable[[Codes, NDArray[np.intp]], tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """A function that asks the victim for candidates of given rows.

    Whether a decision is wrong is read from the decision itself: with the coarse scores of an int8 model ties are
    common, and a margin of zero may be either.

    Args:
        victim: who is asked.
        labels: (n,) correct decisions of all rows.

    Returns:
        (codes, rows) -> margins (k,) and "is wrong" (k,).
    """

    def ask(codes: Codes, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        scores = victim.scores(codes)
        return victim.margin(scores, labels[rows]), victim.decisions(scores) != labels[rows]

    return ask


def largest_share(decisions: NDArray[np.int64]) -> float:
    """Share of the most frequent value: what a guesser reaches who always gives that answer."""
    return float(np.unique(decisions, return_counts=True)[1].max() / len(decisions))
