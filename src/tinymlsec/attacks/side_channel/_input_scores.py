"""How much of the inputs was recovered, beside what somebody without any trace would guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.intervals import RESAMPLES, Interval

PEAK = 255.0
EXACT_DB = 10 * float(np.log10(PEAK**2 * 12))
"""PSNR of an input without any error, stated as that of an error of one rounding: 58.9 dB."""
SMOOTHED = 0.02
"""Share of a uniform distribution in that of the data: no code is impossible."""

Rows = NDArray[np.int64]
"""(n, size) codes."""


@dataclass(frozen=True)
class Guess:
    """What is known of inputs without a trace.

    Args:
        best: (size,) the most frequent code of each value.
        middle: (size,) its median, which has the least absolute error.
        mean: (size,) its mean, which has the least squared error.
        prior: (size, 256) or (1, 256) log-probabilities of codes -128 to 127.
        source: words for the report.
    """

    best: Rows
    middle: Rows
    mean: NDArray[np.float64]
    prior: NDArray[np.float64]
    source: str


def uniform_guess(size: int) -> Guess:
    """Nothing is known."""
    zero = np.zeros(size, np.int64)
    return Guess(zero, zero, np.full(size, -0.5), np.full((1, 256), -np.log(256)), "every code equally likely")


def guess_from(rows: Rows) -> Guess:
    """The distribution of each value over other inputs of the same kind, smoothed.

    Args:
        rows: (n, size) codes of the layer's input, none of them attacked.
    """
    n, size = rows.shape
    counts = np.zeros((size, 256))
    np.add.at(counts, (np.broadcast_to(np.arange(size), rows.shape), rows + 128), 1.0)
    width = np.maximum(1.06 * rows.std(0) * n**-0.2, 0.7)  # Silverman's rule
    gap = np.arange(256)[:, None] - np.arange(256)[None, :]
    smooth = np.empty_like(counts)
    for each in np.unique(width.round(1)):
        kernel = np.exp(-0.5 * (gap / max(float(each), 0.7)) ** 2)
        kernel /= kernel.sum(1, keepdims=True)
        which = width.round(1) == each
        smooth[which] = counts[which] @ kernel
    smooth = (1 - SMOOTHED) * smooth / smooth.sum(1, keepdims=True) + SMOOTHED / 256
    return Guess(
        counts.argmax(1) - 128, np.rint(np.median(rows, axis=0)).astype(np.int64), rows.mean(0), np.log(smooth),
        f"{n} other inputs of the data",
    )  # fmt: skip


@dataclass(frozen=True)
class Quality:
    """Per input, (n,) each."""

    exact: NDArray[np.float64]
    """Share of values that are exactly right."""
    error: NDArray[np.float64]
    """Mean absolute error, input steps."""
    psnr: NDArray[np.float64]
    """dB"""
    correlation: NDArray[np.float64]
    """NaN where either side does not vary."""

    @property
    def n(self) -> int:
        """Inputs."""
        return len(self.exact)


def quality(true: Rows, exact: Rows, near: Rows, square: NDArray[np.floating] | Rows) -> Quality:
    """Scores of what was recovered; a guess may name another code for each measure.

    Args:
        true: (n, size)
        exact: that is compared for equality.
        near: for the absolute error.
        square: for the squared error and the correlation.
    """
    wrong = square.astype(np.float64) - true
    power = np.maximum((wrong * wrong).mean(1), 1 / 12)
    return Quality(
        (exact == true).mean(1), np.abs(near - true).mean(1), 10 * np.log10(PEAK**2 / power),
        np.array([_correlation(a, b) for a, b in zip(true, square, strict=True)]),
    )  # fmt: skip


def of_recovered(true: Rows, found: Rows) -> Quality:
    """Scores of an attack."""
    return quality(true, found, found, found)


def of_guess(true: Rows, guess: Guess) -> Quality:
    """Scores of the guess without traces."""
    best, middle = np.broadcast_to(guess.best, true.shape), np.broadcast_to(guess.middle, true.shape)
    return quality(true, best, middle, np.broadcast_to(guess.mean, true.shape))


def gain(found: Quality, guessed: Quality, rng: np.random.Generator) -> tuple[float, Interval]:
    """Share of the guess's absolute error that the traces take away, with its bootstrap interval over inputs."""
    drawn = rng.integers(0, found.n, (RESAMPLES, found.n))
    shares = _taken(found.error[drawn].mean(1), guessed.error[drawn].mean(1))
    share = float(_taken(found.error.mean(), guessed.error.mean()))
    low, high = np.quantile(shares, (0.025, 0.975))
    return share, Interval(min(share, float(low)), max(share, float(high)))


def _taken(error: NDArray[np.float64] | np.float64, base: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """1 - error / base; nothing where there is nothing to take away."""
    return np.asarray(1 - np.where(base > 0, error / np.maximum(base, 1e-12), 1.0))


def _correlation(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale > 1e-9 else float("nan")
