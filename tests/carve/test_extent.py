"""Where a model ends in the middle of other bytes, for files of several writers; and keys of every length."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from carve.corpus import models
from carve.encoders import xor
from carve.surroundings import firmware
from models.handmade import SEEDS
from rules.corpus import all_cases
from tinymlsec.errors import ModelFileError
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.plain import find_plain
from tinymlsec.target.firmware.carve.xor import find_xored
from tinymlsec.target.tflite.layout import used_bytes
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

RNG = np.random.default_rng(31)
TAILS = {
    "zeros": bytes(80),
    "erased": b"\xff" * 80,
    "noise": RNG.bytes(80),
    "nothing": b"",
    "four zeros": b"\0\0\0\0code",
}


def files() -> dict[str, bytes]:
    """Files of converters, of the FlatBuffers library, and of our writer."""
    made = {f"handmade {name}": make() for name, make in SEEDS.items()}
    found = {**models(), **made}
    found |= {f"{name}, written again": write_model(read_model(data)) for name, data in models().items()}
    return {name: data for name, data in found.items() if len(data) - _used(data) < 16}


def _used(data: bytes) -> int:
    return used_bytes(data)


FILES = files()


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", FILES)
def test_the_end_is_that_of_the_file(name: str, tail: str) -> None:
    data = FILES[name]
    hits = list(find_plain(b"\x55" * 33 + data + TAILS[tail], Budget(5)))
    assert [(hit.at, len(hit.data)) for hit in hits] == [(33, len(data))]
    assert hits[0].data == data


def test_an_archive_behind_the_model_belongs_to_it() -> None:
    """As TFLite Support's metadata writer appends label files: the archive counts from the model's first byte."""
    stream = io.BytesIO(models()["twin"])
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", "yes\nno\n" * 40)
    data = stream.getvalue()
    hits = list(find_plain(firmware(RNG)[:1001] + data + firmware(RNG), Budget(5)))
    assert [hit.data for hit in hits] == [data]


def test_an_archive_of_its_own_does_not() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("labels.txt", "yes\nno\n" * 40)
    hits = list(find_plain(models()["twin"] + stream.getvalue(), Budget(5)))
    assert [hit.data for hit in hits] == [models()["twin"]]


@pytest.mark.parametrize("phase", [0, 1, 3])
@pytest.mark.parametrize("length", [1, 2, 4, 8, 16])
def test_keys_of_every_length_are_found_at_any_phase(length: int, phase: int) -> None:
    key = RNG.bytes(length)
    model, before = models()["digits"], firmware(RNG)[: 2000 + phase]
    hits = list(find_xored(before + xor(model, key) + firmware(RNG), Budget(5)))
    assert [(hit.at, hit.data, hit.encodings) for hit in hits] == [(len(before), model, (f"xor:{key.hex()}",))]


def test_a_key_that_is_no_key_is_told_in_its_shortest_form() -> None:
    (hit,) = find_xored(xor(models()["twin"], b"\x21\x21"), Budget(5))
    assert hit.encodings == ("xor:21",)
    assert list(find_xored(models()["twin"], Budget(5))) == []


def test_every_readable_file_of_the_rules_corpus_is_carved_whole_and_no_unreadable_one() -> None:
    """Bad files too, as long as they can be read: the model rules then say what is wrong with them."""
    wrong = []
    for case in all_cases():
        for data in (case.good, case.bad):
            hits = list(find_plain(b"\x01" * 21 + data + b"\xff" * 50, Budget(5)))
            if _readable(data) is not any(hit.at == 21 and hit.data.startswith(_told(data)) for hit in hits):
                wrong.append(case.id)
    assert wrong == []


def _readable(data: bytes) -> bool:
    try:
        read_model(data)
    except ModelFileError:
        return False
    return True


def _told(data: bytes) -> bytes:
    """Up to the last thing that a table reaches; to the last constant where a field that only a walk sees is bad."""
    try:
        return data[: _used(data)]
    except ModelFileError:
        buffers = read_model(data).buffers if _readable(data) else ()
        return data[: max(((each.offset or 0) + len(each.data) for each in buffers), default=0)]
