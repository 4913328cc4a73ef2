"""Colors of the picture of a measurement, light and dark."""

from __future__ import annotations

COLORS: dict[str, tuple[str, str]] = {
    "back": ("#ffffff", "#1c2024"),
    "text": ("#1d2125", "#e4e7ea"),
    "muted": ("#565d64", "#a6aeb6"),
    "line": ("#dcdcd6", "#363d44"),
    "track": ("#f1f1ee", "#23282d"),
    "code": ("#0b57a4", "#8fc1f5"),
    "weights": ("#1b7f74", "#72d3c4"),
    "constants": ("#a06a00", "#e8bb62"),
    "initial": ("#7a4b9c", "#cda6ec"),
    "arena": ("#1b7f74", "#72d3c4"),
    "variables": ("#a06a00", "#e8bb62"),
    "stack": ("#b23a48", "#ff9a95"),
    "low": ("#0b57a4", "#8fc1f5"),
    "high": ("#b4cfea", "#34587c"),
}
"""Light and dark color by name. Those of one bar differ in hue and are named in a legend beside it."""


def style(prefix: str, *, page: bool) -> str:
    """CSS that gives the drawing its colors.

    Args:
        prefix: class of the drawing.
        page: the drawing stands in a page that sets `color-scheme`; else it follows the reader's system by itself.
    """
    if page:
        both = "".join(f"--m-{name}:light-dark({light},{dark});" for name, (light, dark) in COLORS.items())
        return f".{prefix}{{{both}}}"
    lights = "".join(f"--m-{name}:{light};" for name, (light, _) in COLORS.items())
    darks = "".join(f"--m-{name}:{dark};" for name, (_, dark) in COLORS.items())
    return f".{prefix}{{{lights}}}@media (prefers-color-scheme:dark){{.{prefix}{{{darks}}}}}"
