"""Four ways to a direction in which an int8 model changes, for comparison and to find out gradients that mislead.

The function that the device computes is a staircase: its derivative is zero almost everywhere. `backward` puts a
surrogate in its place (straight-through or smoothed); `coordinate_differences` and `spsa` measure how the staircase
itself rises over steps of the input grid, and so need no surrogate and no derivative at all.

Source of `spsa`: Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient
approximation", IEEE Transactions on Automatic Control 37, 1992; against defended networks: Uesato, O'Donoghue, van den
Oord, Kohli, "Adversarial risk and the dangers of evaluating against weak attacks", ICML 2018.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.random import Generator
from torch import Tensor

from tinymlsec.lift.surrogate import Surrogate, surrogate

Values = Callable[[Tensor], Tensor]
"""(n, ...) codes to (n,) values, one for each input."""
BATCH = 64
"""Evaluations that go through the function together."""


def backward(values: Values, codes: Tensor, kind: Surrogate = "straight_through") -> Tensor:
    """Gradient by backpropagation through a surrogate of the staircase.

    Args:
        values: the function.
        codes: (n, ...) float32.
        kind: which surrogate stands for the derivative of rounding and clamping.

    Returns:
        (n, ...) float32.
    """
    at = codes.detach().clone().requires_grad_()
    with surrogate(kind), torch.enable_grad():
        (gradient,) = torch.autograd.grad(values(at).sum(), at)
    return gradient.detach()


def coordinate_differences(values: Values, codes: Tensor, *, step: float = 1.0) -> Tensor:
    """Central differences along every coordinate: two evaluations per coordinate and input, exact and slow.

    Args:
        values: the function.
        codes: (n, ...) float32.
        step: distance to either side, in codes; below half an input step the staircase does not move at all.

    Returns:
        (n, ...) float32, change per code.
    """
    return torch.stack([_differences_of_one(values, one, step) for one in codes.detach()])


def _differences_of_one(values: Values, one: Tensor, step: float) -> Tensor:
    slopes = torch.empty(one.numel())
    for start in range(0, one.numel(), BATCH // 2):
        places = torch.arange(start, min(start + BATCH // 2, one.numel()))
        moves = torch.zeros(len(places), one.numel())
        moves[torch.arange(len(places)), places] = step
        slopes[places] = _slopes(values, one, moves.reshape(-1, *one.shape)) / (2 * step)
    return slopes.reshape(one.shape)


def spsa(values: Values, codes: Tensor, rng: Generator, *, step: float = 1.0, draws: int = 64) -> Tensor:
    """Simultaneous perturbation: slopes along random sign vectors, averaged.

    Args:
        values: the function.
        codes: (n, ...) float32.
        rng: draws the signs.
        step: distance to either side in codes.
        draws: sign vectors per input; each costs two evaluations. The direction's error falls with their square root.

    Returns:
        (n, ...) float32, an unbiased estimate where the function is linear.
    """
    return torch.stack([_spsa_of_one(values, one, rng, step, draws) for one in codes.detach()])


def _spsa_of_one(values: Values, one: Tensor, rng: Generator, step: float, draws: int) -> Tensor:
    total = torch.zeros_like(one)
    for start in range(0, draws, BATCH // 2):
        count = min(BATCH // 2, draws - start)
        drawn = 2 * rng.integers(0, 2, (count, *one.shape), dtype="int8") - 1
        signs = torch.from_numpy(drawn).to(torch.float32)
        slopes = _slopes(values, one, step * signs) / (2 * step)
        total += torch.tensordot(slopes, signs, dims=1)
    return total / draws


@torch.no_grad()
def _slopes(values: Values, one: Tensor, moves: Tensor) -> Tensor:
    """(k,) value at one + move minus that at one - move."""
    both = values(torch.cat([one + moves, one - moves]))
    return both[: len(moves)] - both[len(moves) :]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """(n,) cosine of the angle between gradients, 0 where one of them vanishes.

    Args:
        a: (n, ...).
        b: (n, ...).
    """
    flat_a, flat_b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    return torch.nn.functional.cosine_similarity(flat_a, flat_b, dim=1, eps=1e-30)
