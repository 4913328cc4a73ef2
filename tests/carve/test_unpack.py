"""Decoders of our own and bounded unpacking: what encoders wrote comes back, and hostile streams end at the bound."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from carve.corpus import models
from carve.encoders import heatshrink, lz4_block, lz4_frame, raw_deflate, xor
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.deflate_heads import deflate_heads
from tinymlsec.target.firmware.carve.framed import find_framed
from tinymlsec.target.firmware.carve.heatshrink import unpack_heatshrink
from tinymlsec.target.firmware.carve.limits import MAX_UNPACKED
from tinymlsec.target.firmware.carve.lz4 import unpack_block, unpack_frame
from tinymlsec.target.firmware.carve.unpack import begins, unpack
from tinymlsec.target.firmware.carve.xor_streams import find_xored_streams

TEXTS = {
    "empty": b"", "one": b"x", "run": b"a" * 5000, "ramp": bytes(range(256)) * 20,
    "noise": np.random.default_rng(1).bytes(3000), "model": models()["dense-48"],
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_lz4_blocks_and_frames_come_back(name: str) -> None:
    data, out = TEXTS[name], bytearray()
    packed = lz4_block(data)
    assert unpack_block(memoryview(packed), out, 1 << 20) == (True, len(packed))
    assert bytes(out) == data
    frame = lz4_frame(data, 1024)
    stream = unpack_frame(memoryview(b"??" + frame + b"behind"), 2)
    assert stream is not None
    assert (stream.data, stream.stored, stream.whole) == (data, len(frame), True)


@pytest.mark.parametrize("setting", [(8, 4), (4, 3), (11, 4), (10, 5)])
@pytest.mark.parametrize("name", ["one", "run", "ramp", "model"])
def test_heatshrink_comes_back(name: str, setting: tuple[int, int]) -> None:
    data = TEXTS[name]
    packed = heatshrink(data, *setting)
    assert unpack_heatshrink(memoryview(packed), *setting, len(data)) == (data, len(packed))


@pytest.mark.parametrize("kind", ["zlib", "gzip", "raw-deflate"])
def test_a_stream_ends_where_its_bytes_end(kind: str) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {
        "zlib": zlib.compress,
        "gzip": gzip.compress,
        "raw-deflate": raw_deflate,
    }
    packed = pack[kind](TEXTS["model"])
    view = memoryview(b"123" + packed + b"and more" * 9000)
    stream = unpack(kind, view, 3)
    assert (stream.data, stream.stored, stream.whole) == (TEXTS["model"], len(packed), True)
    cut = unpack(kind, view[: len(packed) // 2], 3)
    assert TEXTS["model"].startswith(cut.data)
    assert len(cut.data) > 100
    assert (cut.stored, cut.whole) == (0, False)


@pytest.mark.parametrize("kind", ["zlib", "gzip", "raw-deflate"])
def test_a_bomb_is_unpacked_up_to_the_bound(kind: str) -> None:
    layers = {"zlib": zlib.compress, "gzip": gzip.compress, "raw-deflate": raw_deflate}
    bomb = layers[kind](bytes(4 * MAX_UNPACKED))
    assert len(bomb) < 100_000
    stream = unpack(kind, memoryview(bomb), 0)
    assert (len(stream.data), stream.whole) == (MAX_UNPACKED, False)


def test_an_lz4_bomb_is_unpacked_up_to_the_bound() -> None:
    bomb = b"\x1f\x00\x01\x00" + b"\xff" * 200_000  # one zero, then 51 million copies of it
    out = bytearray()
    assert unpack_block(memoryview(bomb), out, 1 << 20)[0] is False
    assert len(out) == 1 << 20


def test_bytes_by_chance_are_no_streams() -> None:
    noise = np.random.default_rng(3).bytes(1 << 20)
    assert list(find_framed(noise, Budget(5))) == []
    heads = deflate_heads(noise, 0, len(noise))
    assert 0 < len(heads) < len(noise) / 200
    assert sum(begins("raw-deflate", memoryview(noise)[at:]) for at in heads.tolist()) <= 2


def test_the_start_of_every_dynamic_block_passes() -> None:
    for name in ("model", "ramp"):
        for level in range(1, 10):
            packed = raw_deflate(TEXTS[name], level)
            if packed[0] & 6 == 4:
                assert 3 in deflate_heads(b"\0\0\0" + packed + bytes(16), 0, 4).tolist()


@pytest.mark.parametrize("level", range(1, 10))
def test_zlib_streams_under_a_byte_are_found(level: int) -> None:
    noise = np.random.default_rng(level).bytes(50_000)
    packed = xor(zlib.compress(TEXTS["model"], level), b"\x6b")
    ((key, stream),) = find_xored_streams(noise + packed + noise, Budget(5))
    assert (key, stream.at, stream.stored, stream.data) == ("xor:6b", len(noise), len(packed), TEXTS["model"])


@pytest.mark.parametrize("key", [b"\x01", b"\x80\x7f", b"abcd"])
@pytest.mark.parametrize("kind", ["gzip", "lz4"])
def test_gzip_and_lz4_streams_under_a_key_are_found(kind: str, key: bytes) -> None:
    packed = gzip.compress(TEXTS["model"], mtime=0) if kind == "gzip" else lz4_frame(TEXTS["model"])
    found = list(find_xored_streams(b"xyz" + xor(packed, key) + bytes(500), Budget(5)))
    expected = [] if kind == "lz4" and len(key) == 4 else [(f"xor:{key.hex()}", TEXTS["model"])]
    assert [(name, stream.data) for name, stream in found] == expected


def test_an_exhausted_budget_is_said() -> None:
    budget = Budget(0.0)
    time.thread_time()
    assert list(find_framed(zlib.compress(TEXTS["model"]), budget)) == []
    assert any("time budget" in reason for reason in budget.skipped)
