"""The whole search in one run of bytes: plain, under keys, compressed, and once more in what was unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.framed import find_framed
from tinymlsec.target.firmware.carve.hits import Hit, Opening, Stream
from tinymlsec.target.firmware.carve.limits import MAX_FOUND
from tinymlsec.target.firmware.carve.onnx import find_onnx
from tinymlsec.target.firmware.carve.plain import find_plain, model_at
from tinymlsec.target.firmware.carve.pte import find_pte
from tinymlsec.target.firmware.carve.raw_streams import find_blocks, find_heatshrink, find_raw_deflate
from tinymlsec.target.firmware.carve.xor import find_xored
from tinymlsec.target.firmware.carve.xor_streams import find_xored_streams

_HEADER = 64
"""Bytes of a header of a stream, at most."""
_PORTIONS = (1 << 16, 1 << 18, 1 << 20, 1 << 22)
"""Bytes unpacked of a stream whose end does not show."""
DEEPEST = 2
"""Streams in streams that are unpacked: a compressed model in a compressed file system."""


def search(data: bytes, budget: Budget, note: Callable[[Stream], None]) -> list[Hit]:
    """All models in a run of bytes, in order of place.

    Args:
        data: what is searched.
        budget: ends the search.
        note: is told of each compressed stream that was unpacked.
    """
    return search_hidden(data, budget, note, search_plain(data, budget))


def search_plain(data: bytes, budget: Budget) -> list[Hit]:
    """Models that lie as they are."""
    return list(_open_models(data, budget))


def search_hidden(data: bytes, budget: Budget, note: Callable[[Stream], None], plain: list[Hit]) -> list[Hit]:
    """Models under keys and in streams, with those that lie plain and were found before."""
    hits = [*plain, *find_xored(data, budget)]
    taken: list[tuple[int, int]] = []
    for stream in find_framed(data, budget):
        note(stream)
        taken.append((stream.at, stream.at + stream.stored))
        hits += _inside(stream, budget, 1)
    for opening in chain(find_blocks(data, budget), find_heatshrink(data, budget)):
        hits += _first(opening, budget)
    for stream in find_raw_deflate(data, taken, budget):
        note(stream)
        hits += _inside(stream, budget, 1)
    for key, stream in find_xored_streams(data, budget):
        note(replace(stream, encoding=f"{key}+{stream.encoding}"))
        hits += (replace(hit, encodings=(key, *hit.encodings)) for hit in _inside(stream, budget, 1))
    return _distinct(hits)


def _open_models(data: bytes, budget: Budget) -> Iterator[Hit]:
    yield from find_plain(data, budget)
    yield from find_pte(data, budget)
    yield from find_onnx(data, budget)


def _inside(stream: Stream, budget: Budget, depth: int) -> Iterator[Hit]:
    """Models in what a stream unpacked to."""
    budget.unpacked -= len(stream.data)
    if not stream.whole and len(stream.data) > 0 and budget.unpacked <= 0:
        budget.skip(f"the {stream.encoding} stream at 0x{stream.at:x}: the bound on unpacked bytes was reached")
    found = chain(_open_models(stream.data, budget), find_xored(stream.data, budget))
    for hit in found:
        yield hit.within(stream.at, stream.stored, stream.encoding)
    if depth < DEEPEST and not budget.ended(f"streams in the {stream.encoding} stream at 0x{stream.at:x}"):
        for inner in find_framed(stream.data, budget):
            for hit in _inside(inner, budget, depth + 1):
                yield hit.within(stream.at, stream.stored, stream.encoding)


def _first(opening: Opening, budget: Budget) -> Iterator[Hit]:
    """The model that a stream begins with. How long it is shows only in it, so more and more is unpacked."""
    for most in _PORTIONS:
        data, _ = opening.unpack(most)
        hit = model_at(data, 0, budget)
        if hit is not None and (hit.stored < len(data) or len(data) < most):
            yield hit.within(opening.at, opening.unpack(hit.stored)[1], opening.encoding)
            return
        if len(data) < most or budget.ended(f"the {opening.encoding} stream at 0x{opening.at:x}"):
            return


def _distinct(hits: list[Hit]) -> list[Hit]:
    """Hits in order of place; of those that say the same of the same bytes, the plainest; at most `MAX_FOUND`.

    A block in a frame, and a model in a block that is stored, are found both ways.
    """
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda each: (len(each.encodings), each.at)):
        same = (other for other in kept if other.data == hit.data)
        if not any(other.at - _HEADER < hit.at < max(other.at + other.stored, other.at + _HEADER) for other in same):
            kept.append(hit)
    return sorted(kept, key=lambda each: each.at)[:MAX_FOUND]
