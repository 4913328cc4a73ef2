"""Signatures and text: what counts, what only looks like it, and how rarely chance makes it."""

from __future__ import annotations

import gzip
import io
import lzma
import pickle
import zipfile

import numpy as np
import pytest

from attacks.test_static_extraction import talkative
from tinymlsec.attacks.extraction._contents import contents_of
from tinymlsec.rules._appended import Tail, describe_tail
from tinymlsec.rules._payloads import in_parts, programs, texts
from tinymlsec.scan.models import run_model_rules
from tinymlsec.target.tflite.reader import read_model

PLACE = 37


def archive(name: str = "a.bin") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(name, bytes(8))
    return stream.getvalue()


REAL = {
    "an ELF program": b"\x7fELF\x01\x01\x01" + bytes(60),
    "a Windows program": b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0",
    "a zip archive": archive(),
    "a gzip stream": gzip.compress(b"some content, packed"),
    "an xz archive": lzma.compress(bytes(40)),
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "a RAR archive": b"Rar!\x1a\x07\x01\0",
    "a WebAssembly program": b"\0asm\x01\0\0\0",
    "a Python pickle": pickle.dumps({"a": list(range(30))}, protocol=4),
    "a script": b"#!/usr/bin/python\nprint()",
    "a PHP script": b"<?php echo 1;",
    "a PDF document": b"%PDF-1.7\n",
    "an Android program": b"dex\n035\0",
    "a macOS program": b"\xcf\xfa\xed\xfe\x0c\0\0\x01",
}
LOOKS_LIKE = {
    "an ELF header of no class": b"\x7fELF\x09\x01\x01",
    "MZ without a PE header": b"MZ" + bytes(90),
    "a zip header of an absurd version": b"PK\x03\x04\xff\xff" + bytes(30),
    "a gzip header with noise": b"\x1f\x8b\x08\x00" + bytes(range(40, 120)),
    "a comment": b"#! not a path",
    "a pickle of no length": b"\x80\x04\x95" + bytes(8),
}


@pytest.mark.parametrize("what", REAL)
def test_signatures_are_found_at_their_place(what: str) -> None:
    data = bytes(PLACE) + REAL[what] + bytes(16)
    assert [(found.offset, found.what) for found in programs(data)] == [(PLACE, what)]


@pytest.mark.parametrize("name", LOOKS_LIKE)
def test_what_only_begins_like_a_program_is_none(name: str) -> None:
    assert list(programs(bytes(PLACE) + LOOKS_LIKE[name] + bytes(16))) == []


def test_chance_makes_neither_programs_nor_text() -> None:
    rng = np.random.default_rng(1)
    noise = rng.bytes(8 << 20)
    bell = np.clip(np.rint(rng.normal(0, 30, 4 << 20)), -127, 127).astype(np.int8).tobytes()
    printable = np.clip(np.rint(rng.normal(100, 9, 1 << 20)), 33, 126).astype(np.uint8).tobytes()
    ramp = bytes(range(256)) * 64
    for data in (noise, bell, printable, ramp):
        assert list(programs(data)) == []
        assert list(texts(data)) == []


@pytest.mark.parametrize(("text", "counts"), [
    (b"this is a line of words that anybody can read without effort", True),
    (b"short words", False),
    (b"A" * 100, False),
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/ABCD", True),
    (b"0123456789" * 8, False),
    (b"import os\nos.system('date')\nfor name in names:\n\tprint(name)\n", True),
])  # fmt: skip
def test_text(text: bytes, counts: bool) -> None:
    data = bytes(PLACE) + text + bytes(4)
    assert [found.offset for found in texts(data)] == ([PLACE] if counts else [])


def test_parts_keep_their_places() -> None:
    parts = [bytes(100), b"\0\0" + REAL["an ELF program"], b"", REAL["a PDF document"]]
    assert sorted((number, found.offset) for number, found in in_parts(parts, programs)) == [(1, 2), (3, 0)]


@pytest.mark.parametrize(("data", "tail"), [
    (bytes(100), Tail.NOTHING), (archive("labels.txt"), Tail.LABELS), (archive("labels.txt.exe"), Tail.PROGRAM),
    (b"\x7fELF\x01", Tail.PROGRAM), (b"a line of text\n", Tail.TEXT), (b"\x1c\0\0\0TFL3", Tail.ANOTHER_MODEL),
    (b"\x01\x02\x03\x04", Tail.UNKNOWN), (b"PK\x03\x04 and then nothing", Tail.PROGRAM),
])  # fmt: skip
def test_tails(data: bytes, tail: Tail) -> None:
    assert describe_tail(data, len(data)) is tail


def test_rules_and_attack_tell_the_same_text_at_the_same_place() -> None:
    pairs = {"PROV-02": "DESCRIPTION", "PROV-03": "PATHS", "PROV-04": "LABELS", "PROV-05": "NAMES", "PROV-06": "TOOL",
             "PROV-07": "SECRET", "PROV-09": "THRESHOLD"}  # fmt: skip
    data = talkative()
    told = {f.id: f.location.file_offset for f in contents_of(read_model(data), data).findings}
    ours = {f.id: f.location.file_offset for f in run_model_rules(data)}
    assert {ours[rule] == told[f"EXTR-{name}"] for rule, name in pairs.items()} == {True}
