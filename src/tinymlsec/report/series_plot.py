"""Lines over time, with their segments below, as a drawing for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.report.plots import BAND, CHANCE, LINE, REFERENCE, TEXT, finished, rendered
from tinymlsec.report.text import clean, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tinymlsec.figures import Line, Series, Track

_COLORS = (LINE, REFERENCE, TEXT, CHANCE)
_WIDE = 1e100
_LONG = 10_000
"""From here on, numbers of samples are written with separators."""
_TRACK = 0.11
"""Share of a drawing's height that one track takes."""
_LEFT, _RIGHT = 0.12, 0.96
"""Where the axis begins and ends across a drawing: names of tracks stand to the left, half of a label to the right."""
_LETTER = 0.0078
"""Share of a drawing's width that a letter takes."""


def series_drawable(series: Series) -> bool:
    """Whether all of its numbers fit on an axis."""
    values = [v for line in series.lines for v in (line.start, line.step, *line.low, *line.high)]
    values += [v for track in series.tracks for span in track.spans for v in (span.start, span.end)]
    return all(abs(v) < _WIDE for v in (*values, *series.thresholds))


def describe_series(series: Series) -> str:
    """The drawing in words, for those who do not see it."""
    parts = [
        f"{clean(line.name, 60)} from {number(min(line.low))} to {number(max(line.high))} over {line.samples:,} samples"
        for line in series.lines
    ]
    parts += [f"{clean(track.name, 40)}: {len(track.spans)} segments" for track in series.tracks]
    if series.thresholds:
        parts.append(f"thresholds at {', '.join(number(t) for t in series.thresholds)}")
    return f"{clean(series.y_label, 60)} over {clean(series.x_label, 60)}: {'; '.join(parts)}."


def _extent(series: Series) -> tuple[float, float]:
    starts = [line.start for line in series.lines] + [s.start for t in series.tracks for s in t.spans]
    ends = [line.start + line.step * len(line.low) for line in series.lines]
    ends += [s.end for t in series.tracks for s in t.spans]
    low, high = min(starts), max(ends)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _draw_line(axes: Axes, line: Line, color: str, height: float) -> None:
    x = [line.start + line.step * i for i in range(len(line.low))]
    if line.low != line.high:
        axes.fill_between(
            x,
            list(line.low),
            list(line.high),
            color=color,
            lw=0.5,
            alpha=0.85,
            label=clean(line.name, 40),
            zorder=height,
        )
    elif len(x) == 1:
        axes.plot(x, list(line.low), color=color, marker="o", ms=3.5, lw=0, label=clean(line.name, 40), zorder=height)
    else:
        axes.plot(x, list(line.low), color=color, lw=1.0, label=clean(line.name, 40), zorder=height)


def _fitting(label: str, letters: float) -> str:
    """The label, its first word, or nothing: what so many letters have room for."""
    return next((text for text in (label, label.split(" ")[0]) if len(text) < letters), "")


def _draw_track(axes: Axes, track: Track, extent: tuple[float, float]) -> None:
    """A row of boxes with their labels, where these have room."""
    whole = extent[1] - extent[0]
    for number_, span in enumerate(track.spans):
        width = span.end - span.start
        axes.barh(
            0, width, left=span.start, height=1.0, align="edge", color=BAND, edgecolor=LINE, lw=0.6,
            alpha=1.0 if number_ % 2 else 0.55,
        )  # fmt: skip
        fits = [
            t for t in (clean(span.label, 80), clean(span.label, 80).split(" ")[0]) if len(t) * _LETTER * whole < width
        ]
        for label in fits[:1]:
            axes.text(span.start + width / 2, 0.5, label, ha="center", va="center", size=7, color=TEXT)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel(clean(track.name, 40), rotation=0, ha="right", va="center", size=8)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)


def _figure(series: Series) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(9.2, 2.6 + 0.3 * len(series.tracks)))
    extent, below = _extent(series), 0.17 + _TRACK * len(series.tracks)
    axes = figure.add_axes((_LEFT, below, _RIGHT - _LEFT, 0.9 - below))
    for place, (line, color) in enumerate(zip(series.lines, _COLORS, strict=False)):
        _draw_line(axes, line, color, 3 - place / 10)  # the first one is what the drawing is about
    for place, threshold in enumerate(series.thresholds):
        name = "threshold" if not place and len(series.lines) > 1 else None
        axes.axhline(threshold, color=CHANCE, lw=1.0, dashes=(4, 2), zorder=4, label=name)
    axes.set_xlim(*extent)
    if extent[1] >= _LONG:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_ylabel(clean(series.y_label, 40))
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, width=0.6)
    if len(series.lines) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, frameon=False, borderpad=0, fontsize=8)
    for place, track in enumerate(series.tracks):
        row = figure.add_axes((_LEFT, below - 0.09 - _TRACK * (place + 1), _RIGHT - _LEFT, _TRACK * 0.8))
        row.set_xlim(*extent)
        _draw_track(row, track, extent)
    figure.text(0.54, 0.01, clean(series.x_label, 60), ha="center", va="bottom", color=TEXT)
    return figure


def series_svg(series: Series, prefix: str) -> str:
    """The drawing of a series as an ``<svg>`` element for the inside of an HTML page.

    Args:
        series: what to draw; a line that stands for more samples than it has points is drawn as a band.
        prefix: start of all identifiers in the drawing, unique in the page; letters, digits and hyphens.

    Raises:
        ValueError: numbers that fit on no axis (see `series_drawable`).
    """
    if not series_drawable(series):
        raise ValueError(f"a series with numbers beyond {_WIDE:g} cannot be drawn")
    return finished(rendered(lambda: _figure(series)), prefix, series.title, describe_series(series), "plot wide")
