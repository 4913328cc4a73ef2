"""What a sample may show of one step of a sum, as a function of a guessed weight and what is known already.

All are Hamming weights or distances of 32-bit registers: of the sum, of its change, of the weight as it is loaded, of
the product where the kernel forms it apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Guess = NDArray[np.int32]
Feature = Callable[[Guess, Guess, Guess, Guess], NDArray[np.uint8]]
"""(sum after, sum before, weight, factor), which broadcast -> bits."""


def bits(values: Guess) -> NDArray[np.uint8]:
    """Hamming weight of 32-bit words in two's complement."""
    counted: NDArray[np.uint8] = np.bitwise_count(values.view(np.uint32))
    return counted


def _weight_of_sum(after: Guess, before: Guess, weight: Guess, factor: Guess) -> NDArray[np.uint8]:
    return bits(after)


def _distance_of_sums(after: Guess, before: Guess, weight: Guess, factor: Guess) -> NDArray[np.uint8]:
    return bits(after ^ before)


def _weight_of_load(after: Guess, before: Guess, weight: Guess, factor: Guess) -> NDArray[np.uint8]:
    return bits(np.ascontiguousarray(np.broadcast_to(weight, after.shape)))


def _weight_of_product(after: Guess, before: Guess, weight: Guess, factor: Guess) -> NDArray[np.uint8]:
    return bits(after - before)


FEATURES: Mapping[str, Feature] = {
    "hw_sum": _weight_of_sum,
    "hd_sum": _distance_of_sums,
    "hw_product": _weight_of_product,
    "hw_weight": _weight_of_load,
}
