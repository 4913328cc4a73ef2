"""The statistics of one window: Welch's t of both orders on the way, signal-to-noise ratios, and what the signal is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis import scalib_engine as scalib
from tinymlsec.analysis.snr import Snr
from tinymlsec.analysis.ttest import TTest, TTestResult, threshold
from tinymlsec.attacks.side_channel._assess_values import CLASSES, Value, Values

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._assess_traces import Batch, Source, Varied
    from tinymlsec.attacks.side_channel._assess_windows import Part

ORDERS = 2
CHECKPOINTS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the traces at which the curve is drawn."""
LEAST = 20
"""Traces of the first checkpoint, at least."""
MOST_TRACES = 10**12
"""Beyond which nobody counts."""


@dataclass(frozen=True)
class Checkpoint:
    """The test on the way."""

    traces: int
    largest: tuple[float, ...]
    """|t| of each order."""
    threshold: float


@dataclass(frozen=True)
class Ratio:
    """Signal-to-noise ratio of one value, at the sample where it is largest."""

    value: Value
    ratio: float
    sample: int
    chance: float
    """Expected where nothing leaks."""
    shuffled: float
    """Largest over all samples with the labels shuffled: what chance makes of so many samples."""


@dataclass(frozen=True)
class WindowTest:
    """What was seen of one window."""

    part: Part
    varied: Varied
    records: NDArray[np.int64]
    """(t,) number of each sample's record in the window."""
    pcs: NDArray[np.uint32]
    """(t,)"""
    t: NDArray[np.float64]
    """(orders, t); 0 where there is none."""
    tested: NDArray[np.bool_]
    """(orders, t) samples that have a statistic and were executed in every trace."""
    alarms: NDArray[np.bool_]
    """(orders, t)"""
    threshold: float
    alpha: float
    """For all samples and orders of this window together."""
    traces: int
    excluded: int
    """Samples without any variance."""
    still: int
    """Samples whose signal is the same in all traces: only noise makes them vary."""
    left_out: int
    """Samples that not every trace executed."""
    parted: int
    """Traces on another path than the reference."""
    first_parting: int | None
    """Record at which the first of them is elsewhere."""
    lengths: tuple[int, int]
    """Fewest and most records of a run."""
    reach: int
    """Records of the reference run."""
    cut: bool
    """The layer goes on behind the window."""
    curve: tuple[Checkpoint, ...]
    ratios: tuple[Ratio, ...]
    snr: NDArray[np.float64]
    """(t,) largest over all values; 0 where a sample is not executed in every trace."""
    effect: Effect
    sigma: float
    engine: str

    @property
    def samples(self) -> int:
        """Of the window that were looked at."""
        return len(self.records)

    @property
    def largest(self) -> tuple[float, ...]:
        """|t| of each order."""
        return tuple(np.where(self.tested, np.abs(self.t), 0.0).max(axis=1).tolist())

    @property
    def share(self) -> float:
        """Of the tested samples that alarm in either order."""
        tested = self.tested.any(axis=0) | self.alarms.any(axis=0)
        return float(self.alarms.any(axis=0).sum() / max(int(tested.sum()), 1))

    @property
    def tests(self) -> int:
        """Samples times orders."""
        return int(self.tested.sum())

    @property
    def rings_from(self) -> int | None:
        """Traces of the checkpoint from which on it alarms, as seen; None: it does not at the end."""
        seen = [max(point.largest) > point.threshold for point in self.curve]
        if not seen[-1]:
            return None
        return self.curve[len(seen) - next((i for i, rang in enumerate(reversed(seen)) if not rang), len(seen))].traces


@dataclass(frozen=True)
class Effect:
    """What the signal without noise says of the groups."""

    apart: NDArray[np.float64]
    """(t,) distance of the means."""
    variances: NDArray[np.float64]
    """(t,) sum of the variances within both groups."""
    sure: NDArray[np.bool_]
    """(t,) the distance is no chance."""

    def at(self, sigma: float) -> float:
        """Largest distance over the deviation of a difference of two traces, under noise; 0 where there is none."""
        if not self.sure.any():
            return 0.0
        spread = np.sqrt(self.variances[self.sure] + 2 * sigma**2)
        return float((self.apart[self.sure] / np.maximum(spread, 1e-12)).max())


def traces_needed(t: float, traces: int, tests: int, alpha: float) -> int | None:
    """Traces at which a t-test alarms, by the law that t grows with their square root.

    Args:
        t: |t| that was seen.
        traces: of both groups together.
        tests: samples times orders.
        alpha: for all of them.

    Returns:
        an even number; None beyond `MOST_TRACES`.
    """
    low, high = 1, 2  # traces of one group
    while t * math.sqrt(2 * high / traces) < threshold(tests, high, alpha):
        low, high = high, 2 * high
        if high > MOST_TRACES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        rings = t * math.sqrt(2 * middle / traces) >= threshold(tests, max(middle, 2), alpha)
        low, high = (low, middle) if rings else (middle, high)
    return 2 * high


@dataclass(frozen=True)
class Plan:
    """How a window is tested."""

    traces: int
    sigma: float
    alpha: float
    seed: int
    silent: bool = False
    """The signal is replaced by a constant one: nothing may be found."""


def measured(source: Source, values: Values, plan: Plan, engine: scalib.Engine = "auto") -> WindowTest:
    """Runs one window as often as planned, in one pass; where samples leave SCALib's range midway, once more in NumPy.

    Args:
        source: of the traces.
        values: for the signal-to-noise ratios.
        plan: how many traces, and how noisy.
        engine: as in `analysis.ttest`.
    """
    running = _Running(source, values, plan, engine)
    try:
        for batch in source.batches(running.sizes):
            running.update(batch)
    except scalib.DoesNotFit:
        if engine != "auto":
            raise
        return measured(source, values, plan, "numpy")
    return running.result()


@dataclass
class _Running:
    source: Source
    values: Values
    plan: Plan
    engine: scalib.Engine
    number: int = 0
    parted: int = 0
    parting: int | None = None
    lengths: tuple[int, int] = (1 << 62, 0)
    curve: list[Checkpoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.source.path.kept)
        traces = self.plan.traces // 2 * 2
        self.marks = sorted({max(LEAST, int(traces * share)) // 2 * 2 for share in CHECKPOINTS} - {0})
        self.marks = [mark for mark in self.marks if mark < traces] + [traces]
        self.sizes = list(_sizes(self.marks, self.source.together))
        self.everywhere = np.ones(count, np.bool_)
        self.test = TTest(ORDERS, engine=self.engine)
        self.snr = Snr(CLASSES, engine=self.engine, most=traces // 2) if self.values.values else None
        self.origin: NDArray[np.float32] | None = None
        self.sums, self.squares = np.zeros((2, count)), np.zeros((2, count))

    def update(self, batch: Batch) -> None:
        """Adds a batch, noise included."""
        rng = np.random.default_rng((self.plan.seed, self.number))
        signal = batch.laid.signal
        self.origin = signal[0].copy() if self.origin is None else self.origin
        if self.plan.silent:
            signal = np.broadcast_to(self.origin, signal.shape)
        self._path(batch)
        self._moments(signal, batch.groups)
        noisy = signal + np.float32(self.plan.sigma) * rng.standard_normal(signal.shape, np.float32)
        self.test.update(noisy, batch.groups)
        if self.snr is not None:
            labels = self.values.labels(batch, batch.groups)
            shuffled = rng.permuted(labels, axis=0)
            self.snr.update(noisy[batch.groups], np.concatenate([labels, shuffled], axis=1))
        self.number += 1
        if int(self.test.groups.sum()) in self.marks:
            self._mark()

    def _path(self, batch: Batch) -> None:
        laid = batch.laid
        self.everywhere &= laid.everywhere
        self.parted += laid.parted
        if laid.first is not None:
            self.parting = laid.first if self.parting is None else min(self.parting, laid.first)
        self.lengths = (
            min(self.lengths[0], int(batch.lengths.min())), max(self.lengths[1], int(batch.lengths.max())),
        )  # fmt: skip

    def _moments(self, signal: NDArray[np.float32], groups: NDArray[np.bool_]) -> None:
        assert self.origin is not None
        for group in (0, 1):
            rows = signal[groups == group] - self.origin
            self.sums[group] += rows.sum(axis=0, dtype=np.float64)
            self.squares[group] += np.einsum("ij,ij->j", rows, rows, dtype=np.float64)

    def _mark(self) -> None:
        seen = self.test.result(self.plan.alpha)
        held = seen.tested & self.everywhere
        largest = np.where(held, np.abs(seen.values), 0.0).max(axis=1)
        self.curve.append(Checkpoint(sum(seen.groups), tuple(largest.tolist()), seen.threshold))

    def result(self) -> WindowTest:
        seen, source = self.test.result(self.plan.alpha), self.source
        held = seen.tested & self.everywhere
        ratios, snr = self._ratios()
        still = (self.squares == 0).all(axis=0) & self.everywhere
        return WindowTest(
            part=source.part, varied=source.varied, records=source.path.kept,
            pcs=source.path.pcs[source.path.kept], t=np.where(held, seen.values, 0.0), tested=held,
            alarms=seen.alarms & self.everywhere, threshold=seen.threshold, alpha=self.plan.alpha,
            traces=sum(seen.groups), excluded=seen.excluded, still=int(still.sum()),
            left_out=int((~self.everywhere).sum()), parted=self.parted, first_parting=self.parting,
            lengths=self.lengths, reach=len(source.path.pcs), cut=source.cut, curve=tuple(self.curve), ratios=ratios,
            snr=snr, effect=self._effect(seen), sigma=self.plan.sigma, engine=seen.engine,
        )  # fmt: skip

    def _ratios(self) -> tuple[tuple[Ratio, ...], NDArray[np.float64]]:
        if self.snr is None:
            return (), np.zeros(len(self.everywhere))
        found = self.snr.result()
        values = np.where(self.everywhere, np.minimum(found.values, 1e9), 0.0)
        count = len(self.values.values)
        made = [
            Ratio(value, float(row.max()), int(row.argmax()), float(chance), float(shuffled.max()))
            for value, row, chance, shuffled in zip(
                self.values.values, values[:count], found.chance[:count], values[count:], strict=True
            )
        ]
        return tuple(made), values[:count].max(axis=0)

    def _effect(self, seen: TTestResult) -> Effect:
        n = np.array(seen.groups, np.float64)[:, None]
        means = self.sums / n
        variances = np.maximum(self.squares / n - means**2, 0.0)
        apart = np.abs(means[0] - means[1])
        error = np.sqrt((variances / n).sum(axis=0))
        sure = (apart > seen.threshold * error) & (apart > 0) & self.everywhere
        return Effect(apart, variances.sum(axis=0), sure)


def _sizes(marks: Sequence[int], most: int) -> Iterator[int]:
    """Sizes of batches that end at every mark."""
    done = 0
    for mark in marks:
        while done < mark:
            size = min(most, mark - done)
            yield size
            done += size
