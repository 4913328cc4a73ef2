"""Data files: what is read, and what is refused with which words."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.errors import DataError
from tinymlsec.target import npz
from tinymlsec.target.data import check_labels, load_dataset
from tinymlsec.target.space import InputSpace

SPACE = InputSpace((1, 2, 2), "int8", "int8", 0.5, 3, -128.0, 127.0, False, "test")


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_reads_samples_labels_and_names(tmp_path: Path) -> None:
    file = save(tmp_path / "d.npz", x=np.zeros((3, 2, 2), np.int8), y=[0, 1, 1], class_names=["a", "b"])
    data = load_dataset(file, SPACE, frames=False)
    assert data.n == 3
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 1]
    assert data.class_names == ("a", "b")


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 1, 2, 2), (3, 2, 2, 1), (3, 4)])
def test_batch_dimension_and_flat_samples_are_understood(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = load_dataset(save(tmp_path / "d.npz", x=np.zeros(shape, np.int8)), SPACE, frames=False)
    assert data.x.shape == (3, 2, 2)


def test_a_model_with_state_takes_steps(tmp_path: Path) -> None:
    file = save(tmp_path / "d.npz", x=np.zeros((3, 7, 2, 2), np.int8))
    assert load_dataset(file, SPACE, frames=True).x.shape == (3, 7, 2, 2)
    with pytest.raises(DataError, match="input shape"):
        load_dataset(file, SPACE, frames=False)


def test_share_of_clipped_values_is_counted(tmp_path: Path) -> None:
    x = np.array([[0.0, 1.0], [2.0, 1e6]], np.float32)[None]
    assert load_dataset(save(tmp_path / "d.npz", x=x), SPACE, frames=False).clipped == 0.25


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"z": np.zeros(3)}, "no array x"),
        ({"x": np.zeros((3, 5), np.int8)}, "input shape"),
        ({"x": np.zeros((0, 2, 2), np.int8)}, "no samples"),
        ({"x": np.zeros((3, 2, 2), np.int8), "y": [1, 2]}, "do not match the samples"),
        ({"x": np.zeros((3, 2, 2), np.int8), "y": np.eye(3)}, "do not match the samples"),
        ({"x": np.zeros((3, 2, 2), np.int8), "y": ["a", "b", "c"]}, "no numbers"),
        ({"x": np.zeros((3, 2, 2), np.int8), "task": "guessing"}, "task is unknown"),
        ({"x": np.zeros((3, 2, 2), np.int8), "sequence": "frames"}, "disagree on whether inputs are streams"),
        ({"x": np.full((3, 2, 2), np.nan, np.float32)}, "NaN"),
        ({"x": np.float32(3)}, "no samples"),
        ({"x": np.zeros((3, 2, 2), np.int8), "y": np.float32(3.5)}, "do not match the samples"),
        ({"x": np.zeros((3, 2, 2), np.int8), "threshold": np.zeros(0)}, "threshold is not a number"),
        ({"x": np.zeros((3, 2, 2), np.int8), "threshold": "high"}, "threshold is not a number"),
        ({"x": np.zeros((3, 2, 2), np.int8), "threshold": np.nan}, "threshold is not a number"),
    ],
)
def test_bad_content_is_refused_in_words(tmp_path: Path, arrays: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_dataset(save(tmp_path / "d.npz", **arrays), SPACE, frames=False)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    np.savez(file, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="pickle"):
        load_dataset(file, SPACE, frames=False)


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|i1", "fortran_order": False, "shape": (1 << 40,)})
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(1000))
    with pytest.raises(DataError, match="too large"):
        npz.read_npz(file, frozenset({"x"}))


HOSTILE_HEADERS = {
    "negative size reads to the end": "{'descr':'<f4','fortran_order':False,'shape':(-1,)}",
    "two unknown sizes": "{'descr':'<f4','fortran_order':False,'shape':(-1,-4)}",
    "values of no size": "{'descr':'|S0','fortran_order':False,'shape':(5,)}",
    "arrays in an array": "{'descr':('<f4',(3,)),'fortran_order':False,'shape':(4,)}",
    "too many dimensions": "{'descr':'<f4','fortran_order':False,'shape':" + str((1,) * 70) + "}",
    "nothing of a huge size": "{'descr':'<f4','fortran_order':False,'shape':(0,99999999999999999999)}",
    "open bracket": "{'descr':'<f4','fortran_order':False,'shape':(5,)",
    "bad indent": "  x\n y\n",
    "unhashable": "{[]:1}",
    "deep": "-" * 9000 + "1",
    "long": " " * 60_000,
}


@pytest.mark.parametrize("header", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS.keys())
def test_hostile_headers_are_refused_before_anything_is_unpacked(tmp_path: Path, header: str) -> None:
    text = header.encode()
    file = tmp_path / "d.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        body = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16 << 20)
        archive.writestr("x.npy", body)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"damaged|too large"):
            npz.read_npz(file, frozenset({"x"}))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_long_header_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x02\x00" + (16 << 20).to_bytes(4, "little") + b" " * (16 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="header has"):
            npz.read_npz(file, frozenset({"x"}))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_told_whatever_its_codec(tmp_path: Path, method: int) -> None:
    file = tmp_path / "d.npz"
    whole = io.BytesIO()
    np.save(whole, np.random.default_rng(0).integers(-128, 127, (50, 2, 2)).astype(np.int8))
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x.npy", whole.getvalue())
    content = bytearray(file.read_bytes())
    for place in range(40, len(content) - 120, 19):
        damaged = bytes(content[:place]) + b"\xff" * 16 + bytes(content[place + 16 :])
        file.write_bytes(damaged)
        with contextlib.suppress(DataError):  # nothing but this error may come out of it
            npz.read_npz(file, frozenset({"x"}))


def test_a_member_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("\u00e9.npy", b"x")
    file.write_bytes(file.read_bytes().replace("\u00e9".encode(), b"\xff\xfe"))
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        npz.read_npz(file, frozenset({"x"}))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"not a zip at all"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "d.npz"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        load_dataset(file, SPACE, frames=False)


def test_a_truncated_array_is_told(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, np.zeros((3, 2, 2), np.int8))
    file = tmp_path / "d.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", whole.getvalue()[:-3])
    with pytest.raises(DataError, match="truncated"):
        load_dataset(file, SPACE, frames=False)


def test_labels_out_of_range_name_the_sample() -> None:
    with pytest.raises(DataError, match="label 9 at sample 2"):
        check_labels(np.array([0, 1, 9]), 3)
