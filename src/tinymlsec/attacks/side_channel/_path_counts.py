"""How often the parts of a kernel run for a layer, from its shapes; and the shapes that counts leave over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod

from tinymlsec.attacks.side_channel._arch_geometry import Guess, Shape, guesses

Counts = Mapping[str, int]
"""Outputs, rows of taps, products, pixels, and taps beyond each border, over a whole layer."""
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
PAIRS = ("ADD", "MUL")
VALUES = ("SOFTMAX", "LOGISTIC")
LARGEST_POOL = 8
BORDERS = ("top", "bottom", "left", "right")
LIGHT = 0.01
"""Weight of taps beyond borders, one for each pixel, beside relative differences of other counts."""


@dataclass(frozen=True)
class Known:
    """A layer with its shapes."""

    kind: str
    source: Shape
    output: Shape
    macs: int = 0
    detail: str = ""


def windowed_counts(guess: Guess, channels: int) -> dict[str, int]:
    """Of a convolution or a pool.

    Args:
        guess: window, stride and padding.
        channels: of the output.
    """
    v, h = guess.rows, guess.columns
    rows, columns = sum(t.inside for t in v), sum(t.inside for t in h)
    depth = guess.source[2] if guess.kind == "CONV_2D" else 1
    made = {
        "outputs": len(v) * len(h) * channels, "runs": channels * len(h) * rows,
        "products": channels * rows * columns * depth,
    }  # fmt: skip
    if guess.kind in POOLS:
        return made
    return made | {
        "pixels": len(v) * len(h),
        "top": len(h) * sum(t.before for t in v), "bottom": len(h) * sum(t.after for t in v),
        "left": len(v) * sum(t.before for t in h), "right": len(v) * sum(t.after for t in h),
    }  # fmt: skip


def counts_of(layer: Known) -> dict[str, int]:
    """Of a layer without a window."""
    if layer.kind == "FULLY_CONNECTED":
        return {"outputs": prod(layer.output), "products": prod(layer.output) * prod(layer.source)}
    if layer.kind == "MEAN":
        return {"outputs": prod(layer.output), "products": prod(layer.source)}
    return {} if layer.kind == "RESHAPE" else {"products": prod(layer.source)}


def candidates(kind: str, source: Shape, counts: Counts) -> Iterator[tuple[float, Known]]:
    """Layers of a kind that may read a tensor, each with how far the counts are from what it would run.

    Args:
        kind: of the layer.
        source: shape of the tensor.
        counts: as they were measured.

    Yields:
        A sum of differences, 0 where all is as it must be; and the layer.
    """
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", *POOLS):
        for guess in _windows(kind, source):
            pixels = len(guess.rows) * len(guess.columns)
            channels = round(counts.get("outputs", 0) / pixels) if kind == "CONV_2D" else source[2]
            if channels:
                yield _far(windowed_counts(guess, channels), counts), _windowed(guess, channels)
        return
    for layer in _plain(kind, source, counts):
        yield _far(counts_of(layer), counts), layer


def _plain(kind: str, source: Shape, counts: Counts) -> Iterator[Known]:
    if kind == "FULLY_CONNECTED":
        units = counts.get("outputs", 0)
        yield Known(kind, source, (units,), units * prod(source))
    elif kind == "MEAN":
        yield Known(kind, source, source[-1:])
    elif kind == "RESHAPE":
        yield Known(kind, source, (prod(source),))
    else:
        yield Known(kind, source, source)


def _windowed(guess: Guess, channels: int) -> Known:
    text = f"{guess.window[0]}x{guess.window[1]} stride {guess.stride} {guess.padding}"
    macs = 0 if guess.kind in POOLS else guess.macs(channels)
    return Known(guess.kind, guess.source, guess.output(channels), macs, text)


@cache
def _windows(kind: str, source: Shape) -> tuple[Guess, ...]:
    if len(source) != 3:
        return ()
    if kind not in POOLS:
        return tuple(guess for guess in guesses(source) if guess.kind == kind)
    height, width, _ = source
    sizes = [(n, n) for n in range(2, LARGEST_POOL + 1)] + [(height, width), (height, 1), (1, width)]
    made = [
        Guess(kind, source, size, stride, padding)
        for size in sizes for stride in range(1, LARGEST_POOL + 1) for padding in ("VALID", "SAME")
        if size[0] <= height and size[1] <= width
    ]  # fmt: skip
    return tuple({(g.window, g.rows, g.columns): g for g in reversed(made) if g.rows and g.columns}.values())


def _far(wanted: Counts, found: Counts) -> float:
    """What runs at borders runs seldom, so that noise hides it: it only tells layers apart that are else the same."""
    total = 0.0
    for name, count in wanted.items():
        if name in found:
            scale = wanted["pixels"] / LIGHT if name in BORDERS else max(count, 1)
            total += abs(found[name] - count) / scale
    return total
