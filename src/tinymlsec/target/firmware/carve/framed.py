"""Compressed streams that begin with a header of their own, anywhere in a run of bytes.

zlib (RFC 1950), gzip (RFC 1952), members of zip archives, bzip2, xz, LZMA alone, LZ4 frames. A header of two or three
bytes also occurs by chance, so what follows has to unpack.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.carve import lz4, unpack
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.hits import Stream
from tinymlsec.target.firmware.carve.limits import MAX_STREAMS, MIN_UNPACKED

_MAGIC: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("gzip", re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")),
    ("zip", re.compile(rb"PK\x03\x04[\x00-\x3f]\x00.[\x00-\x0f]\x08\x00", re.DOTALL)),
    ("bzip2", re.compile(rb"BZh[1-9]1AY&SY")),
    ("xz", re.compile(rb"\xfd7zXZ\x00\x00[\x00\x01\x04\x0a]")),
    ("lzma", re.compile(rb"\x5d\x00\x00[\x00-\xff][\x00-\x08](?:\xff{8}|[\x00-\xff]{3}[\x00-\x07]\x00{4})")),
    ("lz4", re.compile(rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18")),
    ("zstd", re.compile(rb"\x28\xb5\x2f\xfd[\x00-\xff]{2}")),
)
_ZIP_NAMES = struct.Struct("<HH")


def find_framed(data: bytes, budget: Budget) -> Iterator[Stream]:
    """Streams in order of place, none of them inside another.

    Args:
        data: what is searched.
        budget: ends the search, and bounds what is unpacked.
    """
    view, end, found = memoryview(data), 0, 0
    for at, kind in _candidates(data):
        if at < end:
            continue
        if found >= MAX_STREAMS:
            budget.skip(f"compressed streams from 0x{at:x} on: {found} were found before")
        if found >= MAX_STREAMS or budget.ended(f"compressed streams from 0x{at:x} on"):
            return
        stream = open_stream(kind, view, at, budget)
        if stream is not None and len(stream.data) >= MIN_UNPACKED:
            found, end = found + 1, at + stream.stored
            yield stream


def _candidates(data: bytes) -> list[tuple[int, str]]:
    places = [(match.start(), kind) for kind, pattern in _MAGIC for match in pattern.finditer(data)]
    places += [(at, "zlib") for at in _zlib_heads(np.frombuffer(data, np.uint8)).tolist()]
    return sorted(places)


def _zlib_heads(raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Places of the two bytes that a zlib stream begins with: method 8, a check modulo 31, no preset dictionary."""
    if len(raw) < 8:
        return np.empty(0, np.int64)
    likely = np.flatnonzero((raw[:-7] & 0x8F) == 8)
    first, second, third = (raw[likely + k].astype(np.uint16) for k in range(3))
    good = ((first << 8 | second) % 31 == 0) & (second & 0x20 == 0) & (third & 6 != 6)
    places: NDArray[np.int64] = likely[good]
    return places


def open_stream(kind: str, view: memoryview, at: int, budget: Budget) -> Stream | None:
    """Unpacks a stream, if one begins there.

    Args:
        kind: gzip, zip, bzip2, xz, lzma, lz4, zstd or zlib.
        view: with the stream.
        at: where it begins.
        budget: bounds what is unpacked.
    """
    if kind == "zstd":
        budget.skip(f"a Zstandard frame may begin at 0x{at:x}: there is no decoder for it in Python's standard library")
        return None
    if kind == "lz4":
        return lz4.unpack_frame(view, at, budget.unpacked)
    start = at
    if kind == "zip":
        start, kind = (
            at + 30 + sum(_ZIP_NAMES.unpack_from(view, at + 26)) if at + 30 <= len(view) else at,
            "raw-deflate",
        )
    if not unpack.begins(kind, view[start:]):
        return None
    stream = unpack.unpack(kind, view, start, budget.unpacked)
    if start == at:
        return stream
    return Stream("zip", at, stream.stored + start - at if stream.stored else 0, stream.data, stream.whole)
