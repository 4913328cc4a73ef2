"""Zarr folders: whole or absent, gone on with after an interrupt, and never believed about their sizes."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zarr", reason="needs tinymlsec[sidechannel]")

import zarr

from tinymlsec.errors import CapabilityMissing
from tinymlsec.records import Basis
from tinymlsec.traces import zarr_store as module
from tinymlsec.traces.files import TraceFileError
from tinymlsec.traces.imports import load_traces
from tinymlsec.traces.traceset import ArrayTraces, Chunk, Noise, TraceError, TraceInfo
from tinymlsec.traces.zarr_store import open_zarr, write_zarr
from traces.lock_holder import hold_lock
from traces.sound_traces import N, T, array_traces, inputs, samples, whole


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of five traces."""
    monkeypatch.setattr(module, "TARGET", 5 * 4 * T)


@dataclass(frozen=True)
class Counting:
    """A set that notes which traces it was asked for, and stops where it is told to."""

    inner: ArrayTraces
    asked: list[tuple[int, int]] = field(default_factory=list)
    stop_at: int | None = None

    @property
    def info(self) -> TraceInfo:
        return self.inner.info

    @property
    def samples(self) -> int:
        return self.inner.samples

    @property
    def pc(self) -> np.ndarray:
        return self.inner.pc

    def __len__(self) -> int:
        return len(self.inner)

    def chunks(self, size: int = 10, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        for chunk in self.inner.chunks(size, start=start, end=end):
            if self.stop_at is not None and chunk.first >= self.stop_at:
                raise KeyboardInterrupt
            self.asked.append((chunk.first, chunk.first + len(chunk.samples)))
            yield chunk


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.usefixtures("small_chunks")
def test_what_is_written_is_read(tmp_path: Path) -> None:
    traces = array_traces(
        model_digest="ab" * 32, noise=Noise(sigma=1.5, snr=0.1, snr_at=3, jitter=2), seed=7, window="op:0"
    )
    steps: list[tuple[int, int]] = []
    made = write_zarr(traces, tmp_path / "deep" / "set", progress=lambda done, total, _: steps.append((done, total)))
    for again in (made, load_traces(tmp_path / "deep" / "set")):
        got, given = whole(again)
        assert (got == traces.data).all()
        assert (given == traces.inputs).all()
        assert (again.pc == traces.pc).all()
        assert again.info == traces.info
        assert (len(again), again.samples) == (N, T)
        part = next(again.chunks(4, start=6, end=9))
        assert (part.samples == traces.data[6:9]).all()
    assert left(tmp_path / "deep") == {"set"}, "nothing but the set is left"
    assert steps == [(0, N), (5, N), (10, N), (15, N), (20, N), (N, N)]
    assert zarr.open_group(str(tmp_path / "deep" / "set"), mode="r")["samples"].shape == (N, T), (
        "plain Zarr reads it, too"
    )


def test_without_inputs_and_addresses(tmp_path: Path) -> None:
    info = TraceInfo(source="scope", basis=Basis.MEASURED)
    made = write_zarr(ArrayTraces(info, np.zeros((3, 2), np.float32)), tmp_path / "a")
    got, given = whole(made)
    assert (got == 0).all(), "chunks of zeros are written like others"
    assert given.shape == (3, 0)
    assert len(made.pc) == 0


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("stop", [0, 1, 5, 12, 20])
def test_an_interrupted_run_is_gone_on_with(tmp_path: Path, stop: int) -> None:
    traces = array_traces()
    with pytest.raises(KeyboardInterrupt):
        write_zarr(Counting(traces, stop_at=stop), tmp_path / "set")
    assert not (tmp_path / "set").exists()
    second = Counting(traces)
    got, given = whole(write_zarr(second, tmp_path / "set"))
    assert (got == traces.data).all()
    assert (given == traces.inputs).all()
    done = -(-stop // 5) * 5
    written = [span for span in second.asked if span[1] > span[0] + 1 and span[0] >= done]
    assert written[0][0] == done, "what was there is not written again"
    assert sum(end - first for first, end in written) == N - done
    assert left(tmp_path) == {"set"}


@pytest.mark.usefixtures("small_chunks")
def test_only_the_same_traces_are_gone_on_with(tmp_path: Path) -> None:
    for other in (
        array_traces(seed=8), array_traces(n=N + 1), array_traces(k=3), array_traces(k=0),
        ArrayTraces(array_traces().info, -array_traces().data, inputs(), array_traces().pc),
        ArrayTraces(array_traces().info, array_traces().data, inputs(), array_traces().pc + 2),
    ):  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            write_zarr(Counting(array_traces(), stop_at=15), tmp_path / "set")
        made = write_zarr(other, tmp_path / "set")
        assert (whole(made)[0] == other.data).all()
        assert (whole(made)[1].shape[1]) == (other.inputs.shape[1] if len(other.inputs) else 0)
        shutil.rmtree(tmp_path / "set")


@pytest.mark.usefixtures("small_chunks")
def test_damage_of_an_interrupted_run_is_made_good(tmp_path: Path) -> None:
    traces = array_traces()
    for file, data in (("samples/c/2/0", b"torn"), ("samples/zarr.json", b"{"), ("zarr.json", b"")):
        with pytest.raises(KeyboardInterrupt):
            write_zarr(Counting(traces, stop_at=15), tmp_path / "set")
        (tmp_path / ".set.partial" / file).write_bytes(data)
        assert (whole(write_zarr(traces, tmp_path / "set"))[0] == traces.data).all()
        shutil.rmtree(tmp_path / "set")


def test_a_killed_writer_leaves_nothing_half_done(tmp_path: Path) -> None:
    """SIGKILL at any time: afterwards there is no set, and a second run makes it."""
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tinymlsec.traces import zarr_store\n"
        "from traces.sound_traces import array_traces\n"
        "zarr_store.TARGET = 4 * 30 * 5\n"
        "def slow(done, total, what): print(done, flush=True); time.sleep(0.02)\n"
        "zarr_store.write_zarr(array_traces(n=2000), Path(sys.argv[1]), progress=slow)\n"
    )
    tests = str(Path(__file__).resolve().parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "set"), tests], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 100:
        pass
    process.kill()
    process.wait()
    assert not (tmp_path / "set").exists()
    assert (tmp_path / ".set.partial").is_dir()
    traces = array_traces(n=2000)
    assert (whole(write_zarr(traces, tmp_path / "set"), 500)[0] == traces.data).all()


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold_lock, args=(str(tmp_path / ".set.lock"), ready, done))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(TraceFileError, match="another process is writing"):
            write_zarr(array_traces(), tmp_path / "set")
    finally:
        done.set()
        other.join(30)
    assert other.exitcode == 0
    write_zarr(array_traces(), tmp_path / "set")


def test_a_set_that_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    write_zarr(array_traces(seed=1), tmp_path / "set")
    with pytest.raises(TraceFileError, match="something already"):
        write_zarr(array_traces(seed=2), tmp_path / "set")
    with pytest.raises(KeyboardInterrupt):
        write_zarr(Counting(array_traces(seed=2), stop_at=0), tmp_path / "set", overwrite=True)
    assert open_zarr(tmp_path / "set").info.seed == 1, "until the new one is whole, the old one stands"
    assert write_zarr(array_traces(seed=2), tmp_path / "set", overwrite=True).info.seed == 2
    assert left(tmp_path) == {"set"}


def test_a_full_disk_and_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceFileError, match="cannot be written"):
        write_zarr(array_traces(), tmp_path / "file" / "set")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(TraceFileError, match=r"disk is full(?s:.)*it goes on"):
        write_zarr(array_traces(), tmp_path / "set")


def test_bad_samples_are_not_written(tmp_path: Path) -> None:
    data = samples()

    class Sick(Counting):
        def chunks(self, size: int = 10, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
            for chunk in self.inner.chunks(size, start=start, end=end):
                bad = chunk.samples.copy()
                bad[-1, -1] = np.nan
                yield Chunk(chunk.first, bad, chunk.inputs)

    with pytest.raises(TraceError, match="no number"):
        write_zarr(Sick(ArrayTraces(array_traces().info, data)), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_zarr_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for call in (lambda: open_zarr(tmp_path), lambda: write_zarr(array_traces(), tmp_path / "a")):
        with pytest.raises(CapabilityMissing, match="sidechannel"):
            call()


# Folders that others made.


@pytest.mark.parametrize("codec", ["blosc", "zstd", "none"])
def test_folders_of_others(tmp_path: Path, codec: str) -> None:
    packed = {"blosc": [zarr.codecs.BloscCodec()], "zstd": [zarr.codecs.ZstdCodec()], "none": []}[codec]
    group = zarr.create_group(str(tmp_path / "g"), zarr_format=3)
    group.create_array("traces", shape=(N, T), chunks=(7, 11), dtype="int16", compressors=packed)[:] = samples("int16")
    group.create_array("textin", shape=(N, 2, 3), chunks=(5, 2, 3), dtype="uint8", compressors=packed)[:] = (
        inputs().reshape(N, 2, 3)
    )
    got, given = whole(load_traces(tmp_path / "g"), 10)
    assert (got == samples("int16")).all()
    assert (given == inputs()).all()
    assert load_traces(tmp_path / "g").info.basis is Basis.MEASURED
    zarr.create_array(str(tmp_path / "a"), shape=(N, T), chunks=(7, 11), dtype="float64", compressors=packed)[:] = (
        samples()
    )
    assert (whole(load_traces(tmp_path / "a"))[0] == samples()).all()


def edited(path: Path, **changes: object) -> None:
    told = json.loads(path.read_text())
    for name, value in changes.items():
        if value is None:
            told.pop(name, None)
        else:
            told[name] = value
    path.write_text(json.dumps(told))


def grid(*shape: int, name: str = "regular") -> dict[str, object]:
    return {"name": name, "configuration": {"chunk_shape": list(shape)}}


LIES: dict[str, tuple[dict[str, object], str]] = {
    "no shape": ({"shape": None}, "incomplete"),
    "shape of words": ({"shape": ["a", "b"]}, "incomplete"),
    "negative shape": ({"shape": [-1, T]}, "incomplete"),
    "truth as number": ({"shape": [True, T]}, "incomplete"),
    "one dimension": ({"shape": [N * T], "chunk_grid": grid(5)}, "no traces"),
    "more traces than chunks": ({"shape": [N + 100, T]}, r"fewer inputs than traces|missing"),
    "other chunks": ({"chunk_grid": grid(6, T)}, "damaged"),
    "vast chunks": ({"chunk_grid": grid(1 << 40, T)}, "too large"),
    "endless rows": ({"shape": [N, 1 << 47], "chunk_grid": grid(5, 1 << 20)}, "too long"),
    "tiny chunks": ({"shape": [N, 1 << 20], "chunk_grid": grid(5, 1)}, "too small"),
    "another grid": ({"chunk_grid": grid(5, T, name="hexagons")}, "no plain array"),
    "no grid": ({"chunk_grid": 5}, "incomplete"),
    "complex": ({"data_type": "complex64"}, "not read"),
    "type of its own": ({"data_type": {"name": "struct"}}, "not read"),
    "another width": ({"data_type": "float64"}, "damaged"),
    "unknown codec": ({"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]}, "not read"),
    "two compressors": ({"codecs": [{"name": "bytes"}, {"name": "blosc"}, {"name": "zstd"}]}, "not read"),
    "no codec": ({"codecs": []}, "not read"),
    "codecs of no kind": ({"codecs": ["bytes"]}, "incomplete"),
    "transformers": ({"storage_transformers": [{"name": "x"}]}, "no plain array"),
    "another encoding": ({"chunk_key_encoding": {"name": "v2"}}, "no plain array"),
    "version 2": ({"zarr_format": 2}, "no description of Zarr"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
@pytest.mark.usefixtures("small_chunks")
def test_descriptions_that_lie(tmp_path: Path, name: str) -> None:
    write_zarr(array_traces(), tmp_path / "set")
    changes, words = LIES[name]
    edited(tmp_path / "set" / "samples" / "zarr.json", **changes)
    with pytest.raises(TraceFileError, match=words):
        whole(load_traces(tmp_path / "set"))


@pytest.mark.usefixtures("small_chunks")
def test_chunks_that_lie(tmp_path: Path) -> None:
    write_zarr(array_traces(), tmp_path / "set")
    chunk = tmp_path / "set" / "samples" / "c" / "2" / "0"
    sound = chunk.read_bytes()
    vast = sound[:4] + (2**31 - 1).to_bytes(4, "little") + sound[8:]
    for data, words in (
        (sound[:-1], "damaged"), (b"", "damaged"), (vast, "unpack to 2,147,483,647"), (sound + bytes(9), "damaged"),
        (sound[:20] + bytes([sound[20] ^ 1]) + sound[21:], "damaged"), (None, "missing"),
    ):  # fmt: skip
        chunk.unlink(missing_ok=True)
        if data is not None:
            chunk.write_bytes(data)
        traces = load_traces(tmp_path / "set")
        next(traces.chunks(10))
        with pytest.raises(TraceFileError, match=rf"(?s:chunk.*{words})"):
            whole(traces)
    chunk.unlink(missing_ok=True)
    os.mkfifo(chunk)
    with pytest.raises(TraceFileError, match="regular file"):
        whole(load_traces(tmp_path / "set"))


def test_a_zstandard_frame_that_does_not_say_its_size_is_refused(tmp_path: Path) -> None:
    """It could unpack to anything; so could one that says something vast."""
    zarr.create_array(
        str(tmp_path / "a"), shape=(600, 300), chunks=(600, 300), dtype="uint8", compressors=[zarr.codecs.ZstdCodec()]
    )[:] = 5
    chunk = tmp_path / "a" / "c" / "0" / "0"
    sound = chunk.read_bytes()
    assert whole(load_traces(tmp_path / "a"))[0].mean() == 5
    unknown = sound[:4] + bytes([sound[4] & 0x1F]) + b"\x58" + sound[5 + (4 if sound[4] >> 6 == 2 else 2) :]
    for data in (unknown, sound[:5] + b"\xff" * 4 + sound[9:], b"\0" * 40):
        chunk.write_bytes(data)
        with pytest.raises(TraceFileError, match="damaged"):
            whole(load_traces(tmp_path / "a"))


def test_other_folders(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match=r"no Zarr folder(?s:.)*zarr_format=3"):
        load_traces(tmp_path)
    zarr.create_group(str(tmp_path / "empty"), zarr_format=3)
    with pytest.raises(TraceFileError, match="holds no samples"):
        load_traces(tmp_path / "empty")
    (tmp_path / "deep").mkdir()
    for text, words in (("[" * 100_000, "no JSON"), ("3", "no description"), (" " * (2 << 20), "too long")):
        (tmp_path / "deep" / "zarr.json").write_text(text)
        with pytest.raises(TraceFileError, match=words):
            load_traces(tmp_path / "deep")
    write_zarr(array_traces(), tmp_path / "set")
    for attributes in ({"tinymlsec_traces": 3}, {"tinymlsec_traces": {"format": 99, "info": {}}},
                       {"tinymlsec_traces": {"format": 1, "info": {"source": "x"}}}):  # fmt: skip
        edited(tmp_path / "set" / "zarr.json", attributes=attributes)
        with pytest.raises(TraceFileError, match=r"does not say what|another version"):
            load_traces(tmp_path / "set")


@pytest.mark.usefixtures("small_chunks")
def test_fewer_inputs_than_traces(tmp_path: Path) -> None:
    write_zarr(array_traces(), tmp_path / "set")
    edited(tmp_path / "set" / "inputs" / "zarr.json", shape=[N - 1, 6])
    with pytest.raises(TraceFileError, match="fewer inputs than traces"):
        load_traces(tmp_path / "set")


MEMORY_PROGRAM = """
import resource, sys
import numpy as np
from pathlib import Path
from tinymlsec.analysis.correlation import Correlation
from tinymlsec.records import Basis
from tinymlsec.traces.traceset import Chunk, TraceInfo
from tinymlsec.traces.zarr_store import write_zarr

class Made:
    info, samples, pc = TraceInfo(source="made", basis=Basis.SIMULATED), 500, np.zeros(0, np.uint32)
    def __len__(self): return int(sys.argv[2])
    def chunks(self, size=10_000, *, start=0, end=None):
        end = len(self) if end is None else min(end, len(self))
        for first in range(start, end, size):
            rng, b = np.random.default_rng(first), min(size, end - first)
            inputs = rng.integers(0, 256, (b, 16), np.uint8)
            samples = rng.standard_normal((b, self.samples), np.float32)
            samples[:, 7] += np.bitwise_count(inputs[:, 3])
            yield Chunk(first, samples, inputs)

traces = write_zarr(Made(), Path(sys.argv[1]))
correlation = Correlation()
for chunk in traces.chunks():
    correlation.update(np.bitwise_count(chunk.inputs), chunk.samples)
result = correlation.result()
print(len(traces), result.peaks()[3], result.scores()[3], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_of(tmp_path: Path, count: int) -> int:
    command = [sys.executable, "-c", MEMORY_PROGRAM, str(tmp_path / "set"), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1200)
    traces, peak, score, megabytes = done.stdout.split()
    assert (int(traces), int(peak)) == (count, 7)
    assert float(score) == pytest.approx(np.sqrt(2) / np.sqrt(3), abs=0.02)
    return int(megabytes)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_traces(tmp_path: Path) -> None:
    """100,000 traces of 500 samples (200 MB on disk) take hardly more than 20,000; a million was measured apart."""
    small = peak_of(tmp_path / "small", 20_000)
    large = peak_of(tmp_path / "large", 100_000)
    print(f"{small} MB, {large} MB")
    assert large < 500
    assert large - small < 100, "a set that were kept would take 160 MB more; up to 81 were seen of the allocator alone"


def test_interrupt_by_signal(tmp_path: Path) -> None:
    """Ctrl-C in the midst of a run ends it in order and leaves what can be gone on with."""
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tinymlsec.traces import zarr_store\n"
        "from traces.sound_traces import array_traces\n"
        "zarr_store.TARGET = 4 * 30 * 5\n"
        "def slow(done, total, what): print(done, flush=True); time.sleep(0.01)\n"
        "try: zarr_store.write_zarr(array_traces(n=5000), Path(sys.argv[1]), progress=slow)\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    tests = str(Path(__file__).resolve().parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "set"), tests], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 50:
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert left(tmp_path) == {".set.partial"}
