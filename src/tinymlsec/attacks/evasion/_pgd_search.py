"""Projected gradient descent on the input grid of a lifted model, in lockstep over all inputs.

Source: Madry, Makelov, Schmidt, Tsipras, Vladu, "Towards deep learning models resistant to adversarial attacks", ICLR
2018; the margin as loss: Carlini and Wagner, "Towards evaluating the robustness of neural networks", IEEE S&P 2017;
a step that shrinks: Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", ICML 2020. Written from the papers; what differs is said in `pgd_search`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tinymlsec._lazy import np, torch
from tinymlsec.attacks._asking import blocks

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor

    from tinymlsec.attacks._white_box import Loss, WhiteBox
    from tinymlsec.target.space import Codes, InputSpace

    Rows = NDArray[np.intp]
    Direction = Callable[[Tensor, NDArray[np.int64], Loss], Tensor]

Norm = Literal["linf", "l2"]
LOSSES: tuple[Loss, ...] = ("margin", "cross-entropy")
"""Losses of the restarts in turn."""
FIRST_STEP, LAST_STEP = 1.0, 0.05
"""Step at the start and at the end as shares of eps, on a half cosine in between."""


@dataclass(frozen=True)
class Reach:
    """How far an input may be moved."""

    norm: Norm
    size: float
    """Largest change of one value, or of the Euclidean length, in input steps."""


@dataclass(frozen=True)
class PgdResult:
    """What the search reached on every input."""

    codes: Codes
    """(n, ...) the first wrong, or else the closest, candidate of each input; all within reach and bounds."""
    broken: NDArray[np.bool_]
    """(n,) the lifted model decides wrongly on it."""
    passes: NDArray[np.int64]
    """(n,) evaluations of the model that the input cost."""
    losses: NDArray[np.intp]
    """(n,) restart that broke it; -1 where none did."""


def pgd_search(
    box: WhiteBox,
    x: Codes,
    labels: NDArray[np.int64],
    rng: Generator,
    *,
    reach: Reach,
    steps: int,
    restarts: int,
    direction: Direction | None = None,
    progress: Callable[[int], None] = lambda steps: None,
) -> PgdResult:
    """Look for a wrong decision within reach of every input.

    Iterates are real numbers, and each is rounded to codes before the model sees it, so that steps smaller than one
    input step add up. The rounded point never leaves the ball nor the bounds. The first restart begins at the input
    itself, the others at random points; losses take turns. An input leaves the search with its first wrong decision.

    Args:
        box: the lifted model.
        x: (n, ...) codes that are decided correctly.
        labels: (n,) correct decisions.
        rng: all randomness.
        reach: norm and size.
        steps: gradient steps of each restart.
        restarts: how often to begin anew, at least 1.
        direction: another source of gradients, (codes, labels, loss) -> gradient of the loss; None for the surrogate.
        progress: called after each step with the number of inputs that took it.
    """
    parts: list[PgdResult] = []
    for here in blocks(len(x), math.prod(x.shape[1:])):
        block = _Block(box, x[here], labels[here], reach, rng)
        for restart in range(restarts):
            block.descend(restart, steps, direction, progress)
        parts.append(block.result(x.dtype))
    if not parts:
        return PgdResult(x.copy(), np.zeros(0, bool), np.zeros(0, np.int64), np.zeros(0, np.intp))
    return PgdResult(
        np.concatenate([p.codes for p in parts]),
        np.concatenate([p.broken for p in parts]),
        np.concatenate([p.passes for p in parts]),
        np.concatenate([p.losses for p in parts]),
    )


class _Block:
    """State of the search on the inputs that are attacked together."""

    def __init__(self, box: WhiteBox, x: Codes, labels: NDArray[np.int64], reach: Reach, rng: Generator) -> None:
        self.box, self.labels, self.rng = box, labels, rng
        self.origin = torch.from_numpy(x.astype(np.float32))
        self.ball = Ball(box.space, reach)
        self.best = self.origin.clone()
        self.margins = np.full(len(x), np.inf)
        self.broken = np.zeros(len(x), bool)
        self.passes = np.zeros(len(x), np.int64)
        self.losses = np.full(len(x), -1, np.intp)

    def descend(self, restart: int, steps: int, direction: Direction | None, progress: Callable[[int], None]) -> None:
        """One restart on all inputs that still stand."""
        loss = LOSSES[restart % len(LOSSES)]
        rows = np.flatnonzero(~self.broken)
        if rows.size == 0:
            return
        change = self.ball.start(self.origin[rows], self.rng) if restart else torch.zeros_like(self.origin[rows])
        for step in range(steps + 1):
            codes = self.ball.codes(self.origin[rows], change)
            last = step == steps
            given = None if last or direction is not None else loss
            answers = self.box.ask(codes, self.labels[rows], given)
            self._keep(rows, codes, answers.margins, answers.wrong, restart)
            left = np.flatnonzero(~answers.wrong)
            progress(len(rows))
            if last or left.size == 0:
                return
            rows, kept = rows[left], torch.from_numpy(left)
            if direction is not None:
                gradient = direction(codes[kept], self.labels[rows], loss)
            else:
                assert answers.gradient is not None
                gradient = answers.gradient[kept]
            share = LAST_STEP + (FIRST_STEP - LAST_STEP) * 0.5 * (1 + math.cos(math.pi * step / steps))
            stride = share * self.ball.radius * self.ball.unit(self._alive(gradient))
            change = self.ball.project(self.origin[rows], change[kept] + stride)

    def _alive(self, gradient: Tensor) -> Tensor:
        """Random directions where a gradient vanishes altogether."""
        dead = (gradient.flatten(1) == 0).all(dim=1)
        if bool(dead.any()):
            gradient = gradient.clone()
            drawn = self.rng.standard_normal((int(dead.sum()), *gradient.shape[1:]), dtype=np.float32)
            gradient[dead] = torch.from_numpy(drawn)
        return gradient

    def _keep(
        self, rows: Rows, codes: Tensor, margins: NDArray[np.float64], wrong: NDArray[np.bool_], restart: int
    ) -> None:
        self.passes[rows] += 1
        better = wrong | (margins < self.margins[rows])
        self.best[rows[better]] = codes[torch.from_numpy(better)]
        self.margins[rows[better]] = margins[better]
        self.broken[rows] |= wrong
        self.losses[rows[wrong]] = restart

    def result(self, dtype: np.dtype[np.generic]) -> PgdResult:
        """What was reached."""
        return PgdResult(self.best.numpy().astype(dtype), self.broken, self.passes, self.losses)


class Ball:
    """All points within reach of an input and within the bounds of the space.

    Args:
        space: grid and bounds.
        reach: norm and size in input steps.
    """

    def __init__(self, space: InputSpace, reach: Reach) -> None:
        self.space, self.norm, self.radius = space, reach.norm, reach.size * space.step

    def start(self, origin: Tensor, rng: Generator) -> Tensor:
        """Random changes within the ball, in the shape of origin."""
        if self.norm == "linf":
            drawn = rng.uniform(-self.radius, self.radius, tuple(origin.shape)).astype(np.float32)
            return self.project(origin, torch.from_numpy(drawn))
        drawn = rng.standard_normal(tuple(origin.shape), dtype=np.float32)
        return self.project(origin, self.radius * self.unit(torch.from_numpy(drawn)))

    def unit(self, gradient: Tensor) -> Tensor:
        """The steepest direction of length 1 in the norm of the ball."""
        if self.norm == "linf":
            return torch.sign(gradient)
        return gradient / _lengths(gradient).clamp_min(1e-30)

    def project(self, origin: Tensor, change: Tensor) -> Tensor:
        """The change brought back into ball and bounds (real numbers).

        Where an input lies outside of the bounds itself, staying within reach comes before returning into them.
        """
        low = (self.space.low - origin).clamp_max(0)
        high = (self.space.high - origin).clamp_min(0)
        inside = torch.minimum(torch.maximum(change, low), high)
        if self.norm == "linf":
            return inside.clamp(-self.radius, self.radius)
        return inside * (self.radius / _lengths(inside).clamp_min(1e-30)).clamp_max(1.0)

    def codes(self, origin: Tensor, change: Tensor) -> Tensor:
        """The codes nearest to origin + change that lie within ball and bounds; change must have been projected."""
        if not self.space.is_grid:
            return origin + change
        if self.norm == "linf":
            return origin + torch.round(change)  # radius and bounds are whole numbers
        return origin + self._round_within(change)

    def _round_within(self, change: Tensor) -> Tensor:
        """Whole changes about as long as the real ones, and at most the radius.

        Fractions above a bar are rounded up; bisection finds the lowest bar at which the length fits. Rounding to the
        nearest would turn a short change that is spread over many values into none at all.
        """
        size = change.abs()
        whole, fraction = size.floor(), size - size.floor()
        longest = (_lengths(change) * (1 + 1e-4)).clamp_max(self.radius)
        low, high = torch.zeros_like(longest), torch.ones_like(longest)
        for _ in range(14):
            middle = (low + high) / 2
            fits = _lengths(whole + (fraction >= middle)) <= longest
            low, high = torch.where(fits, low, middle), torch.where(fits, middle, high)
        return torch.sign(change) * (whole + (fraction >= high))


def _lengths(change: Tensor) -> Tensor:
    """(n, 1, ...) Euclidean lengths."""
    lengths: Tensor = torch.linalg.vector_norm(change.flatten(1), dim=1)
    return lengths.reshape(len(change), *[1] * (change.dim() - 1))
