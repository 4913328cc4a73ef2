"""Where things stand in the picture of a measurement: on a desk, and on a phone."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

LETTER = 6.7
"""Average width of a letter at 13 pixels."""


@dataclass(frozen=True)
class Frame:
    """Columns and rows, in pixels of the drawing."""

    width: float
    margin: float
    label: float
    """Width of the column for names beside bars; 0: names stand above their bars."""
    figure: float
    """Width of the column for figures behind bars; 0: figures stand above their bars."""
    row: float
    """Height of a layer."""

    @property
    def left(self) -> float:
        """Where bars begin."""
        return self.margin + self.label

    @property
    def bar(self) -> float:
        """Width of the longest bar."""
        return self.width - self.left - self.margin - self.figure

    @property
    def right(self) -> float:
        """Where figures end."""
        return self.width - self.margin

    @property
    def stacked(self) -> bool:
        """Names and figures stand above their bars."""
        return self.label == 0

    def lines(self, text: str, size: float = 13.0) -> list[str]:
        """A text in lines that fit.

        Args:
            text: already harmless.
            size: of its letters, in pixels.
        """
        fitting = int((self.width - 2 * self.margin) / (LETTER * size / 13.0))
        return textwrap.wrap(text, fitting, break_on_hyphens=False, max_lines=4, placeholder=" ...") or [""]


WIDE = Frame(width=920, margin=28, label=188, figure=166, row=22)
NARROW = Frame(width=420, margin=16, label=0, figure=0, row=40)
