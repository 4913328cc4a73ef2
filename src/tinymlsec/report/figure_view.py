"""Series and pictures as a page shows them: drawn, bounded, described."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.report.text import clean, number

if TYPE_CHECKING:
    from markupsafe import Markup

    from tinymlsec.figures import Picture, Pictures, Series
    from tinymlsec.report.evidence_view import Ink

_LONG, _TIMES = 240, 16
"""Pixels of the longer side of a picture at most, and of one of its values."""


@dataclass(frozen=True)
class SeriesView:
    """A series: drawing, and what it shows in words and numbers."""

    title: str
    description: str
    svg: Markup | None
    why_no_plot: str
    lines: tuple[tuple[str, str, str, str], ...]
    """Name, least, greatest value, samples."""
    tracks: tuple[tuple[str, str], ...]
    """Name, and its segments in words."""
    thresholds: str


@dataclass(frozen=True)
class PictureView:
    """One picture as a data URI."""

    caption: str
    source: Markup
    width: int
    height: int


@dataclass(frozen=True)
class PicturesView:
    """Pictures side by side."""

    title: str
    note: str
    pictures: tuple[PictureView, ...]
    why_no_plot: str


def series_view(series: Series, prefix: str, rows: int, ink: Ink) -> SeriesView:
    """A series as drawing and words; without the drawing where the page's allowance is used up.

    Args:
        series: the record.
        prefix: start of all identifiers in the drawing.
        rows: segments of one track that are named.
        ink: the page's allowance; used up here.
    """
    from tinymlsec.report.series_plot import describe_series

    svg, why = _drawing(series, prefix, ink)
    return SeriesView(
        title=series.title,
        description=describe_series(series),
        svg=svg,
        why_no_plot=why,
        lines=tuple(
            (line.name, number(min(line.low)), number(max(line.high)), f"{line.samples:,}") for line in series.lines
        ),
        tracks=tuple(
            (
                track.name,
                ", ".join(f"{s.label} ({_place(s.start)} to {_place(s.end)})" for s in track.spans[:rows])
                + (f", and {len(track.spans) - rows} more in report.json" if len(track.spans) > rows else ""),
            )
            for track in series.tracks
        ),
        thresholds=", ".join(number(threshold) for threshold in series.thresholds),
    )


def _place(value: float) -> str:
    return number(value) if value != int(value) or abs(value) > 1e15 else f"{int(value):,}"


def _drawing(series: Series, prefix: str, ink: Ink) -> tuple[Markup | None, str]:
    from markupsafe import Markup

    from tinymlsec.report.series_plot import series_drawable, series_svg

    if not series_drawable(series):
        return None, "Its numbers fit on no axis; report.json has them."
    if ink.plots <= 0:
        return None, "Not drawn to keep this page small; report.json has the numbers."
    ink.plots -= 1
    return Markup(series_svg(series, prefix)), ""  # noqa: S704 - every text in the drawing is escaped by its maker


def pictures_view(shown: Pictures, ink: Ink) -> PicturesView:
    """Pictures as data URIs; without them where the page's allowance is used up."""
    if ink.plots <= 0:
        return PicturesView(
            shown.title, shown.note, (), "Not drawn to keep this page small; report.json has the values."
        )
    ink.plots -= 1
    return PicturesView(shown.title, shown.note, tuple(map(_picture, shown.pictures)), "")


def _picture(picture: Picture) -> PictureView:
    from markupsafe import Markup

    high, wide = len(picture.rows), len(picture.rows[0])
    times = min(_TIMES, max(1, _LONG // max(high, wide)))
    source = "data:image/png;base64," + base64.b64encode(_png(picture)).decode()
    caption = clean(picture.caption, 120)
    return PictureView(caption, Markup(source), wide * times, high * times)  # noqa: S704 - base64 of our own making


def _png(picture: Picture) -> bytes:
    from PIL import Image

    image = Image.new("L", (len(picture.rows[0]), len(picture.rows)))
    image.putdata([gray for row in picture.rows for gray in row])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
