"""A layer with weights laid over the trace: where its pixels and rows lie, how well they fit, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Guess, Shape
from tinymlsec.attacks.side_channel._arch_profile import Profile, Skipped
from tinymlsec.attacks.side_channel._arch_scores import Samples, correlation, sliding
from tinymlsec.attacks.side_channel._arch_train import Train, frame

GAP = 96
"""Most samples between two kernels: what the code between them takes."""
SHORTER = 100
"""By how much a pixel may be shorter than told."""
GLANCE, LOOK, LONGEST = 1500, 20_000, 4_000_000
"""Samples that are compared at first, then, and at most."""
MARKS, LEAST_MARKS, MOST_MARKS = 12, 4000, 40_000
"""Channels, and samples, of a pixel by which others are placed, seen beside their innermost loops."""
DRIFT = 8
"""Samples by which a pixel may begin elsewhere than told: the last call of a layer is often a jump."""
PIXELS, ROWS, WEIGHED = 24, 16, 64
"""Pixels of the first row, and rows, whose beginnings are looked at."""


@dataclass(frozen=True)
class Found:
    """A layer that a stretch of the trace looks like."""

    kind: str
    source: Shape
    output: Shape
    macs: int
    start: int
    """First sample of its first kernel."""
    end: int
    """Sample behind its last kernel."""
    fit: float
    """Correlation over the whole layer."""
    samples: int
    """That were compared."""
    detail: str = ""
    nats: float = 0.0
    """By how much its number of channels is less likely than another, where nothing else tells."""

    @property
    def sure(self) -> float:
        """A correlation that chance does not reach."""
        return float(self.fit - 4 / np.sqrt(max(self.samples, 1)))


class Layer:
    """A guess with its channels, laid over the trace."""

    def __init__(self, samples: Samples, profile: Profile, guess: Guess, train: Train, start: int) -> None:
        self.samples, self.profile, self.guess = samples, profile, guess
        self.channels, self.flat, self.start = train.channels, train.flat, start
        self.kernel = profile.kernels[guess.kind]
        self.gap, self.row_gap, self.drift, self.fit = 0, 0, 0, 0.0
        self.marks: dict[tuple[tuple[Skipped, tuple[int, ...]], int], Samples] = {}

    @property
    def pixels(self) -> int:
        """Of the output."""
        return len(self.guess.rows) * len(self.guess.columns)

    def like(self, guess: Guess) -> Layer:
        """Another guess whose first row is the same."""
        other = copy(self)
        other.guess, other.marks = guess, {}
        return other

    def _length(self, row: int, column: int) -> int:
        skipped, counts = self.guess.view(row, column)
        return self.kernel.length(skipped, (self.channels, *counts), self.flat)

    def _lead(self, row: int, column: int) -> int:
        skipped, counts = self.guess.view(row, column)
        return self.kernel.lead(skipped, (self.kernel.nest.least, *counts)) - len(
            self.kernel.channel((self.kernel.nest.least, *counts))
        )

    def _head(self, row: int, column: int, most: int) -> Samples:
        return self.profile.levels[self.guess.steps(self.kernel, row, column, self.channels, self.flat)[:most]]

    def usual_view(self) -> tuple[tuple[Skipped, tuple[int, ...]], list[int]]:
        """The view that most pixels have, and where these begin."""
        places: dict[tuple[Skipped, tuple[int, ...]], list[int]] = {}
        at, columns = self.start, len(self.guess.columns)
        for row in range(len(self.guess.rows)):
            for column in range(columns):
                places.setdefault(self.guess.view(row, column), []).append(at)
                at += self._length(row, column) + (self.gap if column < columns - 1 else self.row_gap)
        return max(places.items(), key=lambda pair: len(pair[1]))

    def space_columns(self) -> None:
        """Finds the distance of pixels in the first row."""
        columns = min(PIXELS, len(self.guess.columns))
        self.fit = 1.0
        if columns > 1:
            lengths = np.cumsum([self._length(0, column) for column in range(columns - 1)])
            low = -min(SHORTER, self._block() // 4)
            self.gap, self.fit = self._distance(lengths, [(0, c) for c in range(1, columns)], low)

    def space_rows(self) -> None:
        """Finds the distance of rows."""
        rows, columns = min(ROWS, len(self.guess.rows)), range(len(self.guess.columns))
        if rows > 1:
            inside = self.gap * (len(columns) - 1)
            lengths = [sum(self._length(row, column) for column in columns) + inside for row in range(rows - 1)]
            low = self.gap - 24 if len(columns) > 1 else -min(SHORTER, self._block() // 4)
            self.row_gap, _ = self._distance(np.cumsum(lengths), [(row, 0) for row in range(1, rows)], low)

    def _distance(self, lengths: NDArray[np.int64], places: Sequence[tuple[int, int]], low: int) -> tuple[int, float]:
        """The gap that is the same between all of some pixels, and how well they fit with it."""
        choices = np.arange(low, GAP)
        total, count = np.zeros(len(choices)), 0
        for number, ((row, column), before) in enumerate(zip(places, lengths.tolist(), strict=True), 1):
            begin = self.start + before + number * low
            at = number * (choices - low)
            # what is ahead of the first channel counts on its own: channels fit one further nearly as well
            lead = self._slid(self._head(row, column, self._lead(row, column)), begin, at)
            marks = self._slid(self._marks(row, column), begin, at)
            if lead is None or marks is None:
                break
            total += lead + marks
            count += 1
        best = int(np.argmax(total))
        usual = float(self._lead(*places[0])) ** 0.5 + float(np.count_nonzero(self._marks(*places[0]))) ** 0.5
        return int(choices[best]), float(total[best]) / usual / max(count, 1)

    def _marks(self, row: int, column: int, most: int = 0) -> Samples:
        """The beginning of a pixel beside its innermost loops, which fit wherever there are such."""
        most = most or int(np.clip(MARKS * self._block(), LEAST_MARKS, MOST_MARKS))
        view = self.guess.view(row, column), most
        if view not in self.marks:
            self.marks[view] = frame(
                self.guess.steps(self.kernel, row, column, self.channels, self.flat)[:most], self.profile.levels
            )
        return self.marks[view]

    def reference(self) -> float:
        """How well the first pixel fits beside its innermost loops."""
        lead = self._head(0, 0, self._lead(0, 0))
        ahead = correlation(self.samples[self.start : self.start + len(lead)], lead)
        return max(self._marked(self.start, self._marks(0, 0, LOOK)), ahead / 2)

    def _marked(self, at: int, marks: Samples) -> float:
        stretch = self.samples[max(at, 0) : max(at, 0) + len(marks)]
        if len(stretch) < len(marks):
            return 0.0
        return correlation(stretch, marks) * float(np.sqrt(len(marks) / max(int(np.count_nonzero(marks)), 1)))

    def _block(self) -> int:
        """Samples of a channel."""
        return len(self.kernel.channel((self.kernel.nest.least, *self.guess.view(0, 0)[1])))

    def _slid(self, template: Samples, begin: int, at: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How a template fits at some places, in standard deviations of chance."""
        if begin < 0:
            return None
        fits = sliding(self.samples[begin : begin + int(at[-1]) + len(template)], template)
        return fits[at] * np.sqrt(len(template)) if len(fits) > at[-1] else None

    def weigh(self) -> float:
        """How well the beginnings of pixels and rows fit where they are now taken to be."""
        columns, at = len(self.guess.columns), self.start
        fits: list[tuple[float, float]] = []
        for row in range(min(ROWS, len(self.guess.rows))):
            for column in range(columns):
                if (column < PIXELS and len(fits) < WEIGHED) or not column:
                    lead = self._head(row, column, self._lead(row, column))
                    ahead = (
                        correlation(self.samples[at : at + len(lead)], lead) if at + len(lead) < self.length else 0.0
                    )
                    fits.append((ahead, self._marked(at, self._marks(row, column))))
                at += self._length(row, column) + (self.gap if column < columns - 1 else self.row_gap)
        self.fit = float(np.mean(fits))
        return self.fit

    @property
    def length(self) -> int:
        """Samples of the trace."""
        return len(self.samples)

    def found(self, nats: float) -> Found | None:
        """The layer as a whole."""
        rows, columns = len(self.guess.rows), len(self.guess.columns)
        end = self.start + self.gap * (columns - 1) * rows + self.row_gap * (rows - 1)
        end += sum(self._length(row, column) * times for (row, column), times in self._views().items())
        if end > len(self.samples):
            return None
        fit, compared = self._fit()
        end += self.drift
        guess = self.guess
        detail = f"{guess.window[0]}x{guess.window[1]} stride {guess.stride} {guess.padding}" if guess.windowed else ""
        return Found(
            guess.kind, guess.source, guess.output(self.channels), guess.macs(self.channels), self.start, end, fit,
            compared, detail, nats if rows * columns == 1 else 0.0,
        )  # fmt: skip

    def _views(self) -> dict[tuple[int, int], int]:
        """One pixel for each view, and how many pixels have it."""
        v, h = _classes(self.guess.rows), _classes(self.guess.columns)
        return {(row, column): a * b for row, a in v.items() for column, b in h.items()}

    def _fit(self) -> tuple[float, int]:
        """Correlation over the layer: over whole rows at its beginning and, where that is too long, at its end."""
        columns = range(len(self.guess.columns))
        lengths = np.array([sum(self._length(row, c) for c in columns) for row in range(len(self.guess.rows))])
        begins = self.start + np.concatenate(
            [[0], np.cumsum(lengths + self.gap * (len(columns) - 1) + self.row_gap)[:-1]]
        )
        chosen, total = [], 0
        for row in (*range(0, len(lengths), 2), *range(len(lengths) - 1 - len(lengths) % 2, 0, -2)):
            if total > LONGEST:
                break
            chosen.append(row)
            total += int(lengths[row])
        parts, templates, single = [], [], len(columns) * len(lengths) <= 64
        for row in sorted(chosen):
            at = int(begins[row]) + self.drift
            for column in columns:
                template = self._head(row, column, LONGEST)
                if (single or not column) and at > self.start:
                    at += self._drifted(template[:GLANCE], at)
                parts.append(self.samples[at : at + len(template)])
                templates.append(template[: len(parts[-1])])
                at += len(template) + self.gap
        return correlation(np.concatenate(parts), np.concatenate(templates)), sum(map(len, parts))

    def _drifted(self, head: Samples, at: int) -> int:
        fits = sliding(self.samples[at - DRIFT : at + DRIFT + len(head)], head)
        best = int(np.argmax(fits)) - DRIFT if len(fits) > DRIFT else 0
        if not best or fits[best + DRIFT] < fits[DRIFT] + 5 / np.sqrt(len(head)):
            return 0
        self.drift += best
        return best


def _classes(axis: Sequence[object]) -> dict[int, int]:
    first: dict[object, int] = {}
    counts: dict[int, int] = {}
    for place, taps in enumerate(axis):
        at = first.setdefault(taps, place)
        counts[at] = counts.get(at, 0) + 1
    return counts
