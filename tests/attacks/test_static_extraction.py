"""Static extraction on plain, stripped, sparse and unrunnable files."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attacks.attack_targets import Workbench
from tinymlsec.attacks._twins import linear_twin
from tinymlsec.attacks.extraction._contents import Contents, contents_of
from tinymlsec.attacks.extraction.static_extraction import static_extraction
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

TALKATIVE = b"api_key=supersecretvalue1\0/home/ada/kws/train.py\0"


def talkative() -> bytes:
    """A model file that says too much."""
    builder = GraphBuilder("wake word of product X, by Ada")
    x = builder.input((1, 4), "int8", 1.0, 0, name="microphone_features")
    weights = builder.constant(np.ones((2, 4), np.int8), scale=1.0, name="encoder/dense/kernel")
    scores = builder.op("FULLY_CONNECTED", [x, weights, -1], scale=1.0, options={})
    limit = builder.constant(np.array([17], np.int8), scale=1.0)
    builder.output(builder.op("GREATER", [scores, limit], dtype="bool", shape=(1, 2), options={}))
    builder.metadata("labels.txt", b"yes\nno\nunknown\n")
    builder.metadata("min_runtime_version", b"2.15.0\0\0")
    builder.metadata("notes", TALKATIVE)
    return builder.tobytes()


def contents(data: bytes) -> Contents:
    return contents_of(read_model(data), data)


def ids(data: bytes) -> set[str]:
    return {f.id for f in contents(data).findings}


def stripped(model: Model) -> bytes:
    """The same weights and graph without names, description and metadata."""
    graph = model.main
    tensors = tuple(replace(t, name=f"t{t.index}") for t in graph.tensors)
    bare = replace(model, description="", metadata=(), signatures=(), subgraphs=(replace(graph, tensors=tensors),))
    used = {t.buffer for t in tensors}
    buffers = tuple(b if b.index in used else replace(b, data=b"") for b in bare.buffers)
    return write_model(replace(bare, buffers=buffers))


def test_everything_that_the_file_says_is_found() -> None:
    found = ids(talkative())
    assert found == {
        f"EXTR-{name}"
        for name in ("GRAPH", "WEIGHTS", "NAMES", "LABELS", "TOOL", "DESCRIPTION", "THRESHOLD", "PATHS", "SECRET")
    }


def test_a_stripped_file_keeps_graph_and_weights_only() -> None:
    found = ids(stripped(read_model(talkative())))
    assert found == {"EXTR-GRAPH", "EXTR-WEIGHTS", "EXTR-THRESHOLD"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EXTR-NAMES", b"microphone_features"),
        ("EXTR-LABELS", b"yes\nno"),
        ("EXTR-DESCRIPTION", b"wake word of product X"),
        ("EXTR-PATHS", b"/home/ada/kws/train.py"),
        ("EXTR-SECRET", b"api_key="),
        ("EXTR-THRESHOLD", bytes([17])),
    ],
)
def test_offsets_point_into_the_file(name: str, text: bytes) -> None:
    data = talkative()
    finding = next(f for f in contents(data).findings if f.id == name)
    offset = finding.location.file_offset
    assert offset is not None
    assert data[offset : offset + len(text)] == text


def test_labels_of_an_appended_archive() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    found = next(f for f in contents(linear_twin(8) + stream.getvalue()).findings if f.id == "EXTR-LABELS")
    assert "cat, dog" in found.message


def test_a_clone_that_ran_gives_executed_evidence(bench: Workbench) -> None:
    seen = bench.run(static_extraction, bench.linear(distance=200))
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.EXECUTED
    metrics = {m.name: m.value for m in seen.metrics}
    assert metrics["fidelity"] == metrics["weights_recovered"] == 1.0
    assert metrics["parameters"] == 2 * 64 + 2
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded


def test_without_a_runtime_the_evidence_is_static(bench: Workbench) -> None:
    data = talkative()
    seen = bench.run(static_extraction, Target("unrunnable", data, read_model(data)))
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.STATIC
    assert not any(m.name == "fidelity" for m in seen.metrics)


def test_credentials_do_not_reach_the_evidence(bench: Workbench) -> None:
    data = talkative()
    seen = bench.run(static_extraction, Target("unrunnable", data, read_model(data)))
    assert "supersecret" not in json.dumps(seen.model_dump(mode="json"))


def test_a_clone_that_answers_differently_is_noticed(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(model: Model) -> bytes:
        return linear_twin(16)  # the same interface, half of the score

    monkeypatch.setattr("tinymlsec.target.tflite.writer.write_model", other)
    seen = bench.run(static_extraction, bench.linear(distance=200))
    assert next(m.value for m in seen.metrics if m.name == "fidelity") == 0.0


def test_damaged_and_missing_weights_are_not_counted_as_read(bench: Workbench) -> None:
    model = read_model(linear_twin(8))
    kernel = next(t for t in model.main.tensors if t.name.endswith("weights"))
    cut = [replace(b, data=bytes(b.data)[:-1]) if b.index == kernel.buffer else b for b in model.buffers]
    damaged = contents_of(replace(model, buffers=tuple(cut)), b"")
    assert (damaged.recovered, damaged.parameters) == (2, 2 * 64 + 2)
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8", 1.0, 0)
    builder.output(builder.op("ADD", [x, x], scale=2.0, options={}))
    seen = bench.run(static_extraction, bench.target(builder.tobytes()))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "no weights" in seen.verdict.reason


def test_same_seed_same_observation(bench: Workbench) -> None:
    assert bench.run(static_extraction, bench.linear(200)) == bench.run(static_extraction, bench.linear(200))


@pytest.mark.parametrize(
    ("file", "basis"),
    [
        ("mlperf_tiny_kws/kws_ref_model.tflite", Basis.EXECUTED),
        ("mlperf_tiny_kws/kws_ref_model_float32.tflite", Basis.STATIC),  # hybrid: the runtime refuses it
        ("mlperf_tiny_ic/pretrainedResnet.tflite", Basis.EXECUTED),  # float
        ("microwakeword/alexa.tflite", Basis.EXECUTED),  # state
        ("tflm_micro_speech/audio_preprocessor_int8.tflite", Basis.EXECUTED),  # custom operators
    ],
)
def test_real_models(bench: Workbench, shared_data: Path, file: str, basis: Basis) -> None:
    from tinymlsec.loading import Sources, load_target

    seen = bench.run(static_extraction, load_target(Sources(model=shared_data / file), bench.pool), samples=10)
    assert seen.basis is basis
    assert all(m.value == 1.0 for m in seen.metrics if m.name in ("fidelity", "weights_recovered"))
    assert {"EXTR-GRAPH", "EXTR-NAMES", "EXTR-TOOL"} <= {f.id for f in seen.findings}
