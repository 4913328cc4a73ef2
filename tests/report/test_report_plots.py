"""Drawings: the same bytes each time, colors from the page, every text escaped, a table where drawing is impossible."""

from __future__ import annotations

import re

import pytest

from report.pages import Page
from report.report_sample import evidence, flips
from report.threat_sample import sample_report
from tinymlsec.records import Curve, CurvePoint, VerdictKind
from tinymlsec.report.evidence_view import Ink, Limits, curve_view
from tinymlsec.report.html import MAX_BYTES, render_html
from tinymlsec.report.plots import curve_svg, describe, drawable, thinned


def curve(*points: tuple[float, float], **more: object) -> Curve:
    made = tuple(CurvePoint(x=x, y=y, low=y - 0.01, high=y + 0.01, n=10) for x, y in points)
    return Curve.model_validate({"title": "T", "x_label": "x", "metric": "accuracy", "points": made, **more})


def test_same_curve_same_bytes_whatever_the_reader_prefers() -> None:
    import matplotlib

    before = curve_svg(flips().curves[0], "p")
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.fonttype": "path"}):
        assert curve_svg(flips().curves[0], "p") == before
    assert len(before) < 12_000


def test_colors_follow_the_theme_and_nothing_is_global() -> None:
    svg = curve_svg(flips().curves[0], "p")
    assert not re.search(r"#[0-9a-f]{6}|<style|<metadata|http|DejaVu", svg)
    assert "var(--plot-line)" in svg
    ids = re.findall(r'id="([^"]+)"', svg)
    assert all(name.startswith("p-") for name in ids)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(ids)
    Page(svg)


def test_numbers_at_the_axis_are_whole() -> None:
    svg = curve_svg(curve((0.01, 0.5), (0.125, 0.4), (100, 0.3), log_x=True), "p")
    assert ">0.01<" in svg
    assert not re.search(r'="[^"]*\d\.\d\d', svg)


def test_a_short_logarithmic_axis_has_ticks() -> None:
    """50 to 400 hold one power of ten only."""
    svg = curve_svg(curve((50, 0.2), (120, 0.6), (400, 0.9), log_x=True), "p")
    assert {">50<", ">100<", ">200<"} <= set(re.findall(r">\d+<", svg))
    assert ">200<" not in curve_svg(curve((1, 0.2), (120, 0.6), (40_000, 0.9), log_x=True), "p")


def test_reference_lines_are_labeled() -> None:
    svg = curve_svg(curve((1, 0.5), (2, 0.4), chance=0.1, reference=0.9), "p")
    assert ">chance<" in svg
    assert ">without attack<" in svg
    assert ">chance<" not in curve_svg(curve((1, 0.5), (2, 0.4)), "p")


@pytest.mark.parametrize(
    "points",
    [
        [(1, 0.5)],
        [(0, 0.5), (1, 0.4), (1000, 0.1)],
        [(3, 0.1), (1, 0.9), (2, 0.5)],
        [(5, 0.5), (5, 0.5)],
        [(-4, 0.5), (-2, 0.1)],
        [(1e-300, 0.5), (1e50, 0.5)],
        [(float(i), 0.5) for i in range(5000)],
    ],
)
@pytest.mark.parametrize("log_x", [False, True])
def test_any_points_can_be_drawn(points: list[tuple[float, float]], log_x: bool) -> None:
    svg = curve_svg(curve(*points, log_x=log_x), "p")
    assert "nan" not in svg
    assert len(svg) < 120_000
    Page(svg)


def test_numbers_beyond_any_axis_are_tabulated() -> None:
    huge = Curve(title="T", x_label="x", metric="mae", points=(CurvePoint(x=1, y=1e300), CurvePoint(x=2, y=-1e300)))
    assert not drawable(huge)
    view = curve_view(huge, "p", Limits(), Ink(5))
    assert view.svg is None
    assert "fit on no axis" in view.why_no_plot
    assert len(view.rows) == 2


def test_description_says_what_the_picture_shows() -> None:
    assert describe(flips().curves[0]) == (
        "accuracy over flipped bits: 90.0 % at 1, 18.0 % at 300, 6 points; without attack 90.8 %; "
        "a guesser reaches 12.0 %."
    )


def test_thinning_keeps_both_ends() -> None:
    assert thinned(5, 10) == [0, 1, 2, 3, 4]
    kept = thinned(1000, 40)
    assert (kept[0], kept[-1]) == (0, 999)
    assert len(kept) == 40


def test_worst_case_page_stays_small() -> None:
    points = tuple(CurvePoint(x=float(i), y=0.5, low=0.4, high=0.6, n=9) for i in range(1, 41))
    curves = tuple(Curve(title=f"Curve {i}", x_label="x", metric="accuracy", points=points) for i in range(5))
    items = tuple(evidence(f"attack-{i}", ("M2", "M5"), VerdictKind.VULNERABLE, curves=curves) for i in range(60))
    html = render_html(sample_report(evidence=items))
    assert 100_000 < len(html.encode()) < MAX_BYTES
    assert "Not drawn to keep this page small" in html
    Page(html)
