"""Models in compressed streams without any header, found by what a coder leaves of a model's first bytes.

- Raw deflate: the header of its first block is the sign (`deflate_heads`), at every place.
- LZ4 blocks and stored deflate blocks keep the first bytes as they are: where TFL3 lies and no model does, a block may
  begin just before.
- Heatshrink writes TFL3 as four literals, 36 bits at any of eight bit positions; what is before them (a byte and three
  zeros) has a few forms, and window and lookahead are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.deflate_heads import deflate_heads
from tinymlsec.target.firmware.carve.heatshrink import unpack_heatshrink
from tinymlsec.target.firmware.carve.hits import Opening, Stream
from tinymlsec.target.firmware.carve.limits import MAX_STREAMS, MIN_UNPACKED
from tinymlsec.target.firmware.carve.lz4 import unpack_block
from tinymlsec.target.firmware.carve.plain import identifiers, rooted
from tinymlsec.target.firmware.carve.unpack import begins, unpack
from tinymlsec.target.tflite.schema import FILE_IDENTIFIER

_WINDOW = 1 << 20
"""Places that are looked at for deflate blocks between two looks at the clock."""
_HEAD = 4_096
"""Bytes unpacked to see whether a model begins."""
_MOST_EXTRA = 6
"""Bytes that the length of the first literals of an LZ4 block takes; one for each 255."""
MOST_TRIES = 256
"""Places that fit an LZ4 block or a heatshrink stream and are tried."""
_SETTINGS = tuple((window, ahead) for window in range(4, 16) for ahead in range(3, min(window, 9)))
_COMMON = ((8, 4), (11, 4), (10, 5), (10, 4), (9, 4), (12, 4), (13, 4))


def find_raw_deflate(data: bytes, taken: list[tuple[int, int]], budget: Budget) -> Iterator[Stream]:
    """Streams of raw deflate.

    Args:
        data: what is searched.
        taken: (start, end) of streams that are known, in order; nothing is looked for inside them.
        budget: ends the search.
    """
    view, found = memoryview(data), 0
    for start in range(0, len(data), _WINDOW):
        if budget.ended(f"raw deflate streams from 0x{start:x} on"):
            return
        places = deflate_heads(data, start, start + _WINDOW)
        for at in places[_outside(places, taken)].tolist():
            if budget.over or found >= MAX_STREAMS:
                budget.ended(f"raw deflate streams from 0x{at:x} on")
                return
            if at < (taken[-1][1] if taken else 0) and not _outside(np.array([at]), taken)[0]:
                continue
            if begins("raw-deflate", view[at:]):
                stream = unpack("raw-deflate", view, at, budget.unpacked)
                if len(stream.data) >= MIN_UNPACKED:
                    found += 1
                    taken.append((at, at + stream.stored))
                    yield stream


def _outside(places: NDArray[np.int64], taken: list[tuple[int, int]]) -> NDArray[np.bool_]:
    free = np.ones(len(places), np.bool_)
    for start, end in taken:
        free &= (places < start) | (places >= end)
    return free


def find_blocks(data: bytes, budget: Budget) -> Iterator[Opening]:
    """LZ4 blocks and stored deflate blocks that begin with a model.

    Args:
        data: what is searched.
        budget: ends the search.
    """
    view, raw = memoryview(data), np.frombuffer(data, np.uint8)
    starts = identifiers(data, FILE_IDENTIFIER)
    starts = starts[(raw[starts + 2] == 0) & (raw[starts + 3] == 0)]  # the root table is near the start
    found = [each for start in starts.tolist() for each in _blocks_before(view, start)]
    if len(found) > MOST_TRIES:
        budget.skip(f"{len(found):,} places that may be LZ4 or stored deflate blocks: {MOST_TRIES} were looked at")
    for each in found[:MOST_TRIES]:
        if budget.ended("LZ4 blocks and stored deflate blocks"):
            return
        yield each


def _blocks_before(view: memoryview, start: int) -> Iterator[Opening]:
    header = view[max(start - 5, 0) : start]
    if len(header) == 5 and header[0] & 6 == 0 and header[1] ^ header[3] == header[2] ^ header[4] == 0xFF:
        yield Opening("raw-deflate", start - 5, partial(_stored, view, start - 5))
    for extra in range(min(_MOST_EXTRA + 1, start)):
        at = start - 1 - extra
        literals, more = view[at] >> 4, bytes(view[at + 1 : start])
        short = extra == 0 and 8 <= literals < 15
        long = extra > 0 and literals == 15 and more[:-1] == b"\xff" * (extra - 1) and more[-1] < 255
        if short or long:
            yield Opening("lz4-block", at, partial(_lz4, view[at:]))


def _stored(view: memoryview, at: int, most: int) -> tuple[bytes, int]:
    stream = unpack("raw-deflate", view, at, most)
    return stream.data, stream.stored or len(stream.data) + 5


def _lz4(block: memoryview, most: int) -> tuple[bytes, int]:
    out = bytearray()
    _, taken = unpack_block(block, out, most)
    return bytes(out), taken


def find_heatshrink(data: bytes, budget: Budget) -> Iterator[Opening]:
    """Heatshrink streams that begin with a model.

    Args:
        data: what is searched.
        budget: ends the search.
    """
    view = memoryview(data)
    bits = _literals(np.frombuffer(data, np.uint8))
    if len(bits) > MOST_TRIES:
        budget.skip(f"{len(bits):,} places that may be in heatshrink streams: {MOST_TRIES} were looked at")
    for bit in bits[:MOST_TRIES].tolist():
        for window, ahead in dict.fromkeys((*_COMMON, *_SETTINGS)):
            if budget.ended("heatshrink streams"):
                return
            for at in _starts(bit, window, ahead):
                head, _ = unpack_heatshrink(view[at : at + _HEAD], window, ahead, _HEAD)
                if head[4:8] == FILE_IDENTIFIER and rooted(head, np.zeros(1, np.int64))[0]:
                    yield Opening(
                        f"heatshrink:{window},{ahead}", at, partial(unpack_heatshrink, view[at:], window, ahead)
                    )


def _literals(raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Bit positions of TFL3 as four literals: a bit 1 before each byte, the highest bit first."""
    bits = int("".join(f"1{letter:08b}" for letter in FILE_IDENTIFIER), 2)
    found = [np.empty(0, np.int64)]
    for shift in range(8):
        pattern = np.frombuffer((bits << 12 - shift).to_bytes(6, "big"), np.uint8)
        mask = np.frombuffer((((1 << 36) - 1) << 12 - shift).to_bytes(6, "big"), np.uint8)
        places = np.flatnonzero(raw[1 : len(raw) - 5] == pattern[1]) if len(raw) > 6 else np.empty(0, np.int64)
        for k in (2, 3, 0, 4, 5):
            places = places[raw[places + k] & mask[k] == pattern[k]]
        found.append(places * 8 + shift)
    return np.sort(np.concatenate(found))


def _starts(bit: int, window: int, ahead: int) -> Iterator[int]:
    """Places of streams whose literals TFL3 lie at that bit: before them four, or fewer and zeros referred to."""
    reference = 1 + window + ahead
    for before in (36, 9 + reference, 18 + reference):
        if bit >= before and (bit - before) % 8 == 0:
            yield (bit - before) // 8
