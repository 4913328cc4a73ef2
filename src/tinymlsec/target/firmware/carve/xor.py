"""Models under a repeated XOR key of 1, 2 or 4 bytes, and of 8 or 16 where runs of zeros give the key away.

Two ways lead to a key, and each hit is read as a model with it, so that a wrong key finds nothing.

- Known plaintext: the reference to the root table is a small number (two zero bytes) and the identifier TFL3 follows.
  XORed with themselves one key length further on, the key drops out: the sums are the same under every key, so all
  keys of one length are looked for at once, at every place.
- Runs of zeros show the key itself, over and over. Words that repeat at the distance of the key length are counted;
  the most frequent are tried on the whole run of bytes. This finds longer keys too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.hits import Hit
from tinymlsec.target.firmware.carve.keys import decode, key_name, key_of, places_of
from tinymlsec.target.firmware.carve.limits import MAX_FOUND, MAX_MODEL_BYTES, MAX_XOR_PLACES
from tinymlsec.target.firmware.carve.plain import find_plain, model_at, rooted
from tinymlsec.target.tflite.schema import FILE_IDENTIFIER

_PLAIN = (None, None, 0, 0, *FILE_IDENTIFIER)
"""First eight bytes of a model; None where they differ from one to the next."""
_LOOK = 256
"""Places between two looks at the clock."""
_HEAD = 1 << 16
"""Bytes decoded to look for a root table: the reference to it is below 65,536."""
_KEYS_TRIED = 8
"""Keys of one length that runs of zeros suggest and that are tried."""
_SAMPLE = 1 << 14
"""Words in runs that are counted, evenly taken from all."""
_SEEN = {1: 8, 2: 4, 4: 3, 8: 2, 16: 2}
"""Equal words in a row that count as a run, by key length in bytes."""


def find_xored(data: bytes, budget: Budget) -> Iterator[Hit]:
    """Models under a key; those in plain are not among them.

    Args:
        data: what is searched.
        budget: ends the search.
    """
    known: set[int] = set()
    for length in (1, 2, 4):
        for hit in _by_plaintext(data, length, budget):
            if hit.at not in known and len(known) < MAX_FOUND:
                known.add(hit.at)
                yield hit
    for length in _SEEN:
        if budget.ended(f"XOR keys of {length} bytes by runs of zeros"):
            return
        for hit in _by_runs(data, length, budget):
            if hit.at not in known and len(known) < MAX_FOUND:
                known.add(hit.at)
                yield hit


def _by_plaintext(data: bytes, length: int, budget: Budget) -> Iterator[Hit]:
    if budget.ended(f"XOR keys of {length} bytes"):
        return
    raw = np.frombuffer(data, np.uint8)
    places = places_of(raw, _PLAIN, length)
    if len(places) > MAX_XOR_PLACES:
        budget.skip(f"{len(places):,} places that fit an XOR key of {length} bytes: {MAX_XOR_PLACES:,} were looked at")
    end = 0
    for count, start in enumerate(places[:MAX_XOR_PLACES].tolist()):
        if start < end:
            continue
        if count % _LOOK == _LOOK - 1 and budget.ended(f"XOR keys of {length} bytes"):
            return
        key = key_of(raw[start + 4 : start + 4 + length], FILE_IDENTIFIER[:length], 4)
        if not key.any():
            continue
        head = decode(raw[start : start + _HEAD], key)
        if not rooted(head, np.zeros(1, np.int64))[0]:
            continue
        if budget.ended(f"XOR keys of {length} bytes"):
            return
        hit = model_at(decode(raw[start : start + MAX_MODEL_BYTES], key), 0, budget)
        if hit is not None:
            end = start + hit.stored
            yield replace(hit, at=start, encodings=(key_name(key),))


def _by_runs(data: bytes, length: int, budget: Budget) -> Iterator[Hit]:
    raw = np.frombuffer(data, np.uint8)
    for key in _frequent(raw, length):
        if budget.ended(f"XOR keys of {length} bytes by runs of zeros"):
            return
        for hit in find_plain(decode(raw, key), budget):
            yield replace(hit, encodings=(key_name(np.roll(key, -(hit.at % length))),))


def _frequent(raw: NDArray[np.uint8], length: int) -> list[NDArray[np.uint8]]:
    """The words that most often follow each other unchanged, as keys from the first byte of the data on."""
    words = raw[: len(raw) // length * length].reshape(-1, length)
    if len(words) < _SEEN[length]:
        return []
    numbers = words.view(f"V{length}").ravel() if length > 8 else words.view(f"<u{length}").ravel()
    same = numbers[1:] == numbers[:-1]
    for ahead in range(1, _SEEN[length] - 1):
        same[: len(same) - ahead] &= numbers[ahead + 1 :] == numbers[: -ahead - 1]
    runs = words[:-1][same]
    kept = runs[:: len(runs) // _SAMPLE + 1]
    kept = kept[_primitive(kept, length)]
    keys, counts = np.unique(kept, axis=0, return_counts=True)
    return [keys[place] for place in np.argsort(-counts, kind="stable")[:_KEYS_TRIED]]


def _primitive(words: NDArray[np.uint8], length: int) -> NDArray[np.bool_]:
    """Which words are no repetition of shorter ones; of single bytes, which are not zero."""
    if length == 1:
        flags: NDArray[np.bool_] = words[:, 0] != 0
    else:
        half = length // 2
        flags = (words[:, :half] != words[:, half:]).any(axis=1)
    return flags
