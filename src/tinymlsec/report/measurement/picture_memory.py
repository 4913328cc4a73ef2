"""Flash and RAM in the picture: the track is the device's memory, the pieces are what fills it."""

from __future__ import annotations

from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.report.measurement.frame import LETTER, Frame
from tinymlsec.report.measurement.shapes import box, words
from tinymlsec.report.measurement.words import share, size

Pieces = tuple[tuple[str, int], ...]
_NAMES = {"initial": "first values"}


def memory_part(measurement: Measurement, frame: Frame, y: float) -> tuple[list[str], float]:
    """Both bars with their legends, and where they end."""
    memory = measurement.memory
    flash, ram = memory.flash, memory.ram
    bars: tuple[tuple[str, int, int, Pieces], ...] = (
        ("Flash", memory.flash_bytes, flash.total, (("code", flash.code), ("weights", flash.weights),
         ("constants", flash.constants), ("initial", flash.initial))),
        ("RAM", memory.ram_bytes, ram.total, (("arena", ram.arena), ("variables", ram.variables),
         ("stack", ram.stack))),
    )  # fmt: skip
    parts: list[str] = []
    for name, has, used, pieces in bars:
        shown = tuple((color, amount) for color, amount in pieces if amount > 0)
        more, y = _bar(frame, name, has, used, shown, y)
        parts += more
    return parts, y + 10


def _bar(frame: Frame, name: str, has: int, used: int, pieces: Pieces, y: float) -> tuple[list[str], float]:
    text = f"{size(used)} of {size(has)} ({share(used, has)})"
    x = frame.margin if frame.stacked else frame.margin + 64
    wide = frame.right - x - (0 if frame.stacked else 200)
    parts = [words(frame.margin, y + 16, name, css="g"), words(frame.right, y + 16, text, anchor="end")]
    y += 26 if frame.stacked else 0
    parts.append(box(x, y, wide, 22, "track", radius=4))
    left = x
    for color, amount in pieces:
        width = max(1.5, wide * amount / max(has, used, 1))
        parts.append(box(left, y, width, 22, color, hint=f"{_NAMES.get(color, color)}: {amount:,} bytes"))
        left += width
    more, y = _legend(pieces, x, frame.right, y + 31)
    return parts + more, y + 27


def _legend(pieces: Pieces, left: float, right: float, y: float) -> tuple[list[str], float]:
    """What the colors are and how much there is of each, in as many lines as it takes."""
    parts: list[str] = []
    x = left
    for color, amount in pieces:
        label = f"{_NAMES.get(color, color)} {size(amount)}"
        wide = 15 + LETTER * len(label)
        if x > left and x + wide > right:
            x, y = left, y + 18
        parts += [box(x, y, 10, 10, color, radius=2), words(x + 15, y + 9, label, css="s")]
        x += wide + 12
    return parts, y + 10
