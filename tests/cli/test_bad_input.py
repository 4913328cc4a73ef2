"""Every kind of bad input: exit code 2, a message that says found, expected and next step, and nothing left behind."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.target.oracle import runtime_available

Make = Callable[[Path, object], list[object]]
needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])


def model_file(content: bytes) -> Make:
    def make(folder: Path, digits: object) -> list[object]:
        (folder / "bad.tflite").write_bytes(content)
        return ["bad.tflite"]

    return make


def truncated(folder: Path, digits: object) -> list[object]:
    (folder / "cut.tflite").write_bytes(digits.model.read_bytes()[:-3000])  # type: ignore[attr-defined]
    return ["cut.tflite"]


def data_file(**arrays: object) -> Make:
    def make(folder: Path, digits: object) -> list[object]:
        np.savez(folder / "d.npz", **arrays)  # type: ignore[arg-type]
        return [digits.model, "--data", "d.npz"]  # type: ignore[attr-defined]

    return make


def encoded(dtype: str, *options: str) -> Make:
    def make(folder: Path, digits: object) -> list[object]:
        with np.load(digits.data) as file:  # type: ignore[attr-defined]
            np.savez(folder / "d.npz", x=file["x"].astype(dtype), y=file["y"])
        return [digits.model, "--data", "d.npz", *options]  # type: ignore[attr-defined]

    return make


def profile(text: str) -> Make:
    def make(folder: Path, digits: object) -> list[object]:
        (folder / "p.toml").write_text(text)
        return [digits.model, "--deployment", "p.toml"]  # type: ignore[attr-defined]

    return make


def with_options(*options: object) -> Make:
    return lambda folder, digits: [digits.model, *options]  # type: ignore[attr-defined]


def no_file(folder: Path, digits: object) -> list[object]:
    return ["missing.tflite"]


def other_folder(folder: Path, digits: object) -> list[object]:
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.txt").write_text("precious")
    return [digits.model, "-o", "mine"]  # type: ignore[attr-defined]


X = np.zeros((4, 8, 8), np.int8)
CASES: dict[str, tuple[Make, tuple[str, ...]]] = {
    "missing model": (no_file, ("missing.tflite",)),
    "empty model": (model_file(b""), ("empty",)),
    "not a tflite": (model_file(b"PK\x03\x04" + bytes(100)), ("found", "expected")),
    "text, not a tflite": (model_file(b"hello, I am no model at all" * 9), ("found", "expected")),
    "truncated model": (truncated, ("offset",)),
    "nothing to assess": (lambda folder, digits: [], ("nothing to assess",)),
    "wrong data shape": (data_file(x=np.zeros((4, 5, 5), np.int8)), ("input shape", "found", "(n, 8, 8, 1)")),
    "labels out of range": (data_file(x=X, y=[0, 1, 2, 10]), ("label 10 at sample 3", "0 to 9")),
    "labels of another length": (data_file(x=X, y=[0, 1]), ("do not match the samples",)),
    "NaN": (data_file(x=np.full((4, 8, 8), np.nan, np.float32), y=[0] * 4), ("NaN", "sample 0")),
    "pickled npz": (data_file(x=np.array([{"a": 1}], dtype=object)), ("pickle",)),
    "uint8 without the hint": (encoded("uint8"), ("--input-encoding uint8",)),
    "hint without uint8": (encoded("float32", "--input-encoding", "uint8"), ("not what --input-encoding says",)),
    "unknown hint": (encoded("uint8", "--input-encoding", "bgr"), ("unknown input encoding",)),
    "hint without data": (with_options("--input-encoding", "uint8"), ("--data",)),
    "missing data": (with_options("--data", "missing.npz"), ("does not exist",)),
    "unknown device": (with_options("--device", "stm32l4r5zx"), ("stm32l4r5zi", "list devices")),
    "unknown key in a profile": (profile("[debug]\nporrt = 'open'\n"), ("porrt", "port")),
    "wrong value in a profile": (profile("[debug]\nport = 'ajar'\n"), ("ajar", "open")),
    "profile that is no TOML": (profile("[debug\n"), ("TOML",)),
    "missing profile": (with_options("--deployment", "missing.toml"), ("missing.toml",)),
    "attacks that name nothing": (with_options("--only", ","), ("names nothing",)),
    "unknown attack": (with_options("--only", "no-such"), ("no-such", "list attacks")),
    "unknown setting": (with_options("--set", "square.typo=1"), ("typo",)),
    "setting of another form": (with_options("--set", "square"), ("ATTACK.FIELD=VALUE",)),
    "unknown format": (with_options("--format", "docx"), ("docx", "html")),
    "unknown level": (with_options("--fail-on", "awful"), ("awful", "critical")),
    "folder with other files": (other_folder, ("other files", "another -o")),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_and_leaves_nothing(name: str, call, digits, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make, words = CASES[name]
    arguments = make(tmp_path, digits)
    before = sorted(tmp_path.rglob("*"))
    done = call("assess", *arguments, "--quiet")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@needs_runtime
def test_misread_encoding_stops_with_a_hint(call, digits, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with np.load(digits.data) as file:
        shuffled = np.random.default_rng(0).permutation(file["y"])
        np.savez(tmp_path / "d.npz", x=file["x"], y=shuffled)
    done = call("assess", digits.model, "--data", "d.npz", "--quiet")
    assert done.returncode == 2
    assert "encoding looks wrong" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["d.npz"]


def test_an_unwritable_folder_is_told(call, digits, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    locked = tmp_path / "locked"
    if os.geteuid() == 0:  # nothing is unwritable for root but a path that cannot exist
        locked.write_text("a file where a folder is needed")
    else:
        locked.mkdir()
        locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = call("assess", digits.model, "-o", "locked/run", "--quiet")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "another -o" in done.stderr


@needs_runtime
@pytest.mark.parametrize("file", ["run.json", "evidence.jsonl"])
def test_a_run_folder_edited_by_hand_is_refused(call, digits, tmp_path: Path, file: str) -> None:  # type: ignore[no-untyped-def]
    assert call("assess", digits.model, "--only", "static-extraction", "-o", "run", "--quiet").returncode == 0
    edited = tmp_path / "run" / file
    edited.write_text(edited.read_text().replace("static-extraction", "static-extractio", 1))
    for arguments in (
        ["report", "run"],
        ["assess", digits.model, "--only", "static-extraction", "-o", "run", "--resume"],
    ):
        done = call(*arguments, "--quiet")
        assert done.returncode == 2, done.stdout
        assert "checksum" in done.stderr


def test_report_of_a_folder_that_is_no_run(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    done = call("report", "empty")
    assert done.returncode == 2
    assert "not a run folder" in done.stderr


@needs_runtime
def test_nothing_that_could_run_is_exit_three(call, digits) -> None:  # type: ignore[no-untyped-def]
    assert call("assess", digits.model, "--only", "square", "-o", "run", "--quiet").returncode == 3


def test_a_message_carries_no_control_characters_to_the_terminal(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = call("report", str(tmp_path / "\x1b]0;mine\x07"))
    assert done.returncode == 2
    assert "not a run folder" in done.stderr
    assert "\x1b" not in done.stderr
    assert "\x07" not in done.stderr


@pytest.mark.parametrize("gone", ["| head -1", ">&-"])
def test_an_assessment_outlives_the_reader_of_its_words(tmp_path: Path, gone: str) -> None:
    words = f"{shlex.quote(sys.executable)} -m tinymlsec assess --device stm32l4r5zi -o run {gone}"
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
