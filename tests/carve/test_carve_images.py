"""Models in synthetic images of every kind are found and carved byte by byte; encrypted ones are not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from carve.corpus import KINDS, Case, as_file, cases, models
from carve.surroundings import FLASH, firmware, image_of
from tinymlsec.scan.images import ImageScan, scan_image
from tinymlsec.scan.records import FileKind

ENCODINGS = {
    "plain": "", "unaligned": "", "xor-1": "xor:5a", "xor-2": "xor:c31f", "xor-4": "xor:dead0b77", "lz4-frame": "lz4",
    "heatshrink": "heatshrink:8,4", "gzip-xor": "gzip+xor:91", "xor-gzip": "xor:7e21+gzip",
    "gzip-gzip": "gzip+gzip",
}  # fmt: skip
RULES = {"plain": "CARVE-01", "unaligned": "CARVE-01", "xor-1": "CARVE-02", "xor-2": "CARVE-02", "xor-4": "CARVE-02",
         "gzip-xor": "CARVE-02", "xor-gzip": "CARVE-02"}  # fmt: skip
ALL = list(cases())
SAMPLE = ALL[::11]
"""Eleven is prime to the numbers of ways and kinds, so that each way and each kind is met."""


def carve_ids(scan: ImageScan) -> list[str]:
    return [finding.id for finding in scan.findings if finding.id.startswith("CARVE")]


def byte_at(data: bytes, kind: str, offset: int) -> int:
    """The byte of memory that a file has at an offset."""
    return int(data[offset : offset + 2], 16) if kind == "hex" else data[offset]


def check(case: Case) -> None:
    data, address = case.file()
    scan = scan_image(data, case.name)
    if case.how == "encrypted":
        assert scan.contained == ()
        assert carve_ids(scan) == []
        return
    model = models()[case.model]
    assert scan.models == (model,), [(c.encoding, c.size) for c in scan.contained]
    (found,) = scan.contained
    assert (found.kind, found.address, found.size) == (FileKind.TFLITE, address, len(model))
    assert found.encoding == ENCODINGS.get(case.how, case.how)
    assert carve_ids(scan) == [RULES.get(case.how, "CARVE-03")]
    parts, _ = case.parts()
    assert byte_at(data, case.kind, found.offset) == parts[1][0]
    if case.kind in ("bin", "elf"):
        assert data[found.offset : found.offset + 40] == parts[1][:40]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_the_model_is_carved_byte_by_byte(case: Case) -> None:
    check(case)


@pytest.mark.slow
def test_every_model_in_every_way_and_kind() -> None:
    """At least 200 images; all that fail are named."""
    failed = {}
    for case in ALL:
        try:
            check(case)
        except AssertionError as error:
            failed[case.name] = str(error)[:200]
    assert failed == {}
    assert len(ALL) >= 200
    assert {case.kind for case in ALL} == set(KINDS)


def test_two_models_and_a_copy_are_three_and_each_is_told_where() -> None:
    rng = np.random.default_rng(5)
    first, second = models()["dense-48"], models()["twin"]
    parts = [firmware(rng), first, firmware(rng), second, b"\x01", first, firmware(rng)]
    scan = scan_image(as_file(image_of(parts), "hex"))
    assert scan.models == (first, second, first)
    starts = [FLASH + 0x100 + sum(map(len, parts[:n])) for n in (1, 3, 5)]
    assert [part.address for part in scan.contained] == starts


def test_erased_flash_that_a_hex_file_leaves_out_is_filled_in() -> None:
    model = bytearray(models()["dense-160"])
    place = 9_600 - 9_600 % 16
    weights = bytes(model[place : place + 64])
    assert weights != b"\xff" * 64
    model[place : place + 64] = b"\xff" * 64
    image = image_of([b"\0" * 256, bytes(model), firmware(np.random.default_rng(1))])
    lines = as_file(image, "hex").decode().splitlines()
    kept = [line for line in lines if not re.fullmatch(r":10....00F{32}..", line)]
    assert len(kept) < len(lines)
    assert scan_image("\n".join(kept).encode()).models == (bytes(model),)


def test_findings_about_a_plain_model_are_placed_in_the_image() -> None:
    model = models()["twin"]
    parts = [firmware(np.random.default_rng(2)), model, bytes(64)]
    data = as_file(image_of(parts), "bin")
    scan = scan_image(data)
    from tinymlsec.scan.models import run_model_rules

    alone = run_model_rules(model)
    (part,) = scan.contained
    assert [f.id for f in part.findings] == [f.id for f in alone]
    for there, here in zip(part.findings, alone, strict=True):
        if here.location.file_offset is not None:
            assert there.location.file_offset == here.location.file_offset + part.offset
            assert there.location.address == FLASH + there.location.file_offset
