"""Compressed streams under a repeated XOR key, by the bytes that their headers begin with.

gzip (without a time, as packers for firmware write it) under keys of 1, 2 and 4 bytes; LZ4 frames of 1 and 2; zlib of
1, where the second byte leaves four choices and the header of the first block decides.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.framed import open_stream
from tinymlsec.target.firmware.carve.hits import Stream
from tinymlsec.target.firmware.carve.keys import Plaintext, decode, key_name, key_of, places_of
from tinymlsec.target.firmware.carve.limits import MAX_XOR_PLACES, MIN_UNPACKED
from tinymlsec.target.firmware.carve.unpack import begins

_HEADS: tuple[tuple[str, int, Plaintext], ...] = (
    *(("gzip", length, (0x1F, 0x8B, 8, 0, 0, 0, 0, 0)) for length in (1, 2, 4)),
    *(("lz4", length, (0x04, 0x22, 0x4D, 0x18)) for length in (1, 2)),
    *(("zlib", 1, (0x78, second)) for second in (0x01, 0x5E, 0x9C, 0xDA)),
)
_PROBE = 4_096
"""Bytes decoded to see whether a stream begins."""


def find_xored_streams(data: bytes, budget: Budget) -> Iterator[tuple[str, Stream]]:
    """(key, stream) of each stream under a key; its place is that in the data.

    Args:
        data: what is searched.
        budget: ends the search, and bounds what is unpacked.
    """
    raw, end = np.frombuffer(data, np.uint8), 0
    for kind, length, plain in _HEADS:
        known = bytes(each for each in plain[:length] if each is not None)
        places = places_of(raw, plain, length)
        if kind == "zlib":
            places = _dynamic(raw, places, known[0])
        if len(places) > MAX_XOR_PLACES:
            budget.skip(f"{len(places):,} places of {kind} streams under a key: {MAX_XOR_PLACES:,} were looked at")
        for start in places[:MAX_XOR_PLACES].tolist():
            key = key_of(raw[start : start + length], known, 0)
            if start < end or not key.any():
                continue
            if budget.ended(f"{kind} streams under XOR keys"):
                return
            stream = _open(kind, raw[start:], key, budget)
            if stream is not None:
                end = start + stream.stored
                yield key_name(key), Stream(kind, start, stream.stored, stream.data, stream.whole)


def _dynamic(raw: NDArray[np.uint8], places: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Places where a block of dynamic codes follows the two bytes of a zlib header."""
    places = places[places + 4 <= len(raw)]
    key = raw[places] ^ np.uint8(first)
    block, more = raw[places + 2] ^ key, raw[places + 3] ^ key
    fits: NDArray[np.int64] = places[(block & 6 == 4) & (block >> 3 <= 29) & (more & 31 <= 29)]
    return fits


def _open(kind: str, raw: NDArray[np.uint8], key: NDArray[np.uint8], budget: Budget) -> Stream | None:
    if kind != "lz4" and not begins(kind, memoryview(decode(raw[:_PROBE], key))):
        return None
    stream = open_stream(kind, memoryview(decode(raw, key)), 0, budget)
    return stream if stream is not None and len(stream.data) >= MIN_UNPACKED else None
