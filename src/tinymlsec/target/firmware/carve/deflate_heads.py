"""Places at which a raw deflate stream may begin, tested all at once.

A stream that is worth compressing begins with a block of dynamic codes, whose header describes the code that the codes
are written in. Its lengths must make a complete prefix code (Kraft's sum is one). Of random places one in some hundred
passes, so what is left can be given to the decompressor one by one.

Format: RFC 1951, section 3.2.7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DYNAMIC = 4
"""The two bits of the block's type, as they lie in the first byte."""
_MOST_CODES = 29
"""Largest count of literal codes above 257, and of distance codes above 1."""
_SHARES = np.array([0, 64, 32, 16, 8, 4, 2, 1], np.uint16)
"""Share of the code space that a code of a length takes, in 1/128."""
_FOUR = sum(_SHARES[np.arange(4096) >> 3 * k & 7] for k in range(4))
"""Shares of four codes, by the twelve bits of their lengths."""


def deflate_heads(data: bytes, start: int, end: int) -> NDArray[np.int64]:
    """Places of possible starts.

    Args:
        data: what is searched.
        start: first place that is looked at.
        end: place after the last one.

    Returns:
        (n,) places in order.
    """
    end = min(end, len(data) - 10)
    if end <= start:
        return np.empty(0, np.int64)
    raw = np.frombuffer(data, np.uint8, end - start + 2, start)
    first, second = raw[:-2], raw[1:-1]
    fits = ((first & 6) == _DYNAMIC) & (first >> 3 <= _MOST_CODES) & (second & 31 <= _MOST_CODES)
    places = np.flatnonzero(fits)
    words: NDArray[np.uint64] = np.ndarray((end - start,), "<u8", data, start + 2, (1,))
    word = words[places]
    count = ((second[places] >> 5) | (word & np.uint64(1)).astype(np.uint8) << 3).astype(np.uint64) + np.uint64(4)
    lengths = (word >> np.uint64(1)) & ((np.uint64(1) << np.uint64(3) * count) - np.uint64(1))
    total = np.zeros(len(places), np.uint16)
    for part in range(5):
        total += _FOUR[(lengths >> np.uint64(12 * part) & np.uint64(0xFFF)).astype(np.intp)]
    found: NDArray[np.int64] = places[total == 128].astype(np.int64) + start
    return found
