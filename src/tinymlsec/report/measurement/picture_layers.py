"""Cycles per layer in the picture: one bar each, from what it costs at least to what it costs at most."""

from __future__ import annotations

from tinymlsec.emulate.measure_records import LayerCost, Measurement
from tinymlsec.report.measurement.frame import Frame
from tinymlsec.report.measurement.shapes import box, line, ticks, words
from tinymlsec.report.measurement.words import count, share, span

MOST_LAYERS = 48
"""More layers than this are not drawn; the dearest are."""


def layers_part(measurement: Measurement, frame: Frame, y: float) -> tuple[list[str], float]:
    """Heading, scale and bars, and where they end."""
    shown = measurement.layers
    heading = "Cycles per layer"
    if len(shown) > MOST_LAYERS:
        kept = sorted(shown, key=lambda layer: -layer.cost.cycles.high)[:MOST_LAYERS]
        shown = tuple(sorted(kept, key=lambda layer: layer.index))
        heading += f" (the {MOST_LAYERS} dearest of {len(measurement.layers)})"
    parts = [words(frame.margin, y + 8, heading, css="g")]
    y += 20 if frame.stacked else 0
    parts += _legend(frame, y + 8)
    marks = ticks(max((layer.cost.cycles.high for layer in shown), default=0.0), most=4 if frame.stacked else 6)
    first = y + 22
    bottom = first + frame.row * len(shown) + 4
    for mark in marks:
        x = frame.left + frame.bar * mark / marks[-1]
        side = "end" if frame.stacked and mark == marks[-1] else "middle" if mark or not frame.stacked else "start"
        parts += [line(x, first, x, bottom), words(x, bottom + 16, count(mark), css="s", anchor=side)]
    for place, layer in enumerate(shown):
        parts += _bar(layer, measurement, frame, first + frame.row * place, frame.bar / marks[-1])
    return parts, bottom + 34


def _legend(frame: Frame, y: float) -> list[str]:
    x = frame.margin if frame.stacked else frame.right - 224
    return [
        box(x, y - 10, 10, 10, "low", radius=2), words(x + 15, y - 1, "at least", css="s"),
        box(x + 76, y - 10, 10, 10, "high", radius=2), words(x + 91, y - 1, "at most, by the model", css="s"),
    ]  # fmt: skip


def _bar(layer: LayerCost, measurement: Measurement, frame: Frame, y: float, scale: float) -> list[str]:
    cycles = layer.cost.cycles
    hint = f"{layer.op}: {cycles.low:,.0f} to {cycles.high:,.0f} cycles"
    part = share(cycles.high, measurement.total.cycles.high)
    name = layer.op.lower().replace("_", " ")
    top = y + (22 if frame.stacked else 4)
    high = 12 if frame.stacked else frame.row - 8
    return [
        words(frame.margin, y + 15, str(layer.index), css="s"),
        words(frame.margin + 26, y + 15, name, limit=24),
        box(frame.left, top, max(1.0, cycles.high * scale), high, "high", hint=hint),
        box(frame.left, top, max(1.0, cycles.low * scale), high, "low", hint=hint),
        words(frame.right, y + 15, f"{span(cycles)} ({part})", css="s", anchor="end"),
    ]
