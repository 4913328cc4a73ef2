"""Welch's t-test between two groups of traces, for means and for variances: test vector leakage assessment.

TVLA (G. Goodwill, B. Jun, J. Jaffe, P. Rohatgi, "A testing methodology for side-channel resistance validation", NIST
NIAT workshop 2011). The second order compares the squares of samples around their group's mean (T. Schneider,
A. Moradi, "Leakage Assessment Methodology", CHES 2015). Variances are divided by n, as SCALib and that paper do.

The usual threshold of 4.5 rings by chance in long traces. Here it follows from a probability of false alarm for all
samples together (A. Ding, L. Zhang, F. Durvaux, F.-X. Standaert, Y. Fei, "Towards Sound and Optimal Leakage Detection
Procedure", CARDIS 2017), with Student's distribution at the fewest degrees of freedom that Welch's test can have.
A t-test tells that something leaks, not that a secret can be had from it; samples of very skewed distribution, and the
second order with few traces, ring more often than stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis import scalib_engine as scalib
from tinymlsec.analysis import student
from tinymlsec.analysis.batches import (
    MEMORY,
    Constants,
    affordable,
    checked,
    origin,
    refuse_infinite,
    same_length,
    tiles,
)
from tinymlsec.traces.traceset import Chunk, TraceError, TraceSet

ALPHA = 1e-3
"""Probability of a false alarm anywhere in a trace."""
COLUMNS = 128
"""Samples that NumPy takes at a time."""


@dataclass(frozen=True)
class TTestResult:
    """What the traces so far say."""

    values: NDArray[np.float64]
    """(orders, t) the statistic; 0 where there is none."""
    tested: NDArray[np.bool_]
    """(orders, t) samples that have a statistic; those without any variance do not."""
    separated: NDArray[np.bool_]
    """(orders, t) samples without variance in either group that differ all the same: they tell the groups apart for
    certain, and the statistic would be infinite."""
    groups: tuple[int, int]
    """Traces of each."""
    threshold: float
    """|t| above it is an alarm."""
    alpha: float
    engine: str
    """What computed it, and how samples were scaled for it."""

    @property
    def excluded(self) -> int:
        """Samples without variance in either group, of one and the same value."""
        return int((~self.tested[0] & ~self.separated[0]).sum())

    @property
    def alarms(self) -> NDArray[np.bool_]:
        """(orders, t) where the groups differ."""
        rings: NDArray[np.bool_] = self.separated | (self.tested & (np.abs(self.values) > self.threshold))
        return rings

    @property
    def max_abs(self) -> NDArray[np.float64]:
        """(orders,) largest |t| among tested samples."""
        largest: NDArray[np.float64] = np.where(self.tested, np.abs(self.values), 0.0).max(axis=1)
        return largest


class TTest:
    """Welch's t of t samples between two groups.

        test = TTest()
        for chunk in traces.chunks():
            test.update(chunk.samples, groups_of(chunk))
        test.result().alarms

    Args:
        orders: 1 for means, 2 for variances as well.
        engine: `auto` takes SCALib where it is installed and the first batch fits its int16.
        memory: most bytes it may take.
    """

    def __init__(self, orders: int = 1, *, engine: scalib.Engine = "auto", memory: int = MEMORY) -> None:
        if orders not in (1, 2):
            raise TraceError("orders of a t-test", found=str(orders), expected="1 or 2")
        self.orders, self.groups = orders, np.zeros(2, np.int64)
        self._scalib, self._memory = scalib.chosen(engine), memory
        self._forced = engine == "scalib"
        self._constants = (Constants(), Constants())
        self._moments: _Scalib | _Moments | None = None
        self._width: int | None = None

    def update(self, samples: NDArray[np.generic], groups: NDArray[np.generic]) -> None:
        """Adds traces.

        Args:
            samples: (b, t), any real type; int16 is fastest.
            groups: (b,) 0 or 1, or False and True.

        Raises:
            TraceError: shapes that do not belong together, other groups, or values that are no numbers.
            DoesNotFit: SCALib was begun with and these samples do not fit its int16.
            UsageError: more memory would be needed than was agreed.
        """
        checked(samples, "samples", self._width)
        same_length(len(samples), len(groups), "groups")
        if groups.ndim != 1 or groups.dtype.kind not in "biu" or not np.isin(groups, (0, 1)).all():
            found = f"{groups.dtype} {groups.shape}"
            raise TraceError("groups of traces", found=found, expected="(traces,) of 0 and 1")
        if not len(samples):
            return
        if self._moments is None:
            self._start(samples)
        assert self._moments is not None
        of = groups.astype(np.uint16)
        self._moments.update(samples, of, int(self.groups.sum()))
        for group, constants in enumerate(self._constants):
            constants.update(samples, np.flatnonzero(of == group))
        self.groups += np.bincount(of, minlength=2)

    def _start(self, samples: NDArray[np.generic]) -> None:
        self._width = samples.shape[1]
        affordable(16 * (4 * self._width + COLUMNS * len(samples)), self._memory, f"{self._width} samples")
        scaling = scalib.scaling_for(samples) if self._scalib else None
        if scaling is None and self._forced:
            raise scalib.DoesNotFit("samples do not fit SCALib's int16", next_step="use engine='numpy'")
        self._moments = _Moments(self.orders, samples) if scaling is None else _Scalib(self.orders, scaling)

    def result(self, alpha: float = ALPHA) -> TTestResult:
        """The statistics of all traces so far; more may be added afterwards.

        Args:
            alpha: probability of a false alarm in all samples and orders together.

        Raises:
            TraceError: fewer than two traces in a group.
        """
        few, many = int(self.groups.min()), int(self.groups.max())
        if self._moments is None or few < 2:
            raise TraceError("a t-test needs traces in both groups", found=f"{few} and {many}", expected="two or more")
        masks = [constants.mask for constants in self._constants]
        both = masks[0] & masks[1]
        values = self._moments.statistics(self.groups)
        separated = np.isinf(values) & ~both
        separated[0] |= both & (self._constants[0].values != self._constants[1].values)
        tested = np.isfinite(values) & ~both
        values[~tested] = 0.0
        groups = (int(self.groups[0]), int(self.groups[1]))
        level = threshold(int(tested.sum()), few, alpha)
        return TTestResult(values, tested, separated, groups, level, alpha, self._moments.words)


class _Scalib:
    """SCALib's moments."""

    def __init__(self, orders: int, scaling: scalib.Scaling) -> None:
        from scalib.metrics import Ttest

        self._test, self._scaling = Ttest(orders), scaling
        self.words = f"SCALib ({scaling.words})"

    def update(self, samples: NDArray[np.generic], groups: NDArray[np.uint16], first: int) -> None:
        rows = self._scaling.apply(samples, first)
        scalib.run(lambda: self._test.fit_u(rows, groups))

    def statistics(self, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(scalib.run(self._test.get_ttest), np.float64)


class _Moments:
    """The same in NumPy, in float64, of any samples: sums of the first two or four powers, by group."""

    words = "NumPy (float64)"

    def __init__(self, orders: int, samples: NDArray[np.generic]) -> None:
        self._origin = origin(samples)
        self._sums = np.zeros((2, 2 * orders, samples.shape[1]))

    def update(self, samples: NDArray[Any], groups: NDArray[np.uint16], first: int) -> None:
        order, zeros = np.argsort(groups, kind="stable"), int((groups == 0).sum())
        for _, columns in tiles(1, samples.shape[1], 1, COLUMNS):
            tile = samples[:, columns][order] - self._origin[columns]
            for sums, x in zip(self._sums[:, :, columns], (tile[:zeros], tile[zeros:]), strict=True):
                sums[0] += x.sum(axis=0)
                sums[1] += np.einsum("ij,ij->j", x, x)
                if len(sums) == 4:
                    square = x * x
                    sums[2] += np.einsum("ij,ij->j", square, x)
                    sums[3] += np.einsum("ij,ij->j", square, square)
        if not np.isfinite(self._sums).all():
            refuse_infinite(samples, first, "samples")

    def statistics(self, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = [_central(sums / n) for sums, n in zip(self._sums, groups, strict=True)]
        made = []
        for (mean0, var0), (mean1, var1) in zip(*parts, strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                made.append((mean0 - mean1) / np.sqrt(var0 / groups[0] + var1 / groups[1]))
        return np.array(made)


def _central(raw: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For each order what is compared and the variance of one trace's share in it.

    Args:
        raw: (2 or 4, t) mean powers around the origin.
    """
    mean = raw[0]
    second = _above_rounding(raw[1] - mean**2, raw[1])
    made = [(mean, second)]
    if len(raw) == 4:
        fourth = raw[3] - 4 * mean * raw[2] + 6 * mean**2 * raw[1] - 3 * mean**4
        made.append((second, _above_rounding(fourth - second**2, raw[3])))
    return made


def _above_rounding(value: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zero where a difference is nothing but the rounding of what it was taken from."""
    return np.where(value > 1e-13 * of, value, 0.0)


def ttest_of(
    traces: TraceSet,
    groups: Callable[[Chunk], NDArray[Any]],
    orders: int = 1,
    *,
    engine: scalib.Engine = "auto",
    alpha: float = ALPHA,
    start: int = 0,
    end: int | None = None,
) -> TTestResult:
    """Welch's t over a set of traces; where samples leave SCALib's range midway, NumPy does it all over.

    Args:
        traces: the set.
        groups: chunk -> (b,) 0 or 1.
        orders: as in `TTest`.
        engine: as in `TTest`.
        alpha: as in `TTest.result`.
        start: first trace.
        end: the one after the last.

    Raises:
        TraceError: as `TTest` does.
    """
    made = TTest(orders, engine=engine)
    try:
        for chunk in traces.chunks(start=start, end=end):
            made.update(chunk.samples, groups(chunk))
    except scalib.DoesNotFit:
        if engine != "auto":
            raise
        return ttest_of(traces, groups, orders, engine="numpy", alpha=alpha, start=start, end=end)
    return made.result(alpha)


def threshold(tests: int, group: int, alpha: float = ALPHA) -> float:
    """The |t| that not one of many tests without any leak exceeds, but with probability alpha.

    Args:
        tests: samples times orders.
        group: traces in the smaller group, 2 or more.
        alpha: for all tests together (Sidak's correction).
    """
    each = -math.expm1(math.log1p(-alpha) / max(tests, 1))
    return student.quantile(each / 2, group - 1) * math.sqrt(group / (group - 1))
