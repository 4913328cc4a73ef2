"""Signal-to-noise ratio of samples by the value of something that the device computed.

SNR = variance of the mean of each class / mean of the variance within classes, both weighted by how often a class came
(S. Mangard, "Hardware Countermeasures against DPA: A Statistical Analysis of Their Effectiveness", CT-RSA 2004). With
few traces it is above zero by chance alone, by about (classes - 1) / (traces - classes); results say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis import scalib_engine as scalib
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

COLUMNS = 128
"""Samples that NumPy takes at a time."""
NOISELESS = 1e9
"""A ratio above this is rounding: there is no noise."""


@dataclass(frozen=True)
class SnrResult:
    """What the traces so far say."""

    values: NDArray[np.float64]
    """(v, t) ratios; 0 where a sample did not vary, infinite where nothing but the class makes it vary."""
    chance: NDArray[np.float64]
    """(v,) ratio to expect where nothing leaks, with this many traces."""
    traces: int
    constant: NDArray[np.bool_]
    """(t,) samples that had one value only."""
    engine: str
    """What computed it, and how samples were scaled for it."""


class Snr:
    """Signal-to-noise ratio of t samples for v things at once.

        snr = Snr(classes=9)
        for chunk in traces.chunks():
            snr.update(chunk.samples, np.bitwise_count(chunk.inputs[:, :1]))
        snr.result().values[0]

    Args:
        classes: labels are 0 to classes - 1, 2 to 65,536 of them; those that never come do not count.
        engine: `auto` takes SCALib where it is installed and the first batch fits its int16.
        most: no more traces will come, where that is known: up to 65,535 SCALib adds up faster.
        memory: most bytes it may take.
    """

    def __init__(
        self, classes: int, *, engine: scalib.Engine = "auto", most: int | None = None, memory: int = MEMORY
    ) -> None:
        if not 2 <= classes <= 1 << 16:
            raise TraceError("classes of a signal-to-noise ratio", found=str(classes), expected="2 to 65,536")
        self.classes, self.traces, self._most = classes, 0, most
        self._scalib, self._memory = scalib.chosen(engine), memory
        self._forced = engine == "scalib"
        self._constants = Constants()
        self._sums: _Scalib | _Sums | None = None

    def update(self, samples: NDArray[np.generic], labels: NDArray[np.integer[Any]]) -> None:
        """Adds traces.

        Args:
            samples: (b, t), any real type; int16 is fastest.
            labels: (b,) or (b, v) classes.

        Raises:
            TraceError: shapes that do not belong together, labels that are no classes, or values that are no numbers.
            DoesNotFit: SCALib was begun with and these samples do not fit its int16.
            UsageError: more memory would be needed than was agreed.
        """
        by = labels[:, None] if labels.ndim == 1 else labels
        checked(samples, "samples", len(self._constants.mask) or None)
        checked(by, "labels", None if self._sums is None else self._counts.shape[0])
        same_length(len(samples), len(by), "labels")
        if by.dtype.kind not in "iu" or (by.size and (by.min() < 0 or by.max() >= self.classes)):
            found = f"type {by.dtype}" if by.dtype.kind not in "iu" else f"{by.min()} to {by.max()}"
            raise TraceError("labels of traces", found=found, expected=f"whole numbers 0 to {self.classes - 1}")
        if self._most is not None and self.traces + len(samples) > self._most:
            found = f"{self.traces + len(samples)}"
            raise TraceError("more traces than were said to come", found=found, expected=f"at most {self._most}")
        if not len(samples):
            return
        if self._sums is None:
            self._start(samples, by.shape[1])
        assert self._sums is not None
        self._sums.update(samples, by, self.traces)
        self._constants.update(samples)
        for row, column in zip(self._counts, by.T, strict=True):
            row += np.bincount(column, minlength=self.classes)
        self.traces += len(samples)

    def _start(self, samples: NDArray[np.generic], v: int) -> None:
        t = samples.shape[1]
        affordable(16 * v * self.classes * t, self._memory, f"{v} x {self.classes} classes x {t} samples")
        self._counts = np.zeros((v, self.classes), np.int64)
        scaling = scalib.scaling_for(samples) if self._scalib else None
        if scaling is None and self._forced:
            raise scalib.DoesNotFit("samples do not fit SCALib's int16", next_step="use engine='numpy'")
        wide = self._most is None or self._most >= scalib.NARROW
        self._sums = _Sums(v, self.classes, samples) if scaling is None else _Scalib(self.classes, scaling, wide)

    def result(self) -> SnrResult:
        """The ratios of all traces so far; more may be added afterwards.

        Raises:
            TraceError: fewer than two traces.
        """
        if self._sums is None or self.traces < 2:
            raise TraceError("a signal-to-noise ratio needs traces", found=str(self.traces), expected="two or more")
        constant = self._constants.mask
        values = self._sums.ratios(self._counts)
        values[values > NOISELESS] = np.inf
        values[:, constant] = 0.0
        seen = (self._counts > 0).sum(axis=1)
        chance = (seen - 1) / np.maximum(self.traces - seen, 1)
        return SnrResult(values, chance, self.traces, constant, self._sums.words)


class _Scalib:
    """SCALib's sums, 64 bits wide unless 32 surely hold them: narrow ones that might not are refused midway."""

    def __init__(self, classes: int, scaling: scalib.Scaling, wide: bool) -> None:
        from scalib.metrics import SNR

        self._snr, self._scaling = SNR(classes, use_64bit=wide), scaling
        self.words = f"SCALib ({scaling.words})"

    def update(self, samples: NDArray[np.generic], labels: NDArray[np.integer[Any]], first: int) -> None:
        rows, by = self._scaling.apply(samples, first), labels.astype(np.uint16)
        scalib.run(lambda: self._snr.fit_u(rows, by))

    def ratios(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        values = np.asarray(scalib.run(self._snr.get_snr), np.float64)
        return np.where(np.isnan(values), 0.0, values)


class _Sums:
    """The same in NumPy, in float64, of any samples."""

    words = "NumPy (float64)"

    def __init__(self, v: int, classes: int, samples: NDArray[np.generic]) -> None:
        self._origin = origin(samples)
        self._sums = np.zeros((v, classes, samples.shape[1]))
        self._squares = np.zeros(samples.shape[1])

    def update(self, samples: NDArray[Any], labels: NDArray[np.integer[Any]], first: int) -> None:
        orders = [np.argsort(column, kind="stable") for column in labels.T]
        seen = [np.unique(column, return_index=True) for column in (labels[o, i] for i, o in enumerate(orders))]
        for _, columns in tiles(1, samples.shape[1], 1, COLUMNS):
            tile = samples[:, columns] - self._origin[columns]
            self._squares[columns] += np.einsum("ij,ij->j", tile, tile)
            for sums, order, (classes, starts) in zip(self._sums, orders, seen, strict=True):
                sums[classes, columns] += np.add.reduceat(tile[order], starts, axis=0)
        if not np.isfinite(self._squares).all():
            refuse_infinite(samples, first, "samples")

    def ratios(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        n = int(counts[0].sum())
        made = np.zeros((len(counts), len(self._squares)))
        for row, sums, count in zip(made, self._sums, counts, strict=True):
            some = count > 0
            mean = sums.sum(axis=0) / n
            between = np.einsum("ij,ij,i->j", sums[some], sums[some], 1 / count[some]) / n - mean * mean
            within = self._squares / n - between - mean * mean
            signal = np.maximum(between, 0.0)
            np.divide(signal, within, out=row, where=within > signal / NOISELESS)
            row[(within <= signal / NOISELESS) & (signal > 0)] = np.inf
        return made


def snr_of(
    traces: TraceSet,
    labels: Callable[[Chunk], NDArray[np.integer[Any]]],
    classes: int,
    *,
    engine: scalib.Engine = "auto",
    start: int = 0,
    end: int | None = None,
) -> SnrResult:
    """Signal-to-noise ratio over a set of traces; where samples leave SCALib's range midway, NumPy does it all over.

    Args:
        traces: the set.
        labels: chunk -> (b,) or (b, v) classes.
        classes: number of them.
        engine: as in `Snr`.
        start: first trace.
        end: the one after the last.

    Raises:
        TraceError: as `Snr` does.
    """
    made = Snr(classes, engine=engine, most=(len(traces) if end is None else min(end, len(traces))) - start)
    try:
        for chunk in traces.chunks(start=start, end=end):
            made.update(chunk.samples, labels(chunk))
    except scalib.DoesNotFit:
        if engine != "auto":
            raise
        return snr_of(traces, labels, classes, engine="numpy", start=start, end=end)
    return made.result()
