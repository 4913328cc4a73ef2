"""ChipWhisperer projects: segments in order, and projects that reach out of their folder or are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinymlsec.records import Basis
from tinymlsec.traces.files import TraceFileError
from tinymlsec.traces.imports import load_traces
from traces.sound_traces import N, T, inputs, project, samples, whole


def test_segments_are_joined(tmp_path: Path) -> None:
    traces = load_traces(project(tmp_path))
    got, given = whole(traces)
    one = samples("float64") / 256
    assert (got == np.vstack([one, one + 1]).astype(np.float32)).all()
    assert (given == np.vstack([inputs(), inputs()])).all()
    assert len(traces) == 2 * N, "the row of zeros behind each segment is no trace"
    assert traces.info.basis is Basis.MEASURED
    assert traces.info.sampling_hz == 29538459.0
    part = next(traces.chunks(10, start=N - 2))
    assert (part.first, len(part.samples)) == (N - 2, 2), "no chunk reaches over the end of a segment"
    assert (next(traces.chunks(3, start=N + 5, end=N + 6)).samples == got[N + 5]).all()


def test_disabled_segments_and_quotes(tmp_path: Path) -> None:
    path = project(tmp_path, 3)
    change(path, "enabled1 = True", "enabled1 = False")
    last = "config_2026.11.25-10.00.02_.cfg"
    change(path, f"scope_data\\traces\\{last}", f'"scope_data/traces/{last}"')
    got, _ = whole(load_traces(path))
    assert len(got) == 2 * N
    assert got[N:].mean() - got[:N].mean() == pytest.approx(2, abs=1e-5)


def test_without_inputs_and_without_numbers(tmp_path: Path) -> None:
    path = project(tmp_path, 1, numTraces=0, scopeSampleRate="unknown")
    for file in (tmp_path / "scope_data" / "traces").glob("*textin.npy"):
        file.unlink()
    traces = load_traces(path)
    assert len(traces) == N + 1, "where nothing is said all rows count"
    assert traces.info.sampling_hz is None
    assert whole(traces)[1].shape == (N + 1, 0)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", ["../../etc/passwd.cfg", "/etc/passwd", "..\\..\\x.cfg", "a\0b"])
def test_nothing_outside_of_the_folder_is_opened(tmp_path: Path, name: str) -> None:
    path = project(tmp_path / "inside", 1)
    change(path, "scope_data\\traces\\config_2026.11.25-10.00.00_.cfg", name)
    with pytest.raises(TraceFileError, match=r"outside of its folder|cannot be"):
        load_traces(path)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    path = project(tmp_path / "inside", 1)
    file = next((tmp_path / "inside" / "scope_data" / "traces").glob("*traces.npy"))
    elsewhere = file.rename(tmp_path / "elsewhere.npy")
    file.symlink_to(elsewhere)
    with pytest.raises(TraceFileError, match="outside of its folder"):
        load_traces(path)


def test_damage_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "scope_data" / "traces"
    path = project(tmp_path, 1)
    config, rows = next(folder.glob("*.cfg")), next(folder.glob("*traces.npy"))
    sound = {file: file.read_bytes() for file in (path, config, rows, next(folder.glob("*textin.npy")))}
    text = next(folder.glob("*textin.npy"))

    def refused(words: str) -> None:
        with pytest.raises(TraceFileError, match=words):
            whole(load_traces(path))
        for file, data in sound.items():
            file.write_bytes(data)

    change(config, f"numTraces = {N}", f"numTraces = {N + 5}")
    refused(rf"are missing(?s:.)*found: {N + 1} traces(?s:.)*expected: {N + 5}")
    change(config, "format = native", "format = mysql")
    refused("another format")
    change(config, "prefix = ", "prefix = ../")
    refused("another format")
    change(config, "[Trace Config]", "[Other]")
    refused("no file of ChipWhisperer")
    config.unlink()
    refused("cannot be read")
    rows.write_bytes(sound[rows][:-9])
    refused("truncated")
    np.save(rows, samples()[0])
    refused("holds no traces")
    np.save(text, inputs(N - 4))
    refused("fewer inputs than traces")
    np.save(text, np.array([[None] * 3] * N), allow_pickle=True)
    refused("pickle")
    path.write_bytes(b"\xff\xfe\x00")
    refused("no file of ChipWhisperer")
    path.write_text("no section at all")
    refused("no file of ChipWhisperer")
    change(path, "enabled0 = True", "enabled0 = False")
    refused("1 segments, 0 enabled")
    path.write_bytes(b"#" * (2 << 20))
    refused("too long")
    assert len(load_traces(path)) == N, "sound again"


def test_segments_that_do_not_belong_together(tmp_path: Path) -> None:
    path = project(tmp_path, 2)
    rows = sorted((tmp_path / "scope_data" / "traces").glob("*traces.npy"))[1]
    np.save(rows, np.zeros((N, T + 1)))
    with pytest.raises(TraceFileError, match=r"do not belong together(?s:.)*found: 31 samples(?s:.)*expected: 30"):
        load_traces(path)
