"""The handwritten digits of scikit-learn, split once and for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from windows import Array

SPLIT_SEED = 20240711
"""Chooses the split; another value is another example."""

HELD_OUT_PER_CLASS = 59
"""590 held-out images: 500 and more are what a flips-to-chance figure asks for, with room for a search batch."""

PIXEL_MAX = 16.0
"""A pixel counts the set dots in a block of 4 x 4, so it runs from 0 to 16."""


@dataclass(frozen=True)
class Digits:
    """Images (n, 8, 8, 1) float32 in 0..16 and labels (n,) int64."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def load() -> Digits:
    """The 1797 images that scikit-learn ships, in a stratified split that depends on nothing but SPLIT_SEED."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # only this script needs it

    bunch = load_digits()
    x = bunch.images.astype(np.float32)[..., None]
    y = bunch.target.astype(np.int64)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(y))
    held_out = np.concatenate([order[y[order] == digit][:HELD_OUT_PER_CLASS] for digit in range(10)])
    test = order[np.isin(order, held_out)]
    train = order[~np.isin(order, held_out)]
    return Digits(x[train], y[train], x[test], y[test])
