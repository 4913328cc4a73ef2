"""Shapes of a drawing as SVG text. All words pass `escape`; numbers are rounded, so that bytes are the same."""

from __future__ import annotations

from xml.sax.saxutils import escape

from tinymlsec.report.text import clean


def number(value: float) -> str:
    """A coordinate with one digit behind the point at most."""
    return f"{value:.1f}".removesuffix(".0")


def words(x: float, y: float, text: str, *, css: str = "t", anchor: str = "start", limit: int = 120) -> str:
    """A line of text; `y` is its base line."""
    side = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{css}" x="{number(x)}" y="{number(y)}"{side}>{escape(clean(text, limit))}</text>'


def box(x: float, y: float, width: float, height: float, color: str, *, radius: float = 0, hint: str = "") -> str:
    """A filled rectangle in one of the palette's colors, with a text that shows while the pointer is over it."""
    corner = f' rx="{number(radius)}"' if radius else ""
    shape = f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"{corner} '
    shape += f'fill="var(--m-{color})"'
    return f"{shape}><title>{escape(clean(hint, 200))}</title></rect>" if hint else shape + "/>"


def line(x1: float, y1: float, x2: float, y2: float, color: str = "line") -> str:
    """A thin line."""
    ends = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    return f'<line {ends} stroke="var(--m-{color})"/>'


def ticks(top: float, most: int = 6) -> list[float]:
    """Round numbers from 0 to the first above `top`, at most `most` steps."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** (len(str(int(top))) - 1) if top >= 1 else 1.0
    step = next(s for s in (power * f for f in (0.1, 0.2, 0.5, 1, 2, 5, 10)) if top / s <= most)
    count = int(-(-top // step))
    return [step * i for i in range(count + 1)]
