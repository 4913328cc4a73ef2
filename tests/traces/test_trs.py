"""Riscure .trs files of both versions, and headers that lie about lengths."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.records import Basis
from tinymlsec.traces.files import TraceFileError
from tinymlsec.traces.trs import open_trs
from traces.sound_traces import CODES, N, T, definitions, inputs, samples, tag, trs, whole


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "scope.trs"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize(("title", "before"), [(0, 0), (11, 3)])
def test_every_coding_and_version(tmp_path: Path, version: int, kind: str, title: int, before: int) -> None:
    data = trs(samples(kind), inputs(), title=title, before=before, version=version)
    traces = open_trs(written(tmp_path, data))
    got, given = whole(traces)
    assert (got == samples(kind).astype(np.float32)).all()
    assert (given == inputs()).all()
    assert traces.info.basis is Basis.MEASURED
    assert traces.info.sampling_hz == 1e6
    assert f"Riscure .trs, version {version}" in traces.info.source


def test_without_inputs_and_with_a_place_given_by_hand(tmp_path: Path) -> None:
    plain = open_trs(written(tmp_path, trs(samples())))
    assert whole(plain)[1].shape == (N, 0)
    unmarked = written(tmp_path, trs(samples(), inputs(), before=2, changes={0x6B: None, 0x6E: None}))
    traces = open_trs(unmarked)
    assert whole(traces)[1].shape == (N, 0)
    assert "8 bytes of data with each trace, none marked as input" in traces.info.source
    assert (whole(open_trs(unmarked, (2, 6)))[1] == inputs()).all()
    for place in ((3, 6), (-1, 3), (0, 0), (8, 1)):
        with pytest.raises(TraceFileError, match="no such input"):
            open_trs(unmarked, place)


def test_lengths_in_every_form_and_unknown_tags(tmp_path: Path) -> None:
    data = trs(samples("int16"), inputs())
    odd = tag(0x46, b"x" * 300) + tag(0x49, b"s", long=3) + tag(0x55, b"\0" * 4) + tag(0x76, b"y" * 70_000)
    got, _ = whole(open_trs(written(tmp_path, odd + data)))
    assert (got == samples("int16")).all()
    assert len(open_trs(written(tmp_path, data + bytes(500)))) == N, "room behind the traces is no damage"


def test_defaults_of_tags_that_are_left_out(tmp_path: Path) -> None:
    data = trs(samples("int8"), changes=dict.fromkeys((0x43, 0x44, 0x45, 0x47, 0x4B)))
    traces = open_trs(written(tmp_path, data))
    assert (whole(traces)[0] == samples("int8")).all()
    assert traces.info.sampling_hz is None


def defined(raw: bytes) -> bytes:
    """Version 2 with these definitions of trace parameters."""
    return trs(samples(), inputs(), version=2, changes={0x77: raw})


SOUND = trs(samples(), inputs(), title=4, before=1, version=2)
LIES: dict[str, tuple[bytes, str]] = {
    "no number of traces": (trs(samples(), changes={0x41: None}), "does not say its number of traces"),
    "no number of samples": (trs(samples(), changes={0x42: None}), "does not say its samples"),
    "no traces": (trs(samples(), changes={0x41: bytes(4)}), r"number of traces \(file offset 0x2\)(?s:.)*1 or more"),
    "negative": (trs(samples(), changes={0x42: struct.pack("<i", -5)}), "found: -5"),
    "too many traces": (trs(samples(), changes={0x41: struct.pack("<i", 2**31 - 1)}), "truncated"),
    "too many samples": (trs(samples(), changes={0x42: struct.pack("<i", 2**31 - 1)}), "truncated"),
    "too much of both": (trs(samples(), changes=dict.fromkeys((0x41, 0x42), b"\xff" * 7 + b"\x7f")), "truncated"),
    "number of 9 bytes": (trs(samples(), changes={0x41: b"\x01" + bytes(8)}), "number of traces"),
    "unknown coding": (trs(samples(), changes={0x43: b"\x18"}), r"unknown sample coding \((?s:.)*0x18"),
    "coding of two bytes": (trs(samples(), changes={0x43: b"\x01\x01"}), "unknown sample coding"),
    "input beyond the data": (trs(samples(), inputs(), changes={0x6E: struct.pack("<i", 99)}), "beyond the data"),
    "negative input": (trs(samples(), inputs(), changes={0x6B: struct.pack("<i", -1)}), "offset of the input"),
    "definition beyond the data": (defined(definitions(("INPUT", 0x04, 9000, 60_000))), "beyond the data"),
    "definition of an unknown type": (defined(definitions(("INPUT", 0x33, 1, 0))), "type of a trace parameter"),
    "definitions that end early": (defined(struct.pack("<HH", 65535, 65535) + b"IN"), "end early"),
    "tag beyond the file": (tag(0x46, b"x" * 200)[:-190], "reaches beyond the file"),
    "length beyond everything": (b"\x46\x88" + b"\xff" * 8, "reaches beyond the file"),
    "length of nine bytes": (b"\x46\x89" + b"\xff" * 9, "length of tag 0x46"),
    "length cut off": (b"\x46\x84\x01", "length of tag 0x46"),
    "no trace block": (SOUND[:20], "ends within its header|reaches beyond"),
    "many tags": (tag(0x46, b"") * 5000, "no end of its header"),
    "empty": (b"", "ends within its header"),
    "another file": (b"<?xml version='1.0'?>", r"no \.trs file \(file offset 0x0\)"),
    "long header": (tag(0x46, bytes(1 << 24)) + SOUND, "beyond the header"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_headers_that_lie(tmp_path: Path, name: str) -> None:
    data, words = LIES[name]
    with pytest.raises(TraceFileError, match=words):
        open_trs(written(tmp_path, data))


def test_truncated_at_every_place(tmp_path: Path) -> None:
    """Every shorter file is refused with the number of whole traces that are there."""
    step = 4 + 1 + 6 + 4 * T
    begin = len(SOUND) - N * step
    for size in [*range(begin), begin, begin + 1, begin + step, len(SOUND) - 1]:
        with pytest.raises(TraceFileError) as caught:
            open_trs(written(tmp_path, SOUND[:size]))
        if size >= begin:
            assert caught.value.offset == size
            assert caught.value.found is not None
            assert caught.value.found.endswith(f"{(size - begin) // step} whole rows")


def test_a_value_that_is_no_number_is_named_with_its_offset(tmp_path: Path) -> None:
    data = samples()
    data[20, 3] = np.nan
    raw = trs(data, inputs(), title=4)
    at = len(raw) - (N - 20) * (4 + 6 + 4 * T) + 4 + 6 + 4 * 3
    assert raw[at : at + 4] == np.float32(np.nan).tobytes()
    with pytest.raises(TraceFileError, match=rf"file offset 0x{at:x}\)(?s:.)*trace 20, sample 3"):
        whole(open_trs(written(tmp_path, raw)))
