"""Drawings that evidence carries beside its curves: something over time, and pictures side by side.

Records hold numbers, never drawings, so that a report can be made again from them. Both are bounded: a trace of
millions of samples becomes an envelope, a picture at most 64 x 64 values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from tinymlsec._lazy import np
from tinymlsec.records import Record

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 600
"""Points of one line at most."""
SIDE = 64
"""Rows and columns of one picture at most."""
SPANS = 200
"""Segments of one track at most."""

Gray = Annotated[int, Field(ge=0, le=255)]


class Line(Record):
    """One quantity over time. Where it was longer than `BINS`, each point stands for several samples."""

    name: str
    start: float
    """Place of the first point, in the units of the axis."""
    step: float = Field(gt=0)
    """From one point to the next."""
    low: tuple[float, ...] = Field(min_length=1, max_length=BINS)
    """Least value of the samples that a point stands for."""
    high: tuple[float, ...] = Field(min_length=1, max_length=BINS)
    """Greatest value of them."""
    samples: int = Field(ge=1)
    """Samples behind the line."""

    @model_validator(mode="after")
    def _paired(self) -> Line:
        if len(self.low) != len(self.high):
            raise ValueError(f"{len(self.low)} least and {len(self.high)} greatest values")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a least value is above its greatest value")
        return self

    @classmethod
    def of(cls, name: str, values: ArrayLike, *, start: float = 0.0, step: float = 1.0) -> Line:
        """A line of any length, as an envelope where it is long.

        Args:
            name: for the legend.
            values: (t,) finite.
            start: place of the first value, in the units of the axis.
            step: from one value to the next.

        Raises:
            ValueError: no values, or some that are no numbers.
        """
        array = np.asarray(values, np.float64)
        if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
            raise ValueError(f"a line needs finite numbers in one dimension, not {array.shape}")
        width = -(-len(array) // BINS)
        edges = np.arange(0, len(array), width)
        least, most = np.minimum.reduceat(array, edges), np.maximum.reduceat(array, edges)
        return cls(
            name=name, start=start, step=step * width, low=_rounded(least), high=_rounded(most), samples=len(array)
        )


class Span(Record):
    """One labeled stretch of the axis."""

    start: float
    end: float
    label: str = Field(max_length=80)

    @model_validator(mode="after")
    def _forward(self) -> Span:
        if self.end < self.start:
            raise ValueError(f"a span from {self.start} to {self.end}")
        return self


class Track(Record):
    """A row of segments under the lines, such as the true layers, or the recovered ones."""

    name: str = Field(max_length=40)
    spans: tuple[Span, ...] = Field(max_length=SPANS)


class Series(Record):
    """Quantities over time with the segments below them."""

    title: str
    x_label: str
    """Name and unit of the axis, such as "sample"."""
    y_label: str
    lines: tuple[Line, ...] = Field(min_length=1, max_length=4)
    tracks: tuple[Track, ...] = Field(default=(), max_length=4)
    thresholds: tuple[float, ...] = Field(default=(), max_length=4)
    """y values drawn as reference lines, such as that above which a t-test alarms."""


class Picture(Record):
    """One gray picture."""

    caption: str = Field(max_length=120)
    rows: tuple[tuple[Gray, ...], ...] = Field(min_length=1, max_length=SIDE)

    @model_validator(mode="after")
    def _rectangular(self) -> Picture:
        widths = {len(row) for row in self.rows}
        if len(widths) != 1 or not 1 <= widths.pop() <= SIDE:
            raise ValueError(f"a picture needs rows of one width, 1 to {SIDE}")
        return self

    @classmethod
    def of(cls, caption: str, values: NDArray[np.generic], low: float, high: float) -> Picture:
        """A picture of an array: `low` is black, `high` white, what lies beyond is clipped.

        Args:
            caption: below it.
            values: (h, w), at most 64 x 64.
            low: value that is black.
            high: value that is white.

        Raises:
            ValueError: another shape, no numbers, or no range.
        """
        array = np.asarray(values, np.float64)
        if array.ndim != 2 or not array.size or max(array.shape) > SIDE or not np.isfinite(array).all():
            raise ValueError(f"a picture needs finite numbers in two dimensions up to {SIDE}, not {array.shape}")
        if not high > low:
            raise ValueError(f"a range from {low} to {high} has no grays")
        grays = np.clip(np.rint((array - low) / (high - low) * 255), 0, 255).astype(int)
        return cls(caption=caption, rows=tuple(map(tuple, grays.tolist())))


class Pictures(Record):
    """Pictures side by side, such as an input and what was recovered of it."""

    title: str
    pictures: tuple[Picture, ...] = Field(min_length=1, max_length=12)
    note: str = Field(default="", max_length=500)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Five significant digits: more are not seen, and the report stays small."""
    return tuple(float(f"{value:.5g}") for value in values)
