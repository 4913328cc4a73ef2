"""Traces in NumPy files: mapped where possible, refused with the place where something is wrong."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.records import Basis
from tinymlsec.traces.files import TraceFileError
from tinymlsec.traces.imports import load_traces
from tinymlsec.traces.numpy_file import open_npz
from traces.sound_traces import K, N, T, inputs, npy, npz, samples, whole


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", ">i2", "int32", "float16", "float32", ">f8", "float64"])
def test_npy_of_every_type(tmp_path: Path, kind: str) -> None:
    data = samples().astype(kind)
    given = written(tmp_path / "in.npy", npy(inputs().reshape(N, 2, K // 2).view(np.int8)))
    traces = load_traces(written(tmp_path / "a.npy", npy(data)), inputs=given)
    got, bytes_ = whole(traces)
    assert (got == data.astype(np.float32)).all()
    assert (bytes_ == inputs()).all()
    assert (len(traces), traces.samples, len(traces.pc)) == (N, T, 0)
    assert traces.info.basis is Basis.MEASURED
    assert traces.info.source == "a.npy (NumPy)"


def test_fortran_order_and_parts(tmp_path: Path) -> None:
    data = np.asfortranarray(samples())
    traces = load_traces(written(tmp_path / "a.npy", npy(data)))
    assert (whole(traces)[0] == data).all()
    part = next(traces.chunks(5, start=8, end=11))
    assert part.first == 8
    assert (part.samples == data[8:11]).all()
    assert part.inputs.shape == (3, 0)


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_everything(tmp_path: Path, compressed: bool) -> None:
    pc = np.arange(T, dtype=np.uint32) * 2
    path = written(tmp_path / "a.npz", npz(
        compressed, samples=samples("int16"), inputs=inputs(), pc=pc, model_digest="ab" * 32, window="op:0",
        core="cortex-m4", sampling_hz=1e8, other=np.zeros(3),
    ))  # fmt: skip
    traces = open_npz(path)
    got, given = whole(traces)
    assert (got == samples("int16")).all()
    assert (given == inputs()).all()
    assert (traces.pc == pc).all()
    info = traces.info
    assert (info.model_digest, info.window, info.core, info.sampling_hz) == ("ab" * 32, "op:0", "cortex-m4", 1e8)
    mapped = isinstance(traces.data.base, np.memmap) or isinstance(getattr(traces.data.base, "base", None), np.memmap)
    assert mapped is not compressed, "what is stored is mapped, what is compressed cannot be"


def test_names_of_chipwhisperer_are_understood(tmp_path: Path) -> None:
    traces = load_traces(written(tmp_path / "a.npz", npz(traces=samples(), textin=inputs().astype(np.int64))))
    assert (whole(traces)[1] == inputs()).all()


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """A file with a hole of 40 GB, of which two traces are asked for."""
    path = tmp_path / "big.npy"
    head = npy(np.zeros((1, 1000), np.float32))[:128].replace(b"(1, 1000)", b"(10000000, 1000)"[:16])
    head = head.replace(b"}" + b" " * 7, b"}")[:127].rstrip(b"\n").ljust(127) + b"\n"
    path.write_bytes(head)
    os.truncate(path, 128 + 40_000_000_000)
    with path.open("r+b") as stream:
        stream.seek(128 + 4000 * 9_999_999)
        stream.write(np.full(1000, 7, np.float32).tobytes())
    traces = load_traces(path)
    assert len(traces) == 10_000_000
    assert (next(traces.chunks(1, start=9_999_999)).samples == 7).all()


def test_facts_beside_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npy", npy(samples()))
    side = tmp_path / "a.npy.json"
    side.write_text(json.dumps({"model_digest": "cd" * 32, "core": "cortex-m7", "sampling_hz": 5e8}))
    info = load_traces(path).info
    assert (info.model_digest, info.core, info.sampling_hz) == ("cd" * 32, "cortex-m7", 5e8)
    assert info.basis is Basis.MEASURED
    for bad, words in (
        ('{"basis": "executed"}', "basis"), ("[1]", "list"), ("{", "no JSON"), ("[" * 60_000, "no JSON"),
        ('{"sampling_hz": "fast"}', "cannot be used"), (" " * 70_000, "too long"),
    ):  # fmt: skip
        side.write_text(bad)
        with pytest.raises(TraceFileError, match=words):
            load_traces(path)


BAD_NPY = {
    "truncated": (npy(samples())[:-5], r"truncated \(file offset 0x.*\)(?s:.)*23 whole rows(?s:.)*24 rows"),
    "cut in the header": (npy(samples())[:40], "no array of NumPy"),
    "empty": (b"", "no array of NumPy"),
    "other file": (b"GIF89a" + bytes(300), "no array of NumPy"),
    "one dimension": (npy(samples()[0]), r"shape \(30,\)"),
    "three dimensions": (npy(samples().reshape(4, 6, 30)), r"shape \(4, 6, 30\)"),
    "no traces": (npy(samples()[:0]), r"shape \(0, 30\)"),
    "complex": (npy(samples().astype(complex)), "complex128"),
    "text": (npy(np.array([["a", "b"]])), "U1"),
    "records": (npy(np.zeros((3, 4), [("a", "i4")])), "holds no traces"),
}


@pytest.mark.parametrize("name", BAD_NPY)
def test_bad_npy(tmp_path: Path, name: str) -> None:
    data, words = BAD_NPY[name]
    with pytest.raises(TraceFileError, match=words):
        load_traces(written(tmp_path / "bad.npy", data))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "bad.npy"
    np.save(path, np.array([[{}]]), allow_pickle=True)
    with pytest.raises(TraceFileError, match="pickle"):
        load_traces(path)
    np.savez(tmp_path / "bad.npz", samples=np.array([[{}]]), allow_pickle=True)
    with pytest.raises(TraceFileError, match="pickle"):
        load_traces(tmp_path / "bad.npz")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_values_that_are_no_numbers_are_named_with_their_offset(tmp_path: Path, bad: float) -> None:
    data = samples("float64")
    data[17, 4] = bad
    raw = npy(data)
    at = raw.index(np.float64(bad).tobytes(), 128 + (17 * T + 4) * 8)
    traces = load_traces(written(tmp_path / "a.npy", raw))
    next(traces.chunks(10))
    with pytest.raises(TraceFileError, match=rf"no number \(file offset 0x{at:x}\)(?s:.)*trace 17, sample 4"):
        whole(traces)


@pytest.mark.parametrize(("count", "word"), [(N - 1, "fewer"), (N + 3, "more")])
def test_inputs_that_do_not_belong(tmp_path: Path, count: int, word: str) -> None:
    path = written(tmp_path / "a.npy", npy(samples()))
    given = written(tmp_path / "in.npy", npy(inputs(count)))
    with pytest.raises(
        TraceFileError, match=rf"{word} inputs than traces(?s:.)*found: {count} inputs(?s:.)*expected: 24"
    ):
        load_traces(path, inputs=given)
    with pytest.raises(TraceFileError, match=f"{word} inputs than traces"):
        load_traces(written(tmp_path / "a.npz", npz(samples=samples(), inputs=inputs(count))))


def test_inputs_of_a_wrong_type(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npy", npy(samples()))
    with pytest.raises(TraceFileError, match="float32"):
        load_traces(path, inputs=written(tmp_path / "in.npy", npy(samples())))
    wide = load_traces(path, inputs=written(tmp_path / "in.npy", npy(inputs().astype(np.int16) * 2)))
    with pytest.raises(TraceFileError, match=r"found: \d+ to \d\d\d(?s:.)*0 to 255"):
        whole(wide)


def test_bad_npz(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    good, some = npz(samples=samples(), inputs=inputs()), samples()
    for data, words in (
        (good[:-40], "cannot be read"), (b"PK" + bytes(200), "cannot be read"), (npz(x=some), "holds no samples"),
        (npz(samples=some, pc=np.zeros(3, np.uint32)), "found: 3"), (npz(samples=some, pc=some), "float32"),
        (npz(samples=some, model_digest=3), "model_digest"), (npz(samples=some, sampling_hz="x"), "sampling_hz"),
        (npz(samples=some, sampling_hz=np.nan), "facts"), (npz(**{f"a{i}": 1 for i in range(70)}), "too many arrays"),
    ):  # fmt: skip
        with pytest.raises(TraceFileError, match=words):
            open_npz(written(path, data))


def test_a_stored_member_that_says_more_than_it_holds(tmp_path: Path) -> None:
    """Mapped arrays must stay within their member: what comes after it is not theirs."""
    path = tmp_path / "bad.npz"
    array = npy(samples()).replace(b"(24, 30)", b"(25, 30)")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples.npy", array)
        archive.writestr("inputs.npy", npy(inputs(400)))
    with pytest.raises(TraceFileError, match=r"truncated \(file offset"):
        open_npz(path)


def test_a_compressed_array_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    head = npy(np.zeros((1, 1), np.float32))[:128].replace(b"(1, 1), }", b"(1000000, 100000), }")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", head[:127].rstrip().ljust(127) + b"\n" + bytes(1000))
    with pytest.raises(TraceFileError, match=r"too large|is damaged"):
        open_npz(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match=r"cannot be read(?s:.)*No such file"):
        load_traces(tmp_path / "absent.npy")
    (tmp_path / "folder.npz.d").mkdir()
    with pytest.raises(TraceFileError, match="regular file"):
        open_npz(tmp_path / "folder.npz.d")
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(TraceFileError, match="regular file"):
        load_traces(tmp_path / "pipe.npy")
    with pytest.raises(TraceFileError, match=r"no kind of trace file(?s:.)*\.trs"):
        load_traces(written(tmp_path / "a.csv", b"1,2"))
