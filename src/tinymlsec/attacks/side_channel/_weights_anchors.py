"""Where in a trace each product is computed, found without a board of one's own: the attacker knows the inputs.

A code is loaded, the offset of its zero point is added, and a register is overwritten on the way: all of it depends on
known numbers alone and correlates with the traces whatever the weights are. The places come in the order in which the
kernel's source runs over the codes, so they are the ascending sequence of samples that correlates best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.correlation import Correlation
from tinymlsec.attacks.side_channel._features import bits, loaded_word

CLEAR = 6.0
"""Correlation, in units of chance, from which an anchor is sure."""
SIZES = (1, 2, 4, 8)
"""Steps at a constant distance that are tried besides the whole inner loop: compilers and hands unroll by these."""
LONGEST = 64
"""Samples from one step to the next, at most."""
CHOICE = 12.0
"""Log-likelihood that the best of some hundred places of a piece gains by luck."""


@dataclass(frozen=True)
class Anchors:
    """Samples at which the known factor of each step shows."""

    samples: NDArray[np.int64]
    """(k,) ascending."""
    feature: str
    """What shows there."""
    polarity: int
    """1 where more bits mean higher samples, -1 where they mean lower ones."""
    strength: float
    """Log-likelihood of a step, less what choosing places gains by luck."""

    @property
    def period(self) -> int:
        """Samples from one step to the next, most often."""
        return int(np.median(np.diff(self.samples))) if len(self.samples) > 1 else 1


def known_columns(
    factors: NDArray[np.int32], offset: int, groups: Sequence[tuple[int, ...]]
) -> dict[str, NDArray[np.uint8]]:
    """(n, steps) bits of all that depends on known numbers alone, by what it is.

    Args:
        factors: (n, k) codes plus offset.
        offset: that the kernel adds to a code.
        groups: numbers of the products that each step adds.
    """
    code = np.stack([loaded_word(factors[:, list(g)] - np.int32(offset)) for g in groups], axis=1)
    factor = np.stack([loaded_word(factors[:, list(g)]) for g in groups], axis=1)

    def after(words: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.concatenate([np.zeros((len(words), 1), np.int32), words[:, :-1]], axis=1)

    words = {
        "hw_code": code, "hw_factor": factor, "hd_code_factor": code ^ factor, "hd_code_code": code ^ after(code),
        "hd_factor_code": code ^ after(factor), "hd_factor_factor": factor ^ after(factor),
    }  # fmt: skip
    return {name: bits(np.ascontiguousarray(column)) for name, column in words.items()}


def find_anchors(traces: NDArray[np.float32], columns: dict[str, NDArray[np.uint8]], run: int) -> Anchors:
    """The ascending sequence of samples that the known numbers go with best.

    Args:
        traces: (n, t)
        columns: of `known_columns`.
        run: steps of the inner loop; each round of it takes as long as the others.

    Raises:
        ValueError: traces shorter than there are steps.
    """
    found = [_followed(traces, column, name, run) for name, column in columns.items()]
    return max(found, key=lambda anchors: anchors.strength)


def _followed(traces: NDArray[np.float32], column: NDArray[np.uint8], name: str, run: int) -> Anchors:
    correlation = Correlation()
    correlation.update(column, traces)
    values = correlation.result().values.astype(np.float64)
    steps, length = values.shape
    if length < steps:
        raise ValueError(f"{length} samples cannot show {steps} steps")
    polarity = int(np.sign(values.ravel()[np.abs(values).argmax()])) or 1
    values *= polarity
    told = -len(traces) / 2 * np.log1p(-(np.clip(values, 0, 1 - 1e-6) ** 2))  # log-likelihood of a linear relation
    samples, score = max((_laid(told, run, size) for size in {*SIZES, run} if size <= run), key=_second)
    clear = values[np.arange(steps), samples] > CLEAR / np.sqrt(len(traces))
    return Anchors(regular(samples, clear, run, length), name, polarity, score / steps)


def _second(item: tuple[NDArray[np.int64], float]) -> float:
    return item[1]


def _laid(values: NDArray[np.float64], run: int, size: int) -> tuple[NDArray[np.int64], float]:
    """Anchors if so many steps follow each other at a constant distance, and how much better than chance they are.

    Args:
        values: (k, t) log-likelihood of each place.
        run: steps of the inner loop.
        size: steps at a constant distance: all of the inner loop, a round of an unrolled one, or one.
    """
    steps, length = values.shape
    pieces = [
        range(at, min(at + size, start + run, steps))
        for start in range(0, steps, run)
        for at in range(start, min(start + run, steps), size)
    ]
    periods = range(1, max(2, min(LONGEST, 2 * length // steps))) if size > 1 else range(1, 2)
    found = []
    for period in periods:
        ends, widths = _piecewise(values, pieces, period)
        places, total = ascending(ends, widths)
        found.append((total, period, places))
    total, period, places = max(found, key=lambda item: item[0])
    samples = np.concatenate(
        [place - period * np.arange(len(piece))[::-1] for place, piece in zip(places, pieces, strict=True)]
    )
    return samples, float(total - CHOICE * len(pieces))


def _piecewise(
    values: NDArray[np.float64], pieces: Sequence[range], period: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(pieces, t) sum over a piece if it ends at a sample, and how far back it reaches."""
    length = values.shape[1]
    ends = np.full((len(pieces), length), -np.inf)
    widths = np.array([(len(piece) - 1) * period for piece in pieces], np.int64)
    for row, (piece, width) in enumerate(zip(pieces, widths, strict=True)):
        if width < length:
            ends[row, width:] = sum(values[k, i * period : length - width + i * period] for i, k in enumerate(piece))
    return ends, widths


def regular(samples: NDArray[np.int64], clear: NDArray[np.bool_], run: int, length: int) -> NDArray[np.int64]:
    """The samples, those that are not clear (a code that never varies) put where the loops' rhythm has them.

    Args:
        samples: (k,) ascending.
        clear: (k,) which of them are sure.
        run: steps of the inner loop.
        length: samples of a trace.
    """
    sure = np.flatnonzero(clear)
    if len(sure) < 2 or clear.all():
        return samples
    pairs = sure[1:][np.diff(sure) == 1]
    within = pairs[pairs % run != 0]
    usual = np.diff(samples, prepend=samples[0])
    period = (
        float(np.median(usual[within])) if len(within) else float(np.median(np.diff(samples[sure]) / np.diff(sure)))
    )
    rhythm = np.full(len(samples), period)
    between = pairs[pairs % run == 0]
    if len(between):
        rhythm[run::run] = np.median(usual[between])
    expected = np.cumsum(rhythm) - rhythm[0]
    nearest = sure[np.abs(np.arange(len(samples))[:, None] - sure[None, :]).argmin(1)]
    placed = np.rint(samples[nearest] + expected - expected[nearest]).astype(np.int64)
    return np.clip(np.where(clear, samples, placed), 0, length - 1)


def ascending(values: NDArray[np.float64], widths: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], float]:
    """One column for each row, each further right than the last, with the largest sum; by dynamic programming.

    Args:
        values: (k, t) of pieces that end at a column.
        widths: (k,) columns that a piece reaches back; none by default.
    """
    steps, length = values.shape
    back = np.zeros(steps, np.int64) if widths is None else widths
    came = np.zeros((steps, length), np.int64)
    best = values[0].copy()
    for k in range(1, steps):
        highest = np.maximum.accumulate(best)
        place = np.maximum.accumulate(np.where(best >= highest, np.arange(length), 0))
        shift = min(int(back[k]) + 1, length)
        came[k, shift:] = place[: length - shift]
        best = np.concatenate([np.full(shift, -np.inf), highest[: length - shift]]) + values[k]
    samples = np.zeros(steps, np.int64)
    samples[-1] = int(best.argmax())
    for k in range(steps - 1, 0, -1):
        samples[k - 1] = came[k, samples[k]]
    return samples, float(best.max())
