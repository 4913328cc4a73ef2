"""Curves as small SVG drawings that live inside of the page.

Matplotlib draws; this module then takes out what a page of many drawings cannot have: identifiers used twice, a style
sheet for everything, fixed fonts and fixed colors. Colors become the page's own CSS variables, so that a drawing
follows the light and the dark theme. The same curve always gives the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinymlsec.metrics import METRICS
from tinymlsec.report.text import clean, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tinymlsec.records import Curve

LINE, TEXT, GRID, CHANCE, REFERENCE, BAND = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_VARIABLES = {
    LINE: "var(--plot-line)",
    TEXT: "var(--muted)",
    GRID: "var(--line)",
    CHANCE: "var(--plot-chance)",
    REFERENCE: "var(--plot-reference)",
    BAND: "var(--plot-band)",
}
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tinymlsec",
    "text.parse_math": False,
    "font.size": 9,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "grid.color": GRID,
    "text.color": TEXT,
    "path.simplify": True,
}
_MAX_POINTS = 400
"""Points of one curve that are drawn; a curve with more is thinned out evenly."""
_HUGE = 1e100
"""Beyond this, sums and differences of coordinates leave the range of a double."""


def drawable(curve: Curve) -> bool:
    """Whether the curve has numbers that fit on an axis."""
    values = [v for p in curve.points for v in (p.x, p.y, p.low, p.high) if v is not None]
    return all(abs(v) < _HUGE for v in [*values, curve.chance or 0.0, curve.reference or 0.0])


def thinned(count: int, limit: int) -> list[int]:
    """Indices of at most `limit` of `count` items, evenly spread, with the first and the last among them."""
    if count <= limit:
        return list(range(count))
    return sorted({round(i * (count - 1) / (limit - 1)) for i in range(limit)})


def describe(curve: Curve) -> str:
    """The curve in one sentence, for those who do not see it."""
    unit, points = METRICS[curve.metric].unit, sorted(curve.points, key=lambda p: p.x)
    first, last = points[0], points[-1]
    text = f"{curve.metric} over {clean(curve.x_label, 80)}: "
    text += f"{quantity(first.y, unit)} at {first.x:g}"
    if len(points) > 1:
        text += f", {quantity(last.y, unit)} at {last.x:g}, {len(points)} points"
    if curve.reference is not None:
        text += f"; without attack {quantity(curve.reference, unit)}"
    return text + (f"; a guesser reaches {quantity(curve.chance, unit)}." if curve.chance is not None else ".")


def _scale(unit: str) -> float:
    return 100.0 if unit == "share" else 1.0


def _draw_points(axes: Axes, curve: Curve, scale: float) -> None:
    ordered = sorted(curve.points, key=lambda p: p.x)
    points = [ordered[i] for i in thinned(len(ordered), _MAX_POINTS)]
    axes.plot([p.x for p in points], [p.y * scale for p in points], color=LINE, lw=1.6, marker="o", ms=3.5, zorder=3)
    band = [(p.x, p.low * scale, p.high * scale) for p in points if p.low is not None and p.high is not None]
    if len(band) > 1:
        x, low, high = zip(*band, strict=True)
        axes.fill_between(list(x), list(low), list(high), color=BAND, lw=0, zorder=2)
    elif band:
        axes.vlines(*band[0], color=LINE, lw=1.2)


def _draw_references(axes: Axes, curve: Curve, scale: float) -> None:
    # one label above its line and one below: they stay readable where the two lines are close
    for value, word, color, dashes, side in (
        (curve.reference, "without attack", REFERENCE, (5, 3), "bottom"),
        (curve.chance, "chance", CHANCE, (1.5, 2), "top"),
    ):
        if value is not None:
            axes.axhline(value * scale, color=color, lw=1.2, dashes=dashes, zorder=1)
            axes.annotate(
                word, (1.0, value * scale), xycoords=("axes fraction", "data"), xytext=(4, 0),
                textcoords="offset points", va=side, color=color, annotation_clip=False,
            )  # fmt: skip


def _scale_x(axes: Axes, curve: Curve) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    positive = [p.x for p in curve.points if p.x > 0]
    if not curve.log_x or not positive:
        return
    if len(positive) == len(curve.points):
        axes.set_xscale("log")
        if max(positive) < 100 * min(positive):  # of so few decades one or none has a tick
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    else:
        axes.set_xscale("symlog", linthresh=min(positive))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _decorate(axes: Axes, curve: Curve, unit: str) -> None:
    _scale_x(axes, curve)
    if unit == "share":
        axes.set_ylim(-2, 102)
    axes.set_xlabel(clean(curve.x_label, 60))
    axes.set_ylabel(f"{curve.metric.replace('_', ' ')} ({'%' if unit == 'share' else unit})")
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, width=0.6)


def _figure(curve: Curve) -> Figure:
    from matplotlib.figure import Figure

    unit = METRICS[curve.metric].unit
    figure = Figure(figsize=(5.2, 2.7))
    axes = figure.add_axes((0.115, 0.185, 0.70, 0.765))
    _draw_points(axes, curve, _scale(unit))
    _draw_references(axes, curve, _scale(unit))
    _decorate(axes, curve, unit)
    return figure


def rendered(figure: Callable[[], Figure]) -> str:
    """A figure as Matplotlib's SVG, whatever style the reader prefers.

    Args:
        figure: makes it, inside of our settings.
    """
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # the reader's own style must not change the bytes
        matplotlib.rcParams.update(_SETTINGS)
        warnings.simplefilter("ignore")  # glyphs that Matplotlib's own font lacks; the reader's browser has others
        figure().savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()


def _compact(svg: str) -> str:
    """Keep the drawing alone: no prolog, metadata, style sheet, comments or namespaces."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>", r'<svg viewBox="\1">', svg, count=1)
    svg = re.sub(r"xlink:href=", "href=", svg)
    # coordinates are rounded, numbers that people read are not
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d)\d+", r"\1", tag[0]), svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"|<defs>\s*</defs>', "", svg)
    return _without_bare_groups(re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><"))


def _without_bare_groups(svg: str) -> str:
    """Drop groups that carry no attribute: half of the text of a drawing."""
    bare: list[bool] = []

    def keep(tag: re.Match[str]) -> str:
        if tag[0] == "</g>":
            return "" if bare.pop() else tag[0]
        bare.append(tag[0] == "<g>")
        return "" if bare[-1] else tag[0]

    return re.sub(r"<g>|<g [^>]*>|</g>", keep, svg)


def _own_ids(svg: str, prefix: str) -> str:
    """Drop identifiers that nothing refers to and make the others unique in the page."""
    used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    names = {name: f"{prefix}-{i}" for i, name in enumerate(sorted(used))}
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", svg)
    svg = re.sub(r'href="#([^"]+)"', lambda m: f'href="#{names[m[1]]}"', svg)
    return re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{names[m[1]]})", svg)


def _own_look(svg: str) -> str:
    """Colors from the page's variables and type from the page."""
    for sentinel, variable in _VARIABLES.items():
        svg = svg.replace(sentinel, variable)
    return re.sub(r"font-family: [^;\"]*; ", "", svg)


def curve_svg(curve: Curve, prefix: str) -> str:
    """The drawing of a curve as an ``<svg>`` element for the inside of an HTML page.

    Args:
        curve: what to draw; y of unit "share" is drawn in percent. Points may come in any order.
        prefix: start of all identifiers in the drawing, unique in the page; letters, digits and hyphens.

    Raises:
        ValueError: the curve has numbers that fit on no axis (see `drawable`).
    """
    if not drawable(curve):
        raise ValueError(f"a curve with numbers beyond {_HUGE:g} cannot be drawn")
    return finished(rendered(lambda: _figure(curve)), prefix, curve.title, describe(curve))


def finished(raw: str, prefix: str, title: str, description: str, classes: str = "plot") -> str:
    """Matplotlib's SVG made fit for the inside of a page.

    Args:
        raw: from `rendered`.
        prefix: start of all identifiers, unique in the page.
        title: from anybody; escaped here, as is the description.
        description: for those who do not see the drawing.
        classes: of the element.
    """
    from markupsafe import escape

    svg = _own_look(_compact(_own_ids(raw, prefix)))
    title = f'<title id="{prefix}-t">{escape(clean(title, 160))}</title>'
    desc = f'<desc id="{prefix}-d">{escape(description)}</desc>'
    head = f'<svg class="{classes}" role="img" aria-labelledby="{prefix}-t {prefix}-d" viewBox='
    return svg.replace("<svg viewBox=", head, 1).replace(">", f">{title}{desc}", 1)
