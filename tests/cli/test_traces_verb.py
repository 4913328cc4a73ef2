"""`tinymlsec traces`: campaigns are kept and gone on with, every kind of set is shown and converted, damage exits 2."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zarr", reason="needs tinymlsec[sidechannel]")

from cli.conftest import Call
from tinymlsec.traces.imports import load_traces
from traces.sound_traces import N, T, array_traces, inputs, npy, npz, project, samples, trs, whole

DEVICE = "stm32l4r5zi"


@pytest.fixture
def firmware() -> None:
    pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
    pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")


def said(output: str, name: str) -> str:
    found = re.search(rf"^{name}: +(.*)$", output, re.MULTILINE)
    assert found is not None, f"{name} is not in\n{output}"
    return found[1]


@pytest.mark.usefixtures("firmware")
def test_a_campaign_is_kept_with_all_that_it_is(call: Call, digits: object, tmp_path: Path) -> None:
    done = call("traces", "simulate", digits.model, "--device", DEVICE, "-o", "kept", "--count", 300, "--snr", 0.5)  # type: ignore[attr-defined]
    assert done.returncode == 0, done.stderr
    kept = load_traces(tmp_path / "kept")
    assert (len(kept), kept.info.basis, kept.info.window) == (300, "simulated", said(done.stdout, "window"))
    assert kept.info.noise.snr == 0.5
    assert f"sigma {kept.info.noise.sigma:.6g}, a ratio of 0.5 at sample {kept.info.noise.snr_at}" in done.stdout
    data, given = whole(kept)
    assert len(np.unique(given, axis=0)) == 300
    at = kept.info.noise.snr_at
    assert at is not None
    assert data[:, at].std() == pytest.approx(kept.info.noise.sigma * np.sqrt(1.5), rel=0.1)
    shown = call("traces", "show", "kept")
    assert said(shown.stdout, "digest") == said(done.stdout, "digest")


@pytest.mark.usefixtures("firmware")
def test_a_later_layer_is_fed_what_the_runtime_computes(call: Call, digits: object, tmp_path: Path) -> None:
    """Loads of the activations show on the bus: they are those of the layers before, for the inputs of the set."""
    from tinymlsec.target.oracle import OraclePool, runtime_available
    from tinymlsec.target.tflite.cut import cut_model
    from tinymlsec.target.tflite.reader import read_model

    if not runtime_available()[0]:
        pytest.skip("no runtime")
    model = read_model(digits.model.read_bytes())  # type: ignore[attr-defined]
    dense = next(op for op in model.main.operators if op.name == "FULLY_CONNECTED")
    window = f"op:{dense.index}@0,0,0:1"
    done = call("traces", "simulate", digits.model, "--device", DEVICE, "-o", "late", "--window", window,  # type: ignore[attr-defined]
                "--leakage", "bus", "--count", 40, "--data", digits.data)  # fmt: skip  # type: ignore[attr-defined]
    assert done.returncode == 0, done.stderr
    data, given = whole(load_traces(tmp_path / "late"))
    with OraclePool(1) as pool:
        fed = pool.open(cut_model(model, dense.inputs[0])).run(given.view(np.int8).reshape(-1, 1, 8, 8, 1))
    weights = np.bitwise_count(fed.reshape(40, -1).view(np.uint8))
    varying = weights[:, weights.std(axis=0) > 0]
    columns = {tuple(column) for column in data.T.astype(int)}
    assert len(varying.T) > 5
    assert all(tuple(column.astype(int)) in columns for column in varying.T)


@pytest.mark.usefixtures("firmware")
def test_an_interrupted_campaign_goes_on_and_is_the_same(call: Call, digits: object, tmp_path: Path) -> None:
    words = ["traces", "simulate", str(digits.model), "--device", DEVICE, "--count", "60000", "--sigma", "3", "-q"]  # type: ignore[attr-defined]
    whole_one = call(*words, "-o", "whole")
    assert whole_one.returncode == 0, whole_one.stderr
    process = subprocess.Popen([sys.executable, "-m", "tinymlsec", *words, "-o", "cut"], cwd=tmp_path,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    began = time.monotonic()
    while not any((tmp_path / ".cut.partial").rglob("c/1/0")):
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the same command goes on" in errors
    assert not (tmp_path / "cut").exists()
    again = call(*words[:-1], "-o", "cut")
    assert again.returncode == 0, again.stderr
    assert "were there already" in again.stdout
    assert said(again.stdout, "digest") == said(call("traces", "show", "whole").stdout, "digest")


@pytest.mark.usefixtures("firmware")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--window", "tms_infer"), "op:<n>"),
        (("--window", "op:99"), "no operator 99"),
        (("--snr", "1", "--sigma", "1"), "one of them"),
        (("--snr-at", "3"), "--snr as well"),
        (("--snr", "-1"), "above 0"),
        (("--snr", "1", "--snr-at", "9999999"), "expected: 0 to"),
        (("--class-weights", "lod=2"), "CLASS=FACTOR"),
        (("--class-weights", "load=nan"), "CLASS=FACTOR"),
        (("--leakage", "smell"), "hamming_weight"),
        (("--style", "fancy"), "unrolled"),
        (("--device", "esp32"), "Xtensa"),
        (("--data", "missing.npz"), "missing.npz"),
    ],
)
def test_a_campaign_that_cannot_be(
    call: Call, digits: object, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    done = call("traces", "simulate", digits.model, "--device", DEVICE, "-o", "no", "--count", 20, *options)  # type: ignore[attr-defined]
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def as_npy(folder: Path) -> list[str]:
    (folder / "scope.npy").write_bytes(npy(samples()))
    (folder / "in.npy").write_bytes(npy(inputs()))
    return ["scope.npy", "--inputs", "in.npy"]


def as_npz(folder: Path) -> list[str]:
    (folder / "scope.npz").write_bytes(npz(samples=samples(), inputs=inputs()))
    return ["scope.npz"]


def as_trs(folder: Path) -> list[str]:
    (folder / "scope.trs").write_bytes(trs(samples(), inputs()))
    return ["scope.trs"]


def as_trs_that_does_not_say(folder: Path) -> list[str]:
    (folder / "scope.trs").write_bytes(trs(samples(), inputs(), changes={0x6B: None, 0x6E: None}))
    return ["scope.trs", "--input-at", "0:6"]


def as_project(folder: Path) -> list[str]:
    return [project(folder, segments=1).name]


@pytest.mark.parametrize("make", [as_npy, as_npz, as_trs, as_trs_that_does_not_say, as_project])
def test_every_kind_is_shown_and_converted(call: Call, tmp_path: Path, make: Callable[[Path], list[str]]) -> None:
    words = make(tmp_path)
    shown = call("traces", "show", *words)
    assert shown.returncode == 0, shown.stderr
    assert said(shown.stdout, "traces") == f"{N} of {T} samples"
    assert said(shown.stdout, "basis") == "measured"
    assert said(shown.stdout, "inputs") == "6 bytes each, they differ"
    done = call("traces", "convert", *words, "-o", "zarr")
    assert done.returncode == 0, done.stderr
    assert said(done.stdout, "digest") == said(shown.stdout, "digest")
    kept, given = whole(load_traces(tmp_path / "zarr"))
    expected, bytes_ = whole(load_traces(tmp_path / words[0], inputs=tmp_path / "in.npy" if make is as_npy else None,
                                         input_at=(0, 6) if "--input-at" in words else None))  # fmt: skip
    assert (kept == expected).all()
    assert (given == bytes_).all()
    assert call("traces", "convert", *words, "-o", "zarr").returncode == 2, "a folder that is there is kept"
    assert call("traces", "convert", *words, "-o", "zarr", "--overwrite").returncode == 0


def test_traces_without_inputs_are_shown(call: Call, tmp_path: Path) -> None:
    (tmp_path / "scope.npy").write_bytes(npy(samples()))
    done = call("traces", "show", "scope.npy")
    assert done.returncode == 0
    assert said(done.stdout, "inputs").startswith("not known")


def test_a_copy_of_simulated_traces_may_say_so(call: Call, tmp_path: Path) -> None:
    (tmp_path / "scope.npy").write_bytes(npy(samples()))
    (tmp_path / "scope.npy.json").write_text('{"basis": "simulated", "window": "op:0"}')
    done = call("traces", "show", "scope.npy")
    assert (said(done.stdout, "basis"), said(done.stdout, "window")) == ("simulated", "op:0")
    (tmp_path / "scope.npy.json").write_text('{"basis": "executed"}')
    done = call("traces", "show", "scope.npy")
    assert done.returncode == 2
    assert "measured or simulated" in done.stderr


def cut(folder: Path) -> str:
    (folder / "scope.trs").write_bytes(trs(samples(), inputs())[:-100])
    return "scope.trs"


def broken(folder: Path) -> str:
    data = samples()
    data[3, 4] = np.nan
    (folder / "scope.npy").write_bytes(npy(data))
    return "scope.npy"


def constant(folder: Path) -> str:
    (folder / "scope.npy").write_bytes(npy(np.ones((N, T), np.float32)))
    return "scope.npy"


def imaginary(folder: Path) -> str:
    (folder / "scope.npy").write_bytes(npy(samples().astype(np.complex64)))
    return "scope.npy"


def unknown(folder: Path) -> str:
    (folder / "scope.csv").write_text("1,2")
    return "scope.csv"


def missing(folder: Path) -> str:
    return "nothing.npy"


def without_a_chunk(folder: Path) -> str:
    from tinymlsec.traces.zarr_store import write_zarr

    write_zarr(array_traces(), folder / "set")
    next((folder / "set" / "samples").rglob("c/0/0")).unlink()
    return "set"


DAMAGED = {
    cut: "truncated", broken: "no number", constant: "no sample", imaginary: "complex64", unknown: "no kind",
    missing: "cannot be read", without_a_chunk: "missing",
}  # fmt: skip


@pytest.mark.parametrize("verb", ["show", "convert"])
@pytest.mark.parametrize(("make", "words"), DAMAGED.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_damage_is_named(call: Call, tmp_path: Path, verb: str, make: Callable[[Path], str], words: str) -> None:
    path = make(tmp_path)
    before = {file for file in tmp_path.iterdir() if file.name != "out"}
    done = call("traces", verb, path, *(("-o", "out") if verb == "convert" else ()))
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "found: " in done.stderr
    assert "Traceback" not in done.stderr
    if make is not constant:  # a constant set can be kept, and is refused when it is looked at
        assert not (tmp_path / "out").exists()
        assert {file for file in tmp_path.iterdir() if not file.name.startswith(".")} == before


def test_where_an_input_lies_is_two_numbers(call: Call, tmp_path: Path) -> None:
    (tmp_path / "scope.trs").write_bytes(trs(samples(), inputs()))
    for text, words in (("3", "FIRST:BYTES"), ("a:b", "FIRST:BYTES"), ("5:9", "no such input")):
        done = call("traces", "show", "scope.trs", "--input-at", text)
        assert done.returncode == 2
        assert words in done.stderr
