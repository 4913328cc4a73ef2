"""Repeated XOR keys and known plaintext: XORed with itself one key length further on, a text loses its key."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plaintext = tuple[int | None, ...]
"""Bytes that a file begins with; None where they differ from one to the next."""


def places_of(raw: NDArray[np.uint8], plain: Plaintext, length: int) -> NDArray[np.int64]:
    """Where a plaintext fits under some key.

    Args:
        raw: what is searched.
        plain: at least two of its bytes that lie one key length apart are known.
        length: of the key, bytes.
    """
    size = len(raw) - len(plain)
    if size <= 0:
        return np.empty(0, np.int64)
    places: NDArray[np.int64] | None = None
    # The last sums are the most telling: those of letters, not of zeros. Later ones are only asked where they hold.
    for at in reversed(range(len(plain) - length)):
        first, second = plain[at], plain[at + length]
        if first is None or second is None:
            continue
        if places is None:
            sums = raw[at : at + size] ^ raw[at + length : at + length + size]
            places = np.flatnonzero(sums == (first ^ second))
        else:
            places = places[raw[places + at] ^ raw[places + at + length] == (first ^ second)]
    assert places is not None
    return places


def key_of(raw: NDArray[np.uint8], plain: bytes, within: int) -> NDArray[np.uint8]:
    """The key, as it falls on the first byte of the file.

    Args:
        raw: as many bytes as the key has.
        plain: what they are without the key.
        within: place of these bytes in the file.
    """
    return np.roll(raw ^ np.frombuffer(plain, np.uint8), within % len(plain))


def decode(raw: NDArray[np.uint8], key: NDArray[np.uint8]) -> bytes:
    """The bytes without the key, which begins at the first of them."""
    repeated = np.frombuffer(key.tobytes() * (len(raw) // len(key) + 1), np.uint8)
    return (raw ^ repeated[: len(raw)]).tobytes()


def key_name(key: NDArray[np.uint8]) -> str:
    """Such as ``xor:5a``; in its shortest form."""
    shortest = next(n for n in (1, 2, 4, 8, 16) if n >= len(key) or (key[n:] == key[:-n]).all())
    return f"xor:{key[:shortest].tobytes().hex()}"
