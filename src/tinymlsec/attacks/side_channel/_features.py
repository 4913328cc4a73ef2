"""What a sample may show of one step of a sum, as a function of guessed weights and what is known already.

A step adds one product, or two at once where the kernel uses the DSP extension. All features are Hamming weights or
distances of 32-bit registers: of the sum, of its change, of the weights as they are loaded or widened, of the product
where the kernel forms it apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.int32]
Feature = Callable[[Words, Words, Words], NDArray[np.uint8]]
"""(sum after, sum before, weights as a word), which broadcast -> bits."""


def bits(values: Words) -> NDArray[np.uint8]:
    """Hamming weight of 32-bit words in two's complement."""
    counted: NDArray[np.uint8] = np.bitwise_count(values.view(np.uint32))
    return counted


def loaded_word(weights: Words) -> Words:
    """The register that holds the weights of a step.

    Args:
        weights: (..., 1) a weight, sign-extended to 32 bits, or (..., 2) a pair, each sign-extended to 16 bits.
    """
    if weights.shape[-1] == 1:
        return np.ascontiguousarray(weights[..., 0])
    low, high = weights[..., 0].astype(np.uint32) & 0xFFFF, weights[..., 1].astype(np.uint32) << 16
    return np.ascontiguousarray((low | high).view(np.int32))


def _of_sum(after: Words, before: Words, word: Words) -> NDArray[np.uint8]:
    return bits(after)


def _of_change(after: Words, before: Words, word: Words) -> NDArray[np.uint8]:
    return bits(after ^ before)


def _of_both(after: Words, before: Words, word: Words) -> NDArray[np.uint8]:
    both: NDArray[np.uint8] = bits(after) + bits(after ^ before)
    return both


def _of_load(after: Words, before: Words, word: Words) -> NDArray[np.uint8]:
    return bits(np.ascontiguousarray(np.broadcast_to(word, after.shape)))


def _of_product(after: Words, before: Words, word: Words) -> NDArray[np.uint8]:
    return bits(after - before)


FEATURES: Mapping[str, Feature] = {
    "hw_sum": _of_sum,
    "hd_sum": _of_change,
    "hw_product": _of_product,
    "hw_hd_sum": _of_both,
    "hw_weight": _of_load,
}
