"""Which blocks of bytes are distributed as trained int8 weights are.

Weights lie around zero, as often above as below, the rarer the larger; their histogram is smooth, and it is the same
whatever the place modulo 4. Code, tables of wider numbers, sound and pictures each miss one of these: instructions
make spikes, and the bytes of a wider number differ by place. The statistics are taken over four blocks at a time, since
one has too few bytes for them.

Distribution of trained weights: Han et al., Deep Compression, ICLR 2016.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

WINDOW = 4
"""Blocks that are looked at together."""
_BANDS = ((1, 12), (12, 30), (30, 64), (64, 127))
"""Magnitudes; 127 is where symmetric quantization puts the largest weight of each channel."""
_SLACK = 1.05
"""How much rarer the next band may fail to be."""
_BALANCE = 0.25
"""Largest difference between the numbers of values above and below zero, as a share."""
_SMOOTH = 2.0
"""Largest mean square of second differences, in units of what counting noise makes of a smooth histogram."""
_ALIKE = 3.0
"""Largest chi-square per degree of freedom of the histograms at places 0 to 3 modulo 4."""
_VALUES = 24
"""Different values that there are at least."""
_ZEROS = 0.5
_MAGNITUDE = np.minimum(np.arange(256), 256 - np.arange(256))
_SIGNED = np.r_[128:256, 0:128]
"""Byte values in the order of the signed numbers that they are."""
_TAILS = 24
"""Values left out at each end, where the largest weights pile up."""


def weight_blocks(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Blocks that lie in four neighboring ones which together look like weights.

    Args:
        counts: (n, 4, 256) histograms of the bytes of each block at places 0 to 3 modulo 4.
    """
    if len(counts) < WINDOW:
        return np.zeros(len(counts), np.bool_)
    starts, each = len(counts) - WINDOW + 1, counts.sum(axis=1)
    whole = sum((each[k : k + starts] for k in range(1, WINDOW)), each[:starts])
    good = _centred(whole)
    good[good] = _smooth(whole[good])
    places = np.flatnonzero(good)
    good[good] = alike(sum((counts[places + k] for k in range(1, WINDOW)), counts[places]))
    flags = np.zeros(len(counts), np.bool_)
    for block in range(WINDOW):
        flags[block : block + len(good)] |= good
    return flags


def _centred(whole: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Balanced around zero, and rarer the larger."""
    above, below = whole[:, 1:128].sum(axis=1), whole[:, 129:].sum(axis=1)
    balanced = np.abs(above - below) < _BALANCE * (above + below)
    density = [whole[:, (low <= _MAGNITUDE) & (high > _MAGNITUDE)].sum(axis=1) / (high - low) for low, high in _BANDS]
    bell = (density[0] > 1.25 * density[2]) & (density[0] >= density[1] / _SLACK)
    for nearer, further in pairwise(density[1:]):
        bell &= nearer >= further / _SLACK
    total = whole.sum(axis=1)
    varied = ((whole > 0).sum(axis=1) >= _VALUES) & (whole[:, 0] < _ZEROS * total)
    flags: NDArray[np.bool_] = balanced & bell & varied
    return flags


def _smooth(whole: NDArray[np.int64]) -> NDArray[np.bool_]:
    """No spikes: instructions and flags make them, zero itself aside."""
    signed = whole[:, _SIGNED][:, _TAILS:-_TAILS].astype(np.float64)
    signed[:, 128 - _TAILS] = (signed[:, 127 - _TAILS] + signed[:, 129 - _TAILS]) / 2
    left, middle, right = signed[:, :-2], signed[:, 1:-1], signed[:, 2:]
    noise = (left + 4 * middle + right).sum(axis=1).clip(1)
    flags: NDArray[np.bool_] = ((left - 2 * middle + right) ** 2).sum(axis=1) / noise < _SMOOTH
    return flags


def alike(windows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether bytes are distributed alike at all places modulo 4, by chi-square over 16 classes of values.

    Args:
        windows: (n, 4, 256) histograms by place.
    """
    classes = windows.reshape(len(windows), 4, 16, 16).sum(axis=3).astype(np.float64)
    total = classes.sum(axis=(1, 2), keepdims=True).clip(1)
    expected = classes.sum(axis=1, keepdims=True) * classes.sum(axis=2, keepdims=True) / total
    terms = np.divide((classes - expected) ** 2, expected, out=np.zeros_like(classes), where=expected > 0)
    freedom = 3 * ((classes.sum(axis=1) > 0).sum(axis=1) - 1).clip(1)
    flags: NDArray[np.bool_] = terms.sum(axis=(1, 2)) / freedom < _ALIKE
    return flags
