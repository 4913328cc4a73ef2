"""What a layer may be: guesses from the shape of its input, and what a kernel would run for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from tinymlsec.attacks.side_channel._arch_nest import Steps
from tinymlsec.attacks.side_channel._arch_profile import Kernel, Skipped

Shape = tuple[int, ...]
"""Without the leading 1 of the batch: (height, width, channels) or (values,)."""
LARGEST_WINDOW = 11
STRIDES = (1, 2, 3, 4)


@dataclass(frozen=True)
class Taps:
    """The part of a window along one axis that lies on the image."""

    before: int
    after: int
    inside: int


@dataclass(frozen=True)
class Guess:
    """A layer with weights but for its number of output channels."""

    kind: str
    source: Shape
    window: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "VALID"

    @cached_property
    def rows(self) -> tuple[Taps, ...]:
        """By output row."""
        return _taps(self.source[0], self.window[0], self.stride, self.padding) if self.windowed else (Taps(0, 0, 1),)

    @cached_property
    def columns(self) -> tuple[Taps, ...]:
        """By output column."""
        return _taps(self.source[1], self.window[1], self.stride, self.padding) if self.windowed else (Taps(0, 0, 1),)

    @property
    def windowed(self) -> bool:
        """It has an image rather than values."""
        return self.kind != "FULLY_CONNECTED"

    @property
    def fixed_channels(self) -> int:
        """Output channels where the input tells them; else 0."""
        return self.source[2] if self.kind == "DEPTHWISE_CONV_2D" else 0

    def view(self, row: int, column: int) -> tuple[Skipped, tuple[int, ...]]:
        """What the kernel leaves out at an output pixel, and its loop counts within a channel."""
        if not self.windowed:
            return (0, 0, 0, 0), (prod(self.source),)
        v, h = self.rows[row], self.columns[column]
        length = h.inside * (self.source[2] if self.kind == "CONV_2D" else 1)
        return (v.before, v.after, h.before, h.after), (v.inside, length)

    def steps(self, kernel: Kernel, row: int, column: int, channels: int, flat: tuple[int, ...] = ()) -> Steps:
        """What the kernel runs at an output pixel; flat: channels whose sums are not shifted."""
        skipped, counts = self.view(row, column)
        return kernel.steps(skipped, (channels, *counts), flat)

    def output(self, channels: int) -> Shape:
        """Shape of the output."""
        return (len(self.rows), len(self.columns), channels) if self.windowed else (channels,)

    def macs(self, channels: int) -> int:
        """Products of the layer as they are usually counted: taps on the border included."""
        depth = prod(self.source) if not self.windowed else self.source[2] if self.kind == "CONV_2D" else 1
        return prod(self.output(channels)) * prod(self.window) * depth


def guesses(source: Shape) -> Iterator[Guess]:
    """All layers with weights that may follow a tensor; those that come to the same are given once."""
    yield Guess("FULLY_CONNECTED", source)
    if len(source) != 3:
        return
    seen = set()
    for kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        for window in _windows(source):
            for stride in STRIDES:
                for padding in ("SAME", "VALID"):
                    guess = Guess(kind, source, window, stride, padding)
                    key = kind, window, guess.rows, guess.columns
                    if guess.rows and guess.columns and key not in seen:
                        seen.add(key)
                        yield guess


def _windows(source: Shape) -> Iterator[tuple[int, int]]:
    for height in range(1, LARGEST_WINDOW + 1):
        for width in range(1, LARGEST_WINDOW + 1):
            if height <= 2 * source[0] and width <= 2 * source[1]:
                yield height, width


def _taps(size: int, window: int, stride: int, padding: str) -> tuple[Taps, ...]:
    count = -(-size // stride) if padding == "SAME" else (size - window) // stride + 1
    if count < 1 or stride > size:
        return ()
    pad = max((count - 1) * stride + window - size, 0) // 2 if padding == "SAME" else 0
    made = []
    for place in range(count):
        start = place * stride - pad
        before, after = max(-start, 0), max(start + window - size, 0)
        if before + after >= window:
            return ()
        made.append(Taps(before, after, window - before - after))
    return tuple(made)


def elements(shape: Sequence[int]) -> int:
    """Values of a tensor."""
    return prod(shape)
