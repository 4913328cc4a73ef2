"""The inner loop of adversarial training: worst inputs within a few steps of the grid, by projected gradient ascent.

Madry, Makelov, Schmidt, Tsipras and Vladu, "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
It works on the codes of the input, so every example that training sees is one that the device could see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor

Loss = Literal["cross_entropy", "margin"]
Scores = Callable[[Tensor], Tensor]
"""Codes (n, ...) to scores (n, k)."""


@dataclass(frozen=True)
class Adversary:
    """How hard training examples are made."""

    radius: int
    """Largest change of any input element, in input steps."""
    steps: int = 5
    """Gradient steps per example."""
    weight: float = 0.5
    """Share of the loss that is on adversarial examples; the rest is on the examples as they are."""
    loss: Loss = "cross_entropy"
    """What is driven up: cross-entropy, or the margin of the best wrong score over the right one."""
    ramp: float = 0.0
    """Share of training over which the radius grows from 0: from the start, hard examples teach nothing."""

    def at(self, progress: float) -> Adversary:
        """The adversary after a share (0 to 1) of training."""
        grown = 1.0 if self.ramp <= 0 else min(progress / self.ramp, 1.0)
        return Adversary(round(self.radius * grown), self.steps, self.weight, self.loss)


def worst_inputs(
    scores: Scores,
    codes: Tensor,
    labels: Tensor,
    adversary: Adversary,
    bounds: tuple[int, int],
    generator: torch.Generator,
) -> Tensor:
    """The last point of a gradient ascent from a random start.

    Args:
        scores: the function under attack.
        codes: (n, ...) float32 integers.
        labels: (n,) int64.
        adversary: radius and steps.
        bounds: smallest and largest code of the input.
        generator: of the random start.

    Returns:
        Codes (n, ...), integers, within the radius and the bounds.
    """
    low, high = ((codes + sign * adversary.radius).clamp(*bounds) for sign in (-1, 1))
    start = torch.randint(-adversary.radius, adversary.radius + 1, codes.shape, generator=generator)
    x = (codes + start).clamp(*bounds)
    size = max(2.5 * adversary.radius / max(adversary.steps, 1), 1.0)
    for _ in range(adversary.steps):
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(_harm(scores(x), labels, adversary.loss), x)
        x = torch.minimum(torch.maximum(x.detach() + size * gradient.sign(), low), high).round()
    return x.detach()


def _harm(scores: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    if loss == "cross_entropy":
        return F.cross_entropy(scores, labels, reduction="sum")
    right = scores.gather(1, labels[:, None])
    others = scores.scatter(1, labels[:, None], -torch.inf)
    return (others.amax(dim=1) - right[:, 0]).sum()


def robust_share(
    scores: Scores,
    codes: Tensor,
    labels: Tensor,
    adversary: Adversary,
    bounds: tuple[int, int],
    *,
    seed: int = 1,
    restarts: int = 1,
    batch: int = 256,
) -> float:
    """Share of samples that are answered right as they are and at every step of every ascent.

    Args:
        scores: the function under attack; its decision is the largest score.
        codes: (n, ...) float32 integers.
        labels: (n,) int64.
        adversary: radius, steps and loss.
        bounds: smallest and largest code of the input.
        seed: of the random starts.
        restarts: ascents for each sample.
        batch: samples at a time.
    """
    generator = torch.Generator().manual_seed(seed)
    stands = 0
    for x, y in zip(torch.split(codes, batch), torch.split(labels, batch), strict=True):
        alive = torch.ones(len(y), dtype=torch.bool)
        watched = _watch(scores, y, alive)
        with torch.no_grad():
            watched(x)
        for _ in range(restarts):
            last = worst_inputs(watched, x, y, adversary, bounds, generator)
            with torch.no_grad():
                watched(last)
        stands += int(alive.sum())
    return stands / len(labels)


def _watch(scores: Scores, labels: Tensor, alive: Tensor) -> Scores:
    """The same scores; samples that are answered wrongly once are struck out of `alive`."""

    def watched(x: Tensor) -> Tensor:
        values = scores(x)
        alive.logical_and_(values.detach().argmax(dim=1) == labels)
        return values

    return watched
