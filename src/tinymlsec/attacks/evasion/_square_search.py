"""The search of the Square attack, in lockstep over all inputs: one batch of queries per iteration.

Source: Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box adversarial attack via
random search", ECCV 2020, algorithms 1 and 2. Written from the paper; what differs is said in `search`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec._lazy import np
from tinymlsec.attacks._asking import blocks

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.target.space import Codes, InputSpace

    Signs = NDArray[np.int8]
    Rows = NDArray[np.intp]
    Ask = Callable[[Codes, Rows], tuple[NDArray[np.float64], NDArray[np.bool_]]]

HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the query budget after which the squares' area is halved (the authors' schedule, made relative)."""


@dataclass(frozen=True)
class SearchResult:
    """What the search reached on every input."""

    codes: Codes
    """(n, ...) the best candidate of each input, in its shape."""
    broken: NDArray[np.bool_]
    """(n,) the decision was wrong on it."""
    queries: NDArray[np.int64]
    """(n,) candidates the model was asked for, the first one included."""


def canvas_of(shape: tuple[int, ...], frames: bool) -> tuple[int, int, int]:
    """The (height, width, channels) on which squares are laid for an input of this shape.

    Images and spectrograms with channels are taken as they are, (h, w) gets one channel, and in a vector squares are
    segments. A sequence of frames is a spectrogram: time runs along the height, the last axis along the width.
    """
    if frames:
        return math.prod(shape[:-1]), shape[-1], 1
    if len(shape) <= 1:
        return math.prod(shape), 1, 1
    if len(shape) == 2:
        return shape[0], shape[1], 1
    return math.prod(shape[:-2]), shape[-2], shape[-1]


def area_share(query: int, max_queries: int, p_init: float) -> float:
    """Share of the canvas that a square covers at the given query (the first square is query 1)."""
    passed = sum(query > share * max_queries for share in HALVINGS)
    return p_init / 2.0**passed


def window_of(canvas: tuple[int, int, int], share: float) -> tuple[int, int]:
    """(height, width) of the square of that share; on a narrow canvas it is made longer to keep its area."""
    height, width, _ = canvas
    area = share * height * width
    side = max(1, round(math.sqrt(area)))
    if width <= height:
        across = min(side, width)
        return min(height, max(1, round(area / across))), across
    across = min(side, height)
    return across, min(width, max(1, round(area / across)))


def search(
    ask: Ask,
    space: InputSpace,
    x: Codes,
    rng: Generator,
    *,
    eps_steps: int,
    max_queries: int,
    p_init: float,
    frames: bool = False,
    progress: Callable[[int], None] = lambda queries: None,
) -> SearchResult:
    """Look for a wrong decision within ``eps_steps`` of every input.

    Every candidate lies on a corner of the box around its input, as in the paper: each value is the original plus or
    minus eps, clipped into the bounds of the space. Two things differ from the paper. Candidates that are exactly as
    good as the best so far are accepted: the scores of an int8 model come in few steps and saturate, so the margin has
    plateaus that a search which insists on improvement never leaves. And a square that would change nothing gets the
    opposite sign instead of being drawn again.

    Args:
        ask: margins (k,) and "is wrong" (k,) for candidates of the given rows of x.
        space: grid and bounds of the inputs.
        x: (n, ...) inputs that are decided correctly.
        rng: all randomness.
        eps_steps: largest change of a value in input steps.
        max_queries: candidates per input, the first one (stripes) included.
        p_init: share of the canvas that the first squares cover.
        frames: the first axis of an input is time.
        progress: called with the number of queries since the last call.
    """
    shape = x.shape[1:]
    parts: list[SearchResult] = []
    for here in blocks(len(x), math.prod(shape)):
        block = _Block(space, x[here], canvas_of(shape, frames), eps_steps, rng)
        block.run(lambda codes, k, here=here: ask(codes, here[k]), max_queries, p_init, progress)  # type: ignore[misc]
        parts.append(SearchResult(block.candidates(np.arange(len(here))), block.broken, block.queries))
    if not parts:
        return SearchResult(x.copy(), np.zeros(0, bool), np.zeros(0, np.int64))
    return SearchResult(
        np.concatenate([p.codes for p in parts]),
        np.concatenate([p.broken for p in parts]),
        np.concatenate([p.queries for p in parts]),
    )


class _Block:
    """State of the search on the inputs that are attacked together."""

    def __init__(
        self, space: InputSpace, x: Codes, canvas: tuple[int, int, int], eps_steps: int, rng: Generator
    ) -> None:
        self.space, self.rng, self.canvas = space, rng, canvas
        self.shape = x.shape[1:]
        self.origin = x.reshape(len(x), *canvas).astype(np.float32)
        self.reach = np.float32(eps_steps * space.step)
        self.strays = bool(((self.origin < space.low) | (self.origin > space.high)).any())
        self.signs = stripes(rng, len(x), canvas)
        self.best = np.full(len(x), np.inf)
        self.broken = np.zeros(len(x), bool)
        self.queries = np.zeros(len(x), np.int64)

    def candidates(self, rows: Rows, signs: Signs | None = None) -> Codes:
        """Codes of the given rows with the given (or their best) signs.

        Where an input lies outside of the bounds itself, staying within eps comes before returning into the bounds.
        """
        origin = self.origin[rows]
        codes = self.space.clip(origin + self.reach * (self.signs[rows] if signs is None else signs))
        if self.strays:
            codes = np.clip(codes, origin - self.reach, origin + self.reach).astype(codes.dtype)
        return codes.reshape(len(rows), *self.shape)

    def run(self, ask: Ask, max_queries: int, p_init: float, progress: Callable[[int], None]) -> None:
        """Stripes first, then squares, until every input is broken or has spent its queries."""
        self._try(ask, np.arange(len(self.origin)), self.signs, progress)
        for query in range(1, max_queries):
            rows = np.flatnonzero(~self.broken)
            if rows.size == 0:
                return
            window = window_of(self.canvas, area_share(query, max_queries, p_init))
            self._try(ask, rows, squares(self.rng, self.signs[rows], window), progress)

    def _try(self, ask: Ask, rows: Rows, signs: Signs, progress: Callable[[int], None]) -> None:
        margins, wrong = ask(self.candidates(rows, signs), rows)
        self.queries[rows] += 1
        progress(len(rows))
        keep = wrong | (margins <= self.best[rows])
        self.signs[rows[keep]] = signs[keep]
        self.best[rows[keep]] = margins[keep]
        self.broken[rows] |= wrong


def stripes(rng: Generator, n: int, canvas: tuple[int, int, int]) -> Signs:
    """(n, h, w, c) starting signs: stripes of width one down the canvas; in a vector every value has its own."""
    height, width, channels = canvas
    drawn = _signs(rng, (n, height, 1, channels) if width == 1 else (n, 1, width, channels))
    return np.broadcast_to(drawn, (n, *canvas)).copy()


def squares(rng: Generator, signs: Signs, window: tuple[int, int]) -> Signs:
    """The signs with one new square each, of random place and one random sign per channel.

    Args:
        rng: randomness.
        signs: (k, h, w, c) of -1 and 1; not changed.
        window: height and width of the squares.
    """
    k, height, width, channels = signs.shape
    inside = _span(rng, k, height, window[0])[:, :, None, None] & _span(rng, k, width, window[1])[:, None, :, None]
    fresh = _signs(rng, (k, 1, 1, channels))
    same = ((signs == fresh) | ~inside).all(axis=(1, 2, 3), keepdims=True)
    return np.where(inside, np.where(same, -fresh, fresh), signs)


def _span(rng: Generator, k: int, length: int, extent: int) -> NDArray[np.bool_]:
    """(k, length) True on `extent` neighboring places, wherever they fit."""
    start = rng.integers(0, length - extent + 1, (k, 1))
    places = np.arange(length)
    return (places >= start) & (places < start + extent)


def _signs(rng: Generator, shape: tuple[int, ...]) -> Signs:
    return (2 * rng.integers(0, 2, shape, dtype=np.int8) - 1).astype(np.int8)
