"""Surrogate gradients: what stands for the derivative of a staircase, which is zero almost everywhere.

``straight_through`` (the default) lets gradients pass where the output was not clamped (Bengio, Leonard and Courville,
"Estimating or propagating gradients through stochastic neurons", 2013). ``smooth`` lets them fade out beyond the clamp
instead of cutting them off, so that saturated units can still be moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor

Surrogate = Literal["straight_through", "smooth"]
FADE = 0.1
"""With ``smooth``: the gradient falls to 1/e this share of the range beyond the clamp."""

_CURRENT: ContextVar[Surrogate] = ContextVar("surrogate", default="straight_through")


@contextmanager
def surrogate(kind: Surrogate) -> Iterator[None]:
    """Use this surrogate for forward passes within the block (the choice is made when the graph is recorded)."""
    token = _CURRENT.set(kind)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_surrogate() -> Surrogate:
    """The surrogate in use."""
    return _CURRENT.get()


def window(values: Tensor, low: float, high: float) -> Tensor:
    """How much gradient passes at each value.

    Args:
        values: before clamping, any shape and number type.
        low: smallest value after clamping.
        high: largest value after clamping.

    Returns:
        bool (straight-through) or float32 in [0, 1] (smooth), the shape of values.
    """
    if _CURRENT.get() == "straight_through":
        return (values >= low) & (values <= high)
    beyond = torch.clamp_min(torch.maximum(low - values, values - high), 0)
    return torch.exp(-beyond.to(torch.float32) / (FADE * (high - low)))
