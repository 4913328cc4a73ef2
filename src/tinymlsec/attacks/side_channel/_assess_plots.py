"""What was assessed, drawn: t over time, the map over the layers, t over traces, traces over the noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._assess_report import ORDER_WORDS, WIDE
from tinymlsec.attacks.side_channel._assess_test import WindowTest, traces_needed
from tinymlsec.figures import SPANS, Line, Series, Span, Track
from tinymlsec.records import Curve, CurvePoint

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._assess_run import Assessed

RATIOS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Signal-to-noise ratios at which the traces needed are estimated."""


def series(found: Assessed) -> tuple[Series, ...]:
    """t over the worst window, and all windows one after the other."""
    worst = max(found.windows, key=lambda window: max(window.largest))
    return (_over_time(found, worst), _map(found))


def _over_time(found: Assessed, worst: WindowTest) -> Series:
    here = [w for w in found.windows if w.part is worst.part and w.samples == worst.samples]
    lines = tuple(
        Line.of(f"{window.varied}, {words}", window.t[order])
        for window in here
        for order, words in enumerate(ORDER_WORDS)
    )
    limit = max(window.threshold for window in here)
    return Series(
        title=f"t over time, operator {worst.part.name} ({worst.part.window})", x_label="sample (instruction)",
        y_label="t", lines=lines, tracks=(Track(name="function", spans=_functions(found, worst)),),
        thresholds=(-limit, limit),
    )  # fmt: skip


def _functions(found: Assessed, window: WindowTest) -> tuple[Span, ...]:
    """Functions that the window runs through."""
    known = {int(pc): found.twin.image.symbol_at(int(pc)) for pc in np.unique(window.pcs)}
    names = [(known[pc] or ("?", 0))[0] for pc in window.pcs.tolist()]
    spans, at = [], 0
    for name, run in groupby(names):
        count = sum(1 for _ in run)
        spans.append(Span(start=at, end=at + count, label=name[:80]))
        at += count
    return tuple(spans[:SPANS])


def _map(found: Assessed) -> Series:
    """The larger |t| of both orders at every sample of every window."""
    first: dict[int, WindowTest] = {}
    for window in found.windows:
        first.setdefault(window.part.layer.index, window)
    lines = tuple(
        Line.of(f"against other {varied}", np.concatenate([_row(found, w, varied) for w in first.values()]))
        for varied in found.against
    )
    spans, at = [], 0
    for window in first.values():
        spans.append(Span(start=at, end=at + window.samples, label=window.part.name[:80]))
        at += window.samples
    return Series(
        title="Leakage map: |t| in the windows of all layers", x_label="sample (instruction), window after window",
        y_label="|t|", lines=lines, tracks=(Track(name="layer", spans=tuple(spans[:SPANS])),),
        thresholds=(max(window.threshold for window in found.windows),),
    )  # fmt: skip


def _row(found: Assessed, like: WindowTest, varied: str) -> NDArray[np.float64]:
    window = next((w for w in found.windows if w.part is like.part and w.varied == varied), None)
    if window is None:
        return np.zeros(like.samples)
    largest: NDArray[np.float64] = np.abs(window.t).max(axis=0)
    return largest


def curves(found: Assessed) -> tuple[Curve, ...]:
    """t by layer, t over traces in the worst window, and traces needed over the ratio."""
    made: list[Curve] = []
    for varied in found.against:
        windows, worst = found.of(varied), found.worst(varied)
        assert worst is not None
        made.append(
            Curve(
                title=f"Largest |t| by layer, fixed against random {varied}", x_label="operator", metric="max_abs_t",
                points=tuple(_point(w.part.layer.index, max(w.largest), w.traces) for w in windows),
                chance=max(w.threshold for w in windows),
            )
        )  # fmt: skip
        made.append(
            Curve(
                title=f"Largest |t| against traces, fixed against random {varied}, operator {worst.part.name}",
                x_label="traces", metric="max_abs_t", log_x=True, chance=worst.threshold,
                points=tuple(_point(mark.traces, max(mark.largest), mark.traces) for mark in worst.curve),
            )
        )  # fmt: skip
        points = needed_points(found, windows)
        if points:
            title = f"Traces until the t-test of means alarms, fixed against random {varied}, over the ratio"
            made.append(
                Curve(
                    title=title, x_label="signal-to-noise ratio", metric="traces_to_success", points=points, log_x=True
                )
            )
    return tuple(made)


def _point(x: float, t: float, n: int) -> CurvePoint:
    return CurvePoint(x=x, y=t, low=max(t - WIDE, 0.0), high=t + WIDE, n=n)


def needed_points(found: Assessed, windows: Sequence[WindowTest]) -> tuple[CurvePoint, ...]:
    """Traces at which the first window alarms, from the signal without noise, at several ratios."""
    made = []
    for ratio in sorted(RATIOS):
        sigma = found.named.sigma * (found.named.ratio / ratio) ** 0.5
        window = max(windows, key=lambda w, sigma=sigma: w.effect.at(sigma))  # type: ignore[misc]
        t = window.effect.at(sigma) * (window.traces / 2) ** 0.5
        if not t:
            continue
        needed = [
            traces_needed(max(value, 1e-3), window.traces, window.tests, window.alpha)
            for value in (t, t + WIDE, t - WIDE)
        ]
        if None not in needed:
            value, low, high = (float(each) for each in needed if each is not None)
            made.append(CurvePoint(x=ratio, y=value, low=low, high=high, n=window.traces))
    return tuple(made)
