"""What counts as telling text, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.target.tflite.strings import MAX_HITS, search_text


def kinds(text: bytes) -> list[tuple[str, str]]:
    return [(hit.kind, hit.text) for hit in search_text(b"\0\1\2" + text + b"\0\xff")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"/home/ada/kws/train.py", "path"),
        (b"/content/drive/model.h5", "path"),
        (b"/Users/grace/Projects/wake-word/export.py", "path"),
        (b"C:\\Users\\ada\\model\\final_v2.tflite", "path"),
        (b"ada@example.org", "contact"),
        (b"https://internal.example.com/models/kws", "contact"),
        (b"AKIAIOSFODNN7EXAMPLE", "secret"),
        (b"-----BEGIN RSA PRIVATE KEY-----", "secret"),
        (b"api_key: 0123456789abcdef", "secret"),
        (b'"password"="hunter2hunter2"', "secret"),
        (b'"detection_threshold": 0.97', "threshold"),
    ],
)
def test_found(text: bytes, kind: str) -> None:
    assert kind in [k for k, _ in kinds(text)]


@pytest.mark.parametrize(
    "text",
    [
        b"model/conv2d/Conv2D;model/batch_normalization/FusedBatchNormV3",
        b"functional_1/data/usr/home/x",
        b"serving_default_input:0",
        b"sequential/dense/MatMul/ReadVariableOp/resource",
        b"MLIR Converted.",
        b"threshold",
        b"a@b.c",
    ],
)
def test_not_found(text: bytes) -> None:
    assert kinds(text) == []


def test_random_bytes_tell_nothing() -> None:
    assert search_text(np.random.default_rng(0).bytes(4 << 20)) == ()


def test_offsets_point_at_the_text_and_repeats_count_once() -> None:
    data = b"\0" * 100 + b"/home/ada/a.py\0/home/ada/a.py\0"
    (hit,) = search_text(data)
    assert (hit.offset, hit.text) == (100, "/home/ada/a.py")


def test_credentials_are_shortened() -> None:
    ((_, text),) = kinds(b"ghp_" + b"x" * 36)
    assert text == "ghp_... (40 characters)"


def test_hits_are_bounded() -> None:
    data = b"\0".join(b"/home/ada/%d.py" % k for k in range(1000))
    assert len(search_text(data)) == MAX_HITS


def test_search_is_fast_on_text_made_to_be_slow() -> None:
    import time

    hostile = b"/home/" + b"a" * 63 + (b"/" + b"a" * 63) * 4000 + b"a@" + b"a." * 60_000 + b"secret " * 20_000
    start = time.process_time()
    search_text(hostile)
    assert time.process_time() - start < 2.0
