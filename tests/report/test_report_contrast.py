"""Text can be read in both themes: contrast of at least 4.5 (WCAG 2.2, 1.4.3), computed from the style sheet."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("tinymlsec.report").joinpath("templates", "report.css").read_text(encoding="utf-8")
COLORS = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)}
PAIRS = [
    *((text, ground) for text in ("text", "muted", "link") for ground in ("bg", "card", "sunk")),
    *((tone, f"{tone}-bg") for tone in ("bad", "warn", "good", "open", "off")),
    ("text", "warn-bg"),
    *((line, "card") for line in ("plot-line", "plot-chance", "plot-reference", "bad", "warn", "good")),
]


def luminance(color: str) -> float:
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "ground"), PAIRS)
def test_contrast(front: str, ground: str, theme: int) -> None:
    dark, light = sorted((luminance(COLORS[front][theme]), luminance(COLORS[ground][theme])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_every_color_has_two_themes() -> None:
    plain = re.sub(r"light-dark\([^)]*\)|@media print.*", "", CSS, flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b", plain)
    assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) <= set(COLORS)
