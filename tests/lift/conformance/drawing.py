"""Random scales, zero points, shapes and options for the makers of cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES

Rng = np.random.Generator
T = TypeVar("T")

ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")
TELLING_RATIOS = (0.125, 0.25, 0.5, 1.0, 1.5, 2.0)
"""Ratios of scales that put many values halfway between two codes, where kinds of rounding differ."""


def pick(rng: Rng, options: Sequence[T]) -> T:
    """One of them."""
    return options[int(rng.integers(len(options)))]


def chance(rng: Rng, probability: float) -> bool:
    """True with a probability."""
    return bool(rng.random() < probability)


def scale(rng: Rng, low: float = 0.002, high: float = 0.5) -> float:
    """A scale, log-uniform, in single precision."""
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def near(rng: Rng, value: float, spread: float = 2.0) -> float:
    """A scale within a factor of a value; at times one with many ties."""
    ratio = (
        pick(rng, TELLING_RATIOS) if chance(rng, 0.3) else float(np.exp(rng.uniform(-np.log(spread), np.log(spread))))
    )
    return float(np.float32(value * ratio))


def zero_point(rng: Rng, dtype: str = "int8") -> int:
    """Any zero point of a type; the ends and the middle more often."""
    low, high = INTEGER_RANGES[dtype]
    return pick(rng, (low, high, (low + high + 1) // 2)) if chance(rng, 0.3) else int(rng.integers(low, high + 1))


def shape(rng: Rng, rank: int, largest: int = 5) -> tuple[int, ...]:
    """Sizes of 1 to `largest`."""
    return tuple(int(size) for size in rng.integers(1, largest + 1, rank))


def codes(rng: Rng, size: Sequence[int], dtype: str = "int8") -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Random codes of the whole type."""
    low, high = INTEGER_RANGES[dtype]
    return rng.integers(low, high + 1, tuple(size)).astype(dtype)
