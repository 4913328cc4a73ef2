"""Image rules on content that was made to cost: time stays bounded, and nothing raises."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest

from rules.image_builder import FLASH, findings
from rules.key_builder import ec_private, pem
from tinymlsec.rules.subjects import ImageFile
from tinymlsec.scan.image_facts import image_facts, seen_in
from tinymlsec.target.firmware import FirmwareImage, Segment, Symbol

SIZE = 1 << 20
SECONDS = 6.0
"""CPU time, far above what is seen on a quiet machine (below 1 s)."""
CODE = struct.pack("<HH", 0x4800, 0x4800)
CONTENT = {
    "begins of keys": b"-----BEGIN RSA PRIVATE KEY-----\n",
    "keys without an end": b"-----BEGIN PRIVATE KEY-----" + b"A" * 40,
    "starts of structures": b"\x30\x20\x02\x01",
    "long structures": b"\x30\x82\x20\x00\x02\x82\x10\x00",
    "short texts": b"password\0",
    "names and signs": b"password=password=",
    "tokens": b"eyJ" * 5 + b".",
    "hashes": b"$1$abc$" + b"a" * 30,
    "addresses": b"a://b:c@",
    "literal loads": CODE,
    "loads of the control space": struct.pack("<HHI", 0x4800, 0x6001, 0xE000ED94),
    "guards": struct.pack("<HHHHI", 0x4801, 0x6801, 0x9103, 0xBF00, 0x20000010),
    "breakpoints": b"\xab\xbe",
    "descriptions": bytes.fromhex("3254cdab"),
    "storage": b"\0\x42\x02" + b"\0" * 5 + b"sta.pswd\0",
    "paths": b"/home/a/b",
    "erased": b"\xff",
    "zeros": b"\0",
}


def image(content: bytes) -> ImageFile:
    flash = Segment(FLASH, content, len(content), "rx", offset=0)
    return ImageFile("hostile", content, FirmwareImage("raw", "arm", None, (flash,)))


@pytest.mark.parametrize("name", CONTENT)
def test_cost_is_bounded(name: str) -> None:
    content = (CONTENT[name] * (SIZE // len(CONTENT[name]) + 1))[:SIZE]
    start = time.process_time()
    file = image(content)
    found = findings(file)
    image_facts(file)
    seen_in(file, found)
    assert time.process_time() - start < SECONDS
    assert len(found) < 300


def test_many_symbols_are_named_once() -> None:
    symbols = tuple(Symbol(f"_ZN6tflite4Eval{n}Ev", FLASH + n, 2, "function") for n in range(100_000))
    flash = Segment(FLASH, bytes(64), 64, "rx", offset=0)
    file = ImageFile("many", bytes(64), FirmwareImage("elf", "arm", None, (flash,), all_symbols=symbols))
    start = time.process_time()
    findings(file)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_never_raise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = np.frombuffer(
        b"".join((*(each * 8 for each in CONTENT.values()), ec_private(), pem("PRIVATE KEY", ec_private()))), np.uint8
    ).copy()
    for _ in range(25):
        changed = content.copy()
        places = rng.integers(0, len(changed), 40)
        changed[places] = rng.integers(0, 256, 40)
        findings(image(changed.tobytes()[: int(rng.integers(1, len(changed)))]))
