"""`tinymlsec assess --traces`: traces are part of the target, and bad ones exit 2 and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cli.conftest import Call
from tinymlsec.assessment import read_run
from tinymlsec.target.oracle import runtime_available
from traces.sound_traces import N, T, npy, npz, samples, trs

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])

BYTES = 64
"""Of an input of the digits model."""
Make = Callable[[Path], list[str]]


def given(n: int = N, k: int = BYTES) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (n, k), np.uint8)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def as_npz(**arrays: object) -> Make:
    def make(folder: Path) -> list[str]:
        written(folder / "scope.npz", npz(**{"samples": samples(), "inputs": given(), **arrays}))
        return ["--traces", "scope.npz"]

    return make


def truncated(folder: Path) -> list[str]:
    written(folder / "scope.trs", trs(samples(), given())[:-77])
    return ["--traces", "scope.trs"]


def without_inputs(folder: Path) -> list[str]:
    written(folder / "scope.npy", npy(samples()))
    return ["--traces", "scope.npy"]


def fewer_inputs(folder: Path) -> list[str]:
    written(folder / "in.npy", npy(given(N - 1)))
    return [*without_inputs(folder), "--trace-inputs", "in.npy"]


def real_inputs(folder: Path) -> list[str]:
    written(folder / "in.npy", npy(given().astype(np.float32)))
    return [*without_inputs(folder), "--trace-inputs", "in.npy"]


def not_a_number() -> np.ndarray:
    data = samples()
    data[5, 6] = np.nan
    return data


def pickled(folder: Path) -> list[str]:
    np.save(folder / "scope.npy", np.array([[{}]], object), allow_pickle=True)
    return ["--traces", "scope.npy"]


def with_options(*options: str) -> Make:
    return lambda folder: [*as_npz()(folder), *options]


CASES: dict[str, tuple[Make, tuple[str, ...]]] = {
    "missing": (lambda folder: ["--traces", "none.npz"], ("none.npz", "check the path")),
    "unknown kind": (lambda folder: ["--traces", "none.csv"], (".npy, .npz, .trs, .cwp",)),
    "truncated": (truncated, ("truncated", "whole rows")),
    "wrong type of samples": (as_npz(samples=samples().astype(np.complex64)), ("complex64", "integers or real")),
    "wrong type of inputs": (real_inputs, ("no bytes", "float32", "int8 or uint8")),
    "objects": (pickled, ("pickle",)),
    "fewer inputs": (fewer_inputs, ("fewer inputs than traces", "23 inputs", "24, one for each")),
    "no inputs": (without_inputs, ("has no inputs", "the input of each trace")),
    "one input for all": (as_npz(inputs=np.repeat(given(1), N, 0)), ("the same input", "random inputs")),
    "inputs of another size": (as_npz(inputs=given(k=49)), ("49 bytes", "64: int8 [1, 8, 8, 1]")),
    "no number": (as_npz(samples=not_a_number()), ("nan in trace 5, sample 6", "leave the damaged traces out")),
    "constant": (as_npz(samples=np.ones((N, T), np.float32)), ("no sample", "30 constant samples")),
    "another model": (as_npz(model_digest="ab" * 32), ("of another model", "abab")),
    "no such operator": (with_options("--trace-window", "op:99"), ("no operator 99",)),
    "no such pixel": (with_options("--trace-window", "op:0@99,0,0:1"), ("no such pixel", "rows below")),
    "a window of its own that cannot be": (as_npz(window="op:0@0,99,0:1"), ("no such pixel", "op:0@0,99,0:1")),
    "no such window": (with_options("--trace-window", "somewhere"), ("op:<n>",)),
    "another window": (lambda folder: [*as_npz(window="op:1")(folder), "--trace-window", "op:0"], ("op:1", "op:0")),
    "inputs without traces": (lambda folder: ["--trace-inputs", "in.npy"], ("--traces as well",)),
    "a window without traces": (lambda folder: ["--trace-window", "op:0"], ("--traces as well",)),
}


@pytest.mark.parametrize(("make", "words"), CASES.values(), ids=CASES)
def test_bad_traces(call: Call, digits: object, tmp_path: Path, make: Make, words: tuple[str, ...]) -> None:
    options = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = call("assess", digits.model, "--only", "static-extraction", "--quiet", *options)  # type: ignore[attr-defined]
    assert done.returncode == 2, done.stdout + done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_traces_without_a_model_have_no_use(call: Call, tmp_path: Path) -> None:
    done = call("assess", "--device", "rp2040", *as_npz()(tmp_path))
    assert done.returncode == 2
    assert "give the model file" in done.stderr


def test_traces_are_part_of_the_target_and_of_the_record(call: Call, digits: object, tmp_path: Path) -> None:
    words = ["assess", digits.model, "--only", "static-extraction", "--effort", "quick", "-q"]  # type: ignore[attr-defined]
    options = as_npz(samples=samples("int16"))(tmp_path)
    digests = []
    for name, more in (("none", []), ("some", options), ("there", [*options, "--trace-window", "op:0"])):
        done = call(*words, *more, "-o", name)
        assert done.returncode == 0, done.stderr
        run = read_run(tmp_path / name).run
        digests.append(run.target_digest)
        if name == "none":
            assert run.traces is None
        else:
            assert run.traces is not None
            assert (run.traces.path, run.traces.traces, run.traces.samples) == ("scope.npz", N, T)
            assert (run.traces.basis, run.traces.input_bytes) == ("measured", BYTES)
    assert len(set(digests)) == 3
    page = (tmp_path / "there" / "report.html").read_text()
    assert "24 of 30 samples" in page
    assert "op:0 (--trace-window)" in page
    data = samples("int16")
    data[0, 0] += 1
    as_npz(samples=data)(tmp_path)
    done = call(*words, *options, "-o", "some", "--resume")
    assert done.returncode == 2, "other samples under the same name are another target"
    assert "a run of something else" in done.stderr


def test_an_attack_without_traces_says_how_to_make_some(call: Call, digits: object) -> None:
    done = call("assess", digits.model, "--only", "measured-leakage", "-o", "run")  # type: ignore[attr-defined]
    assert done.returncode == 3
    assert "--traces PATH" in done.stdout


def test_imported_traces_are_attacked_and_reported(call: Call, digits: object, tmp_path: Path) -> None:
    """Traces that show an input byte, from a file to the pages of the report."""
    raw = given(1500)
    leak = np.bitwise_count(raw).astype(np.float32) + np.random.default_rng(4).standard_normal(raw.shape, np.float32)
    written(tmp_path / "scope.npz", npz(samples=leak, inputs=raw))
    words = ["assess", digits.model, "--traces", "scope.npz", "--only", "measured-leakage", "--effort", "quick"]  # type: ignore[attr-defined]
    done = call(*words, "-o", "run")
    assert done.returncode == 0, done.stderr
    (evidence,) = read_run(tmp_path / "run").evidence
    assert (evidence.basis, evidence.verdict.kind) == ("measured", "inconclusive")
    assert "the inputs are given away (H3)" in evidence.verdict.reason
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Largest |r| over time" in page
    again = call(*words, "-o", "again")
    assert again.returncode == 0
    (other,) = read_run(tmp_path / "again").evidence
    assert other.comparable() == evidence.comparable()
