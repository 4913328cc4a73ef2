"""WEIGHT: constants that carry something else than weights."""

from __future__ import annotations

import base64
import gzip
import pickle
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules.corpus.base import PROVENANCE, Case, buffer_offset, constant_offset, graph

WEIGHTS = 1
"""Tensor of the weights in the models here."""
TEXT = b"nothing to see here, only a few words that are not weights at all"


def trained(shape: tuple[int, int] = (64, 64), spread: float = 30.0, seed: int = 7) -> NDArray[np.int8]:
    """Weights as training leaves them: a bell, in int8 steps."""
    values = np.random.default_rng(seed).normal(0, spread, shape)
    return np.clip(np.rint(values), -127, 127).astype(np.int8)


def dense(weights: NDArray[Any], spare: bytes = b"") -> bytes:
    """A dense layer with these weights, int8 or float32; `spare` goes into a buffer that nothing uses."""
    builder = graph()
    quantized = weights.dtype == np.int8
    scale = 0.5 if quantized else None
    x = builder.input((1, weights.shape[1]), str(weights.dtype), scale=scale)
    held = builder.constant(weights, scale=0.01 if quantized else None)
    builder.output(builder.op("FULLY_CONNECTED", [x, held, -1], scale=scale, options={}))
    if spare:
        builder._file.buffer(spare)
    return builder.tobytes()


def _planted(content: bytes, at: int = 100) -> bytes:
    raw = bytearray(trained().tobytes())
    raw[at : at + len(content)] = content
    return dense(np.frombuffer(bytes(raw), np.int8).reshape(64, 64))


def _spelled(message: bytes) -> bytes:
    """A message in the lowest bits of the first weights."""
    weights = trained().reshape(-1).copy()
    bits = np.unpackbits(np.frombuffer(message, np.uint8)).astype(np.int8)
    weights[: bits.size] = (weights[: bits.size] & ~1) | bits
    return dense(weights.reshape(64, 64))


def floats(seed: int = 3) -> NDArray[np.float32]:
    """Weights of a layer in float32."""
    return np.random.default_rng(seed).normal(0, 0.1, (32, 64)).astype(np.float32)


def _low_bytes(message: bytes, count: int) -> bytes:
    """A message in the lowest bytes of each float."""
    raw = floats().view(np.uint8).reshape(-1, 4).copy()
    rows = len(message) // count
    raw[:rows, :count] = np.frombuffer(message[: rows * count], np.uint8).reshape(rows, count)
    return dense(raw.reshape(-1).view(np.float32).reshape(32, 64))


def _noisy_low_bits() -> bytes:
    narrow = trained((128, 128), 4.0)
    noise = np.random.default_rng(5).integers(0, 2, narrow.shape, dtype=np.int8)
    return dense((narrow & ~1) | noise)


def _with(weights: NDArray[Any], place: tuple[int, ...] | int, value: float) -> bytes:
    changed = weights.copy()
    changed[place] = value
    return dense(changed)


def _case(rule: str, name: str, bad: bytes, within: int = 0, good: bytes | None = None) -> Case:
    return Case(rule, name, dense(trained()) if good is None else good, bad, constant_offset(bad, WEIGHTS) + within)


def _programs() -> list[Case]:
    spare = b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(16) + b"\x07\0\0\0payload"
    unused = dense(trained(), spare)
    windows = b"MZ" + bytes(58) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0"
    contents = {
        "an ELF program": b"\x7fELF\x01\x01\x01" + bytes(9),
        "a Windows program": windows,
        "a script": b"#!/bin/sh\nexit\n",
        "a gzip stream": gzip.compress(bytes(range(200))),
        "a pickle": pickle.dumps([1, 2, "three"], protocol=4),
    }
    cases = [_case("WEIGHT-01", name, _planted(content), 100) for name, content in contents.items()]
    place = buffer_offset(unused, len(PROVENANCE) + 2)
    return [*cases, Case("WEIGHT-01", "a zip in a spare buffer", dense(trained()), unused, place)]


@cache
def cases() -> list[Case]:
    """See the package."""
    coded = base64.b64encode(np.random.default_rng(1).bytes(90))
    spare = dense(trained(), bytes(range(100)))
    real = dense(floats())
    random = np.random.default_rng(2).integers(-128, 128, (64, 64)).astype(np.int8)
    filler = np.frombuffer(bytes.fromhex("deadbeef") * 1024, np.int8).reshape(64, 64)
    loud = floats()
    loud[5] *= 1000
    return [
        *_programs(),
        _case("WEIGHT-02", "a note", _planted(TEXT), 100 - _printable_before(100)),
        _case("WEIGHT-02", "base64", _planted(coded), 100 - _coded_before(100)),
        _case("WEIGHT-03", "a note in int8", _spelled(TEXT)),
        _case("WEIGHT-03", "a note in float32", _low_bytes(TEXT, 1), good=real),
        _case("WEIGHT-03", "a program in float32", _low_bytes(b"\x7fELF\x02\x01\x01" + bytes(17), 3), good=real),
        _case("WEIGHT-04", "noise in narrow weights", _noisy_low_bits(), good=dense(trained((128, 128), 4.0))),
        _case("WEIGHT-05", "random bytes", dense(random)),
        _case("WEIGHT-06", "a loud channel", dense(loud), 5 * 64 * 4, good=real),
        _case("WEIGHT-07", "filler", dense(filler)),
        Case("WEIGHT-08", "100 bytes", dense(trained()), spare, buffer_offset(spare, len(PROVENANCE) + 2)),
        _case("WEIGHT-09", "no number", _with(floats(), (0, 9), np.nan), 36, good=real),
        _case("WEIGHT-09", "infinite", _with(floats(), (1, 0), np.inf), 256, good=real),
    ]


def _printable_before(at: int) -> int:
    """How many weights before a place happen to be printable, and so belong to the run of text there."""
    raw, count = trained().tobytes(), 0
    while 0x20 <= raw[at - count - 1] < 0x7F or raw[at - count - 1] in b"\t\n\r":
        count += 1
    return count


def _coded_before(at: int) -> int:
    raw, count = trained().tobytes(), 0
    while chr(raw[at - count - 1]).isalnum() and raw[at - count - 1] < 128:
        count += 1
    return count
