"""Pearson correlation of many hypotheses with many samples, in one pass over any number of traces.

Correlation power analysis (E. Brier, C. Clavier, F. Olivier, "Correlation Power Analysis with a Leakage Model", CHES
2004): the guess whose predictions go with the measured samples best is the likeliest. A hypothesis is any column of
numbers, so models of a multiply-accumulate, which no table of classes can hold, are as good as those of an S-box.

Both sides are shifted by about their mean and multiplied in float32 by the BLAS, tile by tile; sums over tiles are
float64. Samples that lie near zero already, for how much they vary, are multiplied where they lie. Correlations are
right to about 1e-6; those of samples that were not shifted to about 1e-5 of themselves, a factor that all hypotheses
share. Both are far below what chance makes of them (1 / sqrt(traces)).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.batches import HEAD, MEMORY, affordable, checked, origin, refuse_infinite, same_length, tiles
from tinymlsec.traces.traceset import TraceError

ROWS, BARE_ROWS = 4096, 1 << 14
"""Traces that are multiplied at a time: few enough for float32 sums, many enough to add up products seldom. More where
they are multiplied as they lie, since those need no tile."""
TILE = 1 << 23
"""Values of a tile: wide enough for the BLAS, and its rows are read in one go."""
TABLE = 1 << 24
"""Largest number of products, and of hypotheses, that a tile makes."""
PIECE = 1 << 17
"""Values whose squares are added up in float32, while they lie in the processor's cache."""
FEWEST, MOST = 64, 512
"""Traces of a piece."""
NEAR = 10.0
"""Standard deviations from zero up to which samples are not shifted: their squares lose a factor of 100 of 2^24."""
MANY = 1000
"""Traces of a first batch from which on shifting is spared: with fewer, what float32 loses does not average out."""


@dataclass(frozen=True)
class Correlations:
    """What the traces so far say."""

    values: NDArray[np.float32]
    """(g, t) coefficients from -1 to 1; 0 where a hypothesis or a sample did not vary."""
    traces: int
    constant_samples: NDArray[np.bool_]
    """(t,) samples that had one value only."""
    constant_hypotheses: NDArray[np.bool_]
    """(g,) hypotheses that had one value only."""

    def scores(self, *, signed: bool = True) -> NDArray[np.float32]:
        """(g,) for each hypothesis the largest coefficient over all samples.

        Args:
            signed: count positive ones only, which tells a value from its negative.
        """
        best: NDArray[np.float32] = (self.values if signed else np.abs(self.values)).max(axis=1)
        return best

    def peaks(self, *, signed: bool = True) -> NDArray[np.intp]:
        """(g,) for each hypothesis the sample of its score."""
        places: NDArray[np.intp] = (self.values if signed else np.abs(self.values)).argmax(axis=1)
        return places


class Correlation:
    """Correlation of g hypotheses with t samples.

        correlation = Correlation()
        for chunk in traces.chunks():
            correlation.update(predict(chunk.inputs), chunk.samples)
        correlation.result().values

    It keeps sums of products (g, t), of samples and their squares (t,) and of hypotheses and theirs (g,), all
    float64, and never a trace.

    Args:
        memory: most bytes it may take.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self.traces = 0
        self._memory = memory
        self._x0: NDArray[np.floating] | None = None

    def update(self, hypotheses: NDArray[np.generic], samples: NDArray[np.generic]) -> None:
        """Adds traces.

        Args:
            hypotheses: (b, g) predictions, any real type.
            samples: (b, t), any real type.

        Raises:
            TraceError: shapes that do not belong together or to earlier ones, or values that are no numbers; the
                statistic cannot be used any more then.
            UsageError: more memory would be needed than was agreed.
        """
        known = self._x0 is not None
        checked(hypotheses, "hypotheses", len(self._h0) if known else None)
        checked(samples, "samples", len(self._x0) if self._x0 is not None else None)
        same_length(len(samples), len(hypotheses), "hypotheses")
        if not len(samples):
            return
        if not known:
            self._start(hypotheses, samples)
        assert self._x0 is not None
        step = self._bare_rows if _bare(samples, self._x0) else self._rows
        for top in range(0, len(samples), step):
            rows = slice(top, top + step)
            self._add(hypotheses[rows], samples[rows])
            self.traces += len(samples[rows])

    def _start(self, hypotheses: NDArray[np.generic], samples: NDArray[np.generic]) -> None:
        g, t = hypotheses.shape[1], samples.shape[1]
        self._rows = max(16, min(ROWS, TABLE // g))
        self._bare_rows = max(self._rows, min(BARE_ROWS, TABLE // g))
        self._width = max(1, min(t, TILE // self._rows, TABLE // g))
        tile = (self._rows + MOST) * self._width + (self._bare_rows + MOST) * g + g * self._width
        affordable(8 * (g + 2) * t + 4 * tile, self._memory, f"{g} hypotheses x {t} samples")
        self._h0 = _shift(hypotheses)
        self._x0 = np.zeros(t, np.float32) if _near(samples) else _shift(samples)
        self._products = np.zeros((g, t))
        self._h, self._x = np.zeros((2, g)), np.zeros((2, t))
        """Sums and sums of squares."""
        self._guess = np.empty((self._bare_rows, g), np.float32)
        self._tile = np.empty((self._rows, self._width), np.float32)
        self._out = np.empty((g, self._width), np.float32)

    def _add(self, hypotheses: NDArray[np.generic], samples: NDArray[np.generic]) -> None:
        """Adds one row of tiles."""
        b = len(hypotheses)
        assert self._x0 is not None
        with np.errstate(over="ignore", invalid="ignore"):
            guess = _shifted(hypotheses, self._h0, self._guess[:b], self._h)
            for _, columns in tiles(b, len(self._x0), b, self._width):
                width = columns.stop - columns.start
                room, moments = self._tile[:b, :width], self._x[:, columns]
                tile = _shifted(samples[:, columns], self._x0[columns], room, moments)
                self._products[:, columns] += np.matmul(guess.T, tile, out=self._out[:, :width])
        if not np.isfinite(self._h).all():
            refuse_infinite(hypotheses, self.traces, "hypotheses")
        if not np.isfinite(self._x).all():
            refuse_infinite(samples, self.traces, "samples")

    def result(self) -> Correlations:
        """Coefficients of all traces so far; more may be added afterwards.

        Raises:
            TraceError: fewer than two traces.
        """
        n = self.traces
        if n < 2:
            raise TraceError("correlation needs traces", found=str(n), expected="two or more")
        (sums_h, squares_h), (sums, squares) = self._h, self._x
        scale_x = _inverse_root(squares - sums * sums / n)
        scale_h = _inverse_root(squares_h - sums_h * sums_h / n)
        values = np.empty(self._products.shape, np.float32)
        step, level = max(1, (1 << 15) // len(sums)), sums / -n
        for top in range(0, len(values), step):
            rows = slice(top, top + step)
            part = np.multiply.outer(sums_h[rows], level)
            part += self._products[rows]
            part *= scale_x
            np.multiply(part, scale_h[rows, None], out=values[rows], casting="same_kind")
            np.clip(values[rows], -1.0, 1.0, out=values[rows])
        return Correlations(values, n, scale_x == 0, scale_h == 0)


def chance_level(traces: int, tests: int, alpha: float = 1e-3) -> float:
    """The coefficient that not one of many hypotheses without any relation exceeds, but with probability alpha.

    By R. Fisher's transformation ("On the 'probable error' of a coefficient of correlation", Metron 1, 1921) and
    Sidak's correction; two-sided.

    Args:
        traces: number of traces, above 3.
        tests: hypotheses times samples.
        alpha: for all tests together.
    """
    if traces <= 3:
        return 1.0
    each = -np.expm1(np.log1p(-alpha) / max(tests, 1))
    return float(np.tanh(-NormalDist().inv_cdf(float(each) / 2) / np.sqrt(traces - 3)))


def _shift(rows: NDArray[np.generic]) -> NDArray[np.floating]:
    """The origin in the type in which subtracting it loses nothing: float32 for what float32 holds exactly."""
    narrow = np.result_type(rows.dtype, np.float32) == np.float32
    return origin(rows).astype(np.float32 if narrow else np.float64)


def _near(samples: NDArray[Any]) -> bool:
    """Whether float32 samples may be multiplied as they are: every column varies and lies near zero for that."""
    if samples.dtype != np.float32 or len(samples) < MANY:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        head = samples[:HEAD]
        level = head.mean(axis=0)
        spread = np.sqrt(np.square(head - level).mean(axis=0))
        return bool((np.abs(level) <= NEAR * spread).all() and (head != head[0]).any(axis=0).all())


def _bare(rows: NDArray[Any], level: NDArray[np.floating]) -> bool:
    """Whether rows are multiplied as they lie."""
    return rows.dtype == np.float32 and not level.any()


def _shifted(
    rows: NDArray[Any], level: NDArray[np.floating], out: NDArray[np.float32], moments: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Rows less their level, piece by piece; adds their sums and sums of squares (2, w) to the moments.

    A level of zero leaves float32 as it is. The level is repeated, since subtracting whole blocks takes half as long.
    """
    bare = _bare(rows, level)
    step = FEWEST if bare else min(max(FEWEST, PIECE // len(level)), MOST)
    ones = np.ones(step, np.float32)
    block = np.repeat(level[None], 1 if bare else min(step, len(rows)), axis=0)
    for top in range(0, len(rows), step):
        piece = rows[top : top + step]
        if not bare:
            piece = np.subtract(piece, block[: len(piece)], out=out[top : top + step], casting="same_kind")
        moments[1] += np.einsum("ij,ij->j", piece, piece)  # first, since it reads new rows faster than the BLAS does
        moments[0] += ones[: len(piece)] @ piece
    return rows if bare else out


def _inverse_root(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / sqrt where a column varied, 0 where it did not."""
    varied = sums > 0
    return np.divide(1.0, np.sqrt(sums, where=varied, out=np.ones_like(sums)), where=varied, out=np.zeros_like(sums))
