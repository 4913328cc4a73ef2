"""Models that lie in plain: the identifier TFL3 at byte 4, a root table where it says, then all that it reaches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.extent import extent
from tinymlsec.target.firmware.carve.hits import Hit
from tinymlsec.target.firmware.carve.limits import MAX_FOUND, MAX_IDENTIFIERS, MAX_MODEL_BYTES, MAX_PARSES
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.schema import FILE_IDENTIFIER

_MOST_SLOTS = 64
"""Fields of a root table that are believed; the schema has 8."""


def find_plain(data: bytes, budget: Budget) -> Iterator[Hit]:
    """All models, none of them inside another.

    Args:
        data: what is searched; a model does not go on behind its end.
        budget: for following tables; the identifiers are looked for in any case.
    """
    starts = identifiers(data, FILE_IDENTIFIER)
    if len(starts) >= MAX_IDENTIFIERS:
        budget.skip(f"more than {MAX_IDENTIFIERS:,} identifiers of models: the others were not looked at")
    starts = starts[rooted(data, starts)]
    found, end = 0, 0
    for count, start in enumerate(starts.tolist()):
        if start < end:
            continue
        if found >= MAX_FOUND or count >= MAX_PARSES:
            budget.skip(f"places that may be models from 0x{start:x} on: {found} models and {count} places before")
            return
        if count and budget.ended(f"places that may be models from 0x{start:x} on"):
            return
        hit = model_at(data, start, budget)
        if hit is not None:
            found, end = found + 1, start + hit.stored
            yield hit


def identifiers(data: bytes, identifier: bytes) -> NDArray[np.int64]:
    """Places four bytes before an identifier, at most `MAX_IDENTIFIERS`."""
    starts: list[int] = []
    at = data.find(identifier, 4)
    while at >= 0 and len(starts) < MAX_IDENTIFIERS:
        starts.append(at - 4)
        at = data.find(identifier, at + 1)
    return np.array(starts, np.int64)


def rooted(data: bytes, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which places begin with a reference to something that may be a root table.

    Args:
        data: what is searched.
        starts: (n,) places.

    Returns:
        (n,) flags: the reference, the vtable and the table it describes lie in the data and behind the start.
    """
    raw, size = np.frombuffer(data, np.uint8), len(data)

    def number(at: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        at = np.clip(at, 0, max(size - width, 0))
        return sum((raw[at + k].astype(np.int64) << 8 * k for k in range(width)), np.zeros(len(at), np.int64))

    if size < 12:
        return np.zeros(len(starts), np.bool_)
    root = starts + number(starts, 4)
    vtable = root - number(root, 4).astype(np.uint32).view(np.int32)
    entries, inline = number(vtable, 2), number(vtable + 2, 2)
    inside = (root > starts + 4) & (root + 4 <= size) & (vtable >= starts) & (vtable + 4 <= size)
    sized = (entries >= 4) & (entries % 2 == 0) & (entries <= 4 + 2 * _MOST_SLOTS) & (inline >= 4)
    flags: NDArray[np.bool_] = inside & sized & (root + inline <= size)
    return flags


def model_at(data: bytes | memoryview, start: int, budget: Budget) -> Hit | None:
    """The model that begins at a place, if our reader takes it: just its bytes."""
    rest = memoryview(data)[start : start + MAX_MODEL_BYTES]
    try:
        whole = bytes(rest[: _size(rest, budget)])
        return Hit("tflite", start, len(whole), whole, model=read_model(whole))
    except ModelFileError:
        return None


def _size(rest: memoryview, budget: Budget) -> int:
    """Bytes of the model, even if it is damaged where no runtime looks: a file must not hide by a bad field.

    Raises:
        ModelFileError: it is no model, or time is up.
    """
    try:
        return extent(rest, budget)
    except ModelFileError:
        read_model(rest)
    low, high = 0, len(rest)  # our reader takes no prefix of the first length, and all of the second
    while high - low > 1:
        if budget.over:
            raise ModelFileError("the model's end was not found in time")
        middle = (low + high) // 2
        try:
            read_model(rest[:middle])
            high = middle
        except ModelFileError:
            low = middle
    return high
