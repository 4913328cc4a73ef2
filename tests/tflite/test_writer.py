"""The writer: whole files read back as the same graph, by our reader and by the `tflite` package."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.graph_compare import plain
from models.handmade import SEEDS
from models.package_view import package_view
from tinymlsec.errors import ModelFileError, UnsupportedModelError
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.graph import Buffer, Model, Operator, Quantization
from tinymlsec.target.tflite.layout import layout
from tinymlsec.target.tflite.reader import read_model, read_model_file
from tinymlsec.target.tflite.schema import OPTION_UNIONS, Field, enum_names, table
from tinymlsec.target.tflite.writer import write_model


def dense_zoo(model: Model) -> Model:
    """The same graph without its sparse tensors, which cannot be written."""
    graphs = [
        dataclasses.replace(g, tensors=tuple(dataclasses.replace(t, sparse=False) for t in g.tensors))
        for g in model.subgraphs
    ]
    return dataclasses.replace(model, subgraphs=tuple(graphs))


def writable(model: Model) -> Model:
    """Without options of a union number that the schema does not know."""
    graphs = [
        dataclasses.replace(
            g,
            operators=tuple(
                dataclasses.replace(op, options_type="NONE", options={}) if "UNKNOWN" in op.options_type else op
                for op in g.operators
            ),
        )
        for g in model.subgraphs
    ]
    return dataclasses.replace(model, subgraphs=tuple(graphs))


@pytest.mark.parametrize("name", SEEDS)
def test_handmade_models_survive(name: str) -> None:
    model = writable(dense_zoo(read_model(SEEDS[name]())))
    data = write_model(model)
    assert plain(read_model(data)) == plain(model)
    assert plain(package_view(data)) == plain(model)


def test_real_models_survive(shared_data: Path) -> None:
    files = sorted(shared_data.glob("*/*.tflite"))
    assert len(files) >= 11
    for path in files:
        model, original = read_model_file(path)
        data = write_model(model)
        assert plain(read_model(data)) == plain(model), path.name
        assert plain(package_view(data)) == plain(model), path.name
        assert len(data) < len(original) * 1.05, path.name


def unusual(field: Field) -> Any:
    """A value that is not the field's default."""
    if field.kind == "string":
        return "größe"
    if field.kind == "vector":
        assert field.scalar is not None
        if field.scalar.name == "u8":
            return b"\x00\xff"
        return (0.5, -1.5) if field.scalar.code == "f" else (True, False) if field.scalar.name == "bool" else (1, 0, 3)
    assert field.scalar is not None
    if field.scalar.name == "bool":
        return not field.default
    return 0.25 if field.scalar.code == "f" else 1 if field.enum else 77


@pytest.mark.parametrize("union", OPTION_UNIONS)
def test_every_field_of_every_options_table_survives(union: str) -> None:
    builder = GraphBuilder()
    x = builder.input((1,), "int8")
    builder.op("RELU", [x])
    operators = []
    for index, name in enumerate(enum_names(union)[1:]):
        options = {field.name: unusual(field) for field in table(name).fields}
        operators.append(Operator(index, 0, "RELU", (0,), (1,), name, options))
    model = builder.build()
    model = dataclasses.replace(model, subgraphs=(dataclasses.replace(model.main, operators=tuple(operators)),))
    data = write_model(model)
    assert plain(read_model(data)) == plain(model)
    assert plain(package_view(data)) == plain(model)


def rich() -> GraphBuilder:
    builder = GraphBuilder("two subgraphs, state, a custom operator")
    x = builder.input((1, 4), "int8", 0.5, -3, name="x")
    other = builder.subgraph("init")
    other.op_many("ASSIGN_VARIABLE", [other.variable_handle("v", "c"), other.constant(np.zeros((1, 4), np.int8))], [])
    builder.op_many("CALL_ONCE", [], [], {"init_subgraph_index": other.index})
    y = builder.op("Special", [x, -1], (1, 4), scale=0.25, zero_point=1, custom_options=b"\x01\x02", version=2)
    kernel = builder.constant(np.ones((3, 4), np.int8), [0.1, 0.2, 0.3], dimension=0, name="größe")
    builder.variable((1, 7), "int16", 0.01, name="state")
    builder.output(builder.op("FULLY_CONNECTED", [y, kernel, -1], scale=1.0, version=5))
    builder.signature("serve")
    builder.metadata("min_runtime_version", b"1.5.0\0")
    return builder


def test_rich_model_is_what_the_package_sees() -> None:
    model = rich().build()
    assert plain(package_view(rich().tobytes())) == plain(model)
    assert [code.name for code in model.opcodes] == [
        "VAR_HANDLE",
        "ASSIGN_VARIABLE",
        "CALL_ONCE",
        "CUSTOM",
        "FULLY_CONNECTED",
    ]
    assert model.opcodes[0].deprecated_builtin == 127
    assert model.signatures[0].inputs == (("x", 0),)
    assert bytes(model.buffers[model.metadata[0].buffer].data) == b"1.5.0\0"


def test_buffers_are_aligned_and_scalars_lie_on_their_size() -> None:
    data = rich().tobytes()
    assert len(data) % 16 == 0
    for buffer in read_model(data).buffers:
        assert buffer.offset is None or buffer.offset % 16 == 0
    for span in layout(data):
        if span.kind in ("scalar", "reference", "table"):
            assert span.start % min(span.width, 8) == 0, span
        if span.kind == "vector":
            assert (span.start + 4) % span.width == 0, span


def test_vectors_that_runtimes_follow_are_there_even_when_empty() -> None:
    owners = {span.owner for span in layout(GraphBuilder().tobytes())}
    assert {"SubGraph.tensors", "SubGraph.inputs", "SubGraph.outputs", "SubGraph.operators"} <= owners


def test_same_content_gives_the_same_bytes() -> None:
    assert rich().tobytes() == rich().tobytes()


@pytest.mark.parametrize(("scales", "zeros"), [(1, 2), (1, 0), (0, 0), (0, 1)])
def test_ranges_of_quantization_and_odd_lengths_survive(scales: int, zeros: int) -> None:
    quantization = Quantization(
        np.ones(scales, np.float32), np.ones(zeros, np.int64), 3, np.array([-1.0], np.float32), np.empty(0, np.float32)
    )
    model = with_tensor(quantization=quantization)
    assert plain(read_model(write_model(model))) == plain(model)


def with_tensor(**changes: Any) -> Model:
    model = rich().build()
    tensors = (dataclasses.replace(model.main.tensors[0], **changes), *model.main.tensors[1:])
    return dataclasses.replace(model, subgraphs=(dataclasses.replace(model.main, tensors=tensors),))


def with_operator(**changes: Any) -> Model:
    model = rich().build()
    operators = (dataclasses.replace(model.main.operators[-1], **changes),)
    return dataclasses.replace(model, subgraphs=(dataclasses.replace(model.main, operators=operators),))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (with_tensor(sparse=True), "sparse"),
        (with_tensor(buffer=-1), "Tensor.buffer"),
        (with_tensor(shape=(2**31,)), "Tensor.shape"),
        (with_tensor(name="\ud800"), "Tensor.name"),
        (with_operator(options_type="UNKNOWN_200"), "does not know"),
        (with_operator(options={"stride": 1}), "lacks"),
        (with_operator(options={"fused_activation_function": 300}), "fused_activation_function"),
        (with_operator(options={"fused_activation_function": "RELU"}), "fused_activation_function"),
        (with_operator(inputs=(0.5,)), "Operator.inputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_file_cannot_hold_is_refused_by_name(model: Model, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        write_model(model)


def test_sparse_tensors_are_unsupported_rather_than_malformed() -> None:
    with pytest.raises(UnsupportedModelError):
        write_model(with_tensor(sparse=True))


def test_files_begin_with_root_and_identifier() -> None:
    data = GraphBuilder().tobytes()
    assert data[4:8] == b"TFL3"
    assert 8 <= struct.unpack_from("<I", data)[0] < len(data)


def test_large_buffers_are_written_whole() -> None:
    model = GraphBuilder().build()
    content = np.arange(1 << 20, dtype=np.uint32).tobytes()
    data = write_model(dataclasses.replace(model, buffers=(*model.buffers, Buffer(1, memoryview(content)))))
    assert bytes(read_model(data).buffers[1].data) == content
