"""Series and pictures in the page: drawn the same each time, escaped, counted against the page's allowance."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from report.pages import Page
from report.report_sample import evidence
from report.threat_sample import sample_report
from tinymlsec.figures import Line, Picture, Pictures, Series, Span, Track
from tinymlsec.records import VerdictKind
from tinymlsec.report.evidence_view import Ink
from tinymlsec.report.figure_view import pictures_view, series_view
from tinymlsec.report.html import MAX_BYTES, render_html
from tinymlsec.report.series_plot import describe_series, series_svg


def series(samples: int = 5000, **more: object) -> Series:
    rng = np.random.default_rng(samples)
    spans = (Span(start=0, end=samples / 2, label="CONV_2D"), Span(start=samples / 2, end=samples, label="SOFTMAX"))
    made = {
        "title": "t over time", "x_label": "sample", "y_label": "t",
        "lines": tuple(Line.of(name, rng.standard_normal(samples)) for name in ("first order", "second")),
        "tracks": (Track(name="true", spans=spans), Track(name="recovered", spans=spans)), "thresholds": (4.5, -4.5),
    }  # fmt: skip
    return Series.model_validate({**made, **more})


def test_thresholds_are_named_beside_lines_and_the_first_line_lies_on_top() -> None:
    svg = series_svg(series(), "p")
    assert svg.count(">threshold<") == 1
    assert svg.index("var(--plot-reference)") < svg.index("var(--plot-line)"), "what comes later is drawn above"
    assert ">threshold<" not in series_svg(series(lines=series().lines[:1], tracks=()), "p")


def test_same_series_same_bytes_and_colors_of_the_page() -> None:
    svg = series_svg(series(), "p")
    assert svg == series_svg(series(), "p")
    assert not re.search(r"#[0-9a-f]{6}|<style|<metadata|http|DejaVu", svg)
    ids = re.findall(r'id="([^"]+)"', svg)
    assert all(name.startswith("p-") for name in ids)
    assert len(ids) == len(set(ids))
    assert ">CONV_2D<" in svg
    assert ">recovered<" in svg
    Page(svg)


@pytest.mark.parametrize("samples", [1, 2, 599, 601, 1_000_000])
def test_any_length_can_be_drawn_and_stays_small(samples: int) -> None:
    svg = series_svg(series(samples, tracks=()), "p")
    assert "nan" not in svg
    assert len(svg) < 80_000
    Page(svg)


def test_segments_without_room_for_their_names_are_drawn_without() -> None:
    spans = tuple(Span(start=i, end=i + 1, label=f"DEPTHWISE_CONV_2D {i}") for i in range(100))
    svg = series_svg(series(100, tracks=(Track(name="true", spans=spans),)), "p")
    assert "DEPTHWISE_CONV_2D" not in svg.replace(describe_series(series(100)), "")
    view = series_view(series(100, tracks=(Track(name="true", spans=spans),)), "p", 10, Ink(1))
    assert view.tracks[0][1].endswith("and 90 more in report.json")


def test_numbers_beyond_any_axis_are_said_not_drawn() -> None:
    line = Line(name="a", start=0, step=1, low=(-1e300,), high=(1e300,), samples=1)
    view = series_view(series(lines=(line,)), "p", 10, Ink(1))
    assert view.svg is None
    assert "fit on no axis" in view.why_no_plot


def test_a_picture_is_the_array() -> None:
    values = np.random.default_rng(0).integers(0, 256, (49, 10))
    view = pictures_view(Pictures(title="p", pictures=(Picture.of("kws", values, 0, 255),)), Ink(1)).pictures[0]
    data = base64.b64decode(str(view.source).partition(",")[2])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), values)
    assert (view.width, view.height) == (40, 196)


def test_strangers_words_stay_words() -> None:
    bad = '"><script>alert(1)</script>'
    figure = series(title=bad, y_label=bad, lines=(Line.of(bad, [1.0, 2.0]), Line.of("b", [1.0])))
    shown = Pictures(title=bad, note=bad, pictures=(Picture.of(bad, np.eye(2), 0, 1),))
    item = evidence("square", ("M2",), VerdictKind.VULNERABLE, series=(figure,), pictures=(shown,))
    html = render_html(sample_report(evidence=(item,)))
    assert "<script>alert" not in html
    Page(html)


def test_the_page_stays_small_with_many_figures() -> None:
    big = tuple(series(100_000) for _ in range(5))
    pictures = tuple(Pictures(title="p", pictures=(Picture.of("a", np.eye(64), 0, 1),) * 12) for _ in range(3))
    items = tuple(
        evidence(f"attack-{i}", ("M2",), VerdictKind.VULNERABLE, series=big, pictures=pictures) for i in range(26)
    )
    html = render_html(sample_report(evidence=items))
    assert len(html.encode()) < MAX_BYTES
    assert "Not drawn to keep this page small" in html
    Page(html)
