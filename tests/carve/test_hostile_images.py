"""Images made to cost time, memory or a crash: the search ends about when its budget does, and says so."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from carve.corpus import models
from carve.encoders import heatshrink, raw_deflate, xor
from tinymlsec.scan.images import scan_image
from tinymlsec.target.firmware.carve.carve import carve_image
from tinymlsec.target.firmware.image import FirmwareImage, Segment
from tinymlsec.target.firmware.raw import read_raw

HEAD = b"\x1c\0\0\0TFL3"
MODEL = models()["dense-48"]


def many_heads(count: int) -> bytes:
    """Headers in a row that all name one and the same root table."""
    root = int.from_bytes(MODEL[:4], "little")
    return b"".join(struct.pack("<I", 8 * (count - n) + root) + b"TFL3" for n in range(count)) + MODEL


HOSTILE: dict[str, Callable[[], bytes]] = {
    "identifiers": lambda: b"TFL3" * 250_000,
    "headers that overlap": lambda: many_heads(20_000),
    "headers under a key": lambda: xor(HEAD, b"\x11\x22\x33\x44") * 100_000,
    "cut models": lambda: MODEL[:-40] * 200,
    "zlib bombs": lambda: zlib.compress(bytes(10 << 20), 6) * 20,
    "gzip bomb in a gzip bomb": lambda: gzip.compress(gzip.compress(bytes(10 << 20)) * 50),
    "bzip2 bombs": lambda: bz2.compress(bytes(10 << 20), 1) * 50,
    "xz bombs": lambda: lzma.compress(bytes(10 << 20), preset=0) * 20,
    "lz4 bombs": lambda: (b"\x04\x22\x4d\x18\x60\x40\x82\xa4\x86\x01\0\x1f\0\1\0" + b"\xff" * 100_000) * 5,
    "zlib headers": lambda: b"\x78\x9c" * 400_000,
    "gzip headers": lambda: b"\x1f\x8b\x08\0" * 200_000,
    "lz4 headers": lambda: b"\x04\x22\x4d\x18\x60\x40\x82" * 100_000,
    "zip headers": lambda: (b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(16) + b"\xff\xff\xff\xff") * 20_000,
    "lz4 blocks": lambda: (b"\xf0\x10" + HEAD + bytes(40)) * 10_000,
    "heatshrink streams": lambda: heatshrink(HEAD + bytes(100), 8, 4) * 20_000,
    "deflate streams": lambda: b"".join(raw_deflate(bytes([n & 255]) * 400 + MODEL[:200]) for n in range(2000)),
    "ExecuTorch headers": lambda: b"\x20\0\0\0ET12eh00" * 50_000,
    "ONNX fields": lambda: b"\x08\x07\x12\x07pytorch" * 50_000 + b"\x08\x07\x42\x02\x10\x0b" * 50_000,
    "one byte": lambda: b"\x5a" * 1_000_000,
    "nothing to speak of": lambda: b"\0" * 3,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ends_about_when_the_budget_does(name: str) -> None:
    data = HOSTILE[name]()
    image = read_raw(data, 0)
    start = time.thread_time()
    carved = carve_image(image, data, 0.3)
    assert time.thread_time() - start < 1.5  # one unpacking or one parse may be under way when time is up
    assert len(carved.found) <= 64
    if name != "headers that overlap":
        assert carved.found == ()
    else:
        assert [found.hit.data[-len(MODEL) + 100 :] for found in carved.found] == [MODEL[100:]]


def test_cut_streams_give_what_they_have() -> None:
    """A model whose bytes came out before the cut is found, one that is cut itself is not."""
    packed = zlib.compress(MODEL + np.random.default_rng(1).bytes(4000))
    for cut, expected in ((len(packed) - 2000, (MODEL,)), (len(packed) // 8, ())):
        assert scan_image(bytes(512) + packed[:cut] + b"\xff" * 64).models == expected


def test_what_the_budget_did_not_reach_is_said() -> None:
    scan = scan_image(bytes(300) + MODEL + b"\xff" * 1000 + gzip.compress(models()["dense-160"]), seconds=0.0)
    assert scan.models == (MODEL,)  # plain ones are looked for in any case
    assert any("compressed streams" in reason and "time budget of 0 s" in reason for reason in scan.skipped)
    assert scan.facts["carving"]["budget_seconds"] == 0.0


def test_an_image_in_a_thousand_pieces_is_searched_where_they_are_large() -> None:
    pieces = [Segment(0x1000_0000 + n * 0x10_0000, bytes(100), 100, "r") for n in range(1000)]
    pieces.append(Segment(0x0800_0000, bytes(64) + MODEL, 64 + len(MODEL), "rx"))
    image = FirmwareImage("raw", "arm", None, tuple(sorted(pieces, key=lambda s: s.address)))
    carved = carve_image(image, b"")
    assert [found.hit.data for found in carved.found] == [MODEL]
    assert any("small runs" in reason for reason in carved.skipped)


def test_a_damaged_file_is_searched_as_bytes_and_that_is_said() -> None:
    scan = scan_image(b"\x7fELF\x01\x01\x01" + bytes(60) + MODEL + b"\xff" * 10)
    assert scan.models == (MODEL,)
    assert scan.contained[0].address is None
    assert scan.contained[0].offset == 67
    assert any(reason.startswith("searched as raw bytes") for reason in scan.skipped)
