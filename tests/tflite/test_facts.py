"""What a file says about itself: counts, metadata of tools, appended bytes; always JSON, whatever the file holds."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import flatbuffers
import numpy as np
import pytest

from models.handmade import build, dense, ints, opcode, operator, quantization, tensor, zoo
from tinymlsec.target.tflite.embedded import MAX_ENTRIES, archive_facts
from tinymlsec.target.tflite.facts import file_facts
from tinymlsec.target.tflite.reader import read_model


def facts_of(data: bytes) -> dict[str, Any]:
    facts = file_facts(read_model(data), data)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts, "facts must survive JSON"
    return facts


def with_metadata(name: str, content: bytes) -> bytes:
    buffers = [("Buffer", {}), ("Buffer", {"Data": content})]
    return dense(
        Buffers=[*buffers, ("Buffer", {"Data": bytes(12)})], Metadata=[("Metadata", {"Name": name, "Buffer": 1})]
    )


def flat(fields: list[tuple[int, Any]], identifier: bytes | None = None) -> bytes:
    """A flatbuffer of nested (slot, value) lists: text, number, list of tables, or a table."""
    builder = flatbuffers.Builder(256)
    builder.Finish(flat_table(builder, fields), file_identifier=identifier)
    return bytes(builder.Output())


def flat_table(builder: flatbuffers.Builder, fields: list[tuple[int, Any]]) -> int:
    stored = [(slot, flat_value(builder, value)) for slot, value in fields]
    builder.StartObject(1 + max((slot for slot, _ in fields), default=-1))
    for slot, (kind, value) in stored:
        if kind == "reference":
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        else:
            getattr(builder, f"Prepend{kind}Slot")(slot, value, 0)
    return int(builder.EndObject())


def flat_value(builder: flatbuffers.Builder, value: Any) -> tuple[str, int]:
    if isinstance(value, str):
        return "reference", builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return "reference", builder.CreateNumpyVector(value)
    if isinstance(value, bool):
        return "Bool", int(value)
    if isinstance(value, int):
        return "Int32", value
    if value and isinstance(value[0], list):
        offsets = [flat_table(builder, item) for item in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return "reference", builder.EndVector()
    return "reference", flat_table(builder, value)


def test_counts_of_a_small_model() -> None:
    data = dense()
    facts = facts_of(data)
    assert facts["bytes"] == len(data)
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()
    assert facts["description"] == "made by hand"
    assert facts["schema_version"] == 3
    assert facts["operator_histogram"] == {"FULLY_CONNECTED": 1}
    assert (facts["parameters"], facts["parameter_bytes"], facts["constant_bytes"]) == (12, 12, 24)
    assert facts["quantization"]["kind"] == "int8"
    assert facts["custom_operators"] == facts["state_tensors"] == facts["unused_buffers"] == []
    assert facts["appended"]["bytes"] == 0


def test_operators_have_named_options_and_shapes() -> None:
    (op,) = facts_of(dense())["subgraphs"][0]["operators"]
    assert op["name"] == "FULLY_CONNECTED"
    assert op["version"] == 4
    assert op["options"]["fused_activation_function"] == "RELU"
    assert op["options"]["weights_format"] == "DEFAULT"
    assert op["options"]["keep_num_dims"] is True
    assert op["inputs"][0] == {"tensor": 0, "shape": [1, 4], "dtype": "int8"}


def test_the_zoo() -> None:
    facts = facts_of(zoo())
    assert facts["custom_operators"] == ["MyOp"]
    assert facts["operator_histogram"]["MyOp"] == 1
    assert facts["state_tensors"] == [[0, 3], [0, 6]]
    assert facts["signatures"][0]["inputs"] == {"image": 0}
    assert facts["metadata"][0]["content"] == "1.5.0"
    (unused,) = facts["unused_buffers"]
    assert (unused["buffer"], unused["bytes"]) == (6, len(b"left over"))
    assert facts["subgraphs"][0]["operators"][1]["inputs"][1] is None
    assert facts["subgraphs"][0]["tensors"][1]["quantization"]["scales"] == 4
    assert facts["subgraphs"][0]["operators"][6]["options"]["custom_attributes"] == "ff"


def test_conversion_metadata() -> None:
    environment = [(0, "2.15.1"), (1, 2), (2, 2)]
    options = [(0, np.array([1003, 2000, 77], np.int32)), (1, True)]
    content = facts_of(with_metadata("CONVERSION_METADATA", flat([(0, environment), (1, options)])))["metadata"][0][
        "content"
    ]
    assert content["tensorflow_version"] == "2.15.1"
    assert content["source_format"] == "Keras model"
    assert content["optimizations"] == ["post-training full integer", "quantization-aware training", "unknown (77)"]
    assert content["allow_custom_ops"] is True
    assert content["enable_select_tf_ops"] is False


def test_model_metadata_of_tflite_support() -> None:
    labels = [(0, "labels.txt"), (1, "what the classes are"), (3, "en")]
    scores = [(0, "scores"), (1, "one for each class"), (6, [labels])]
    tree = [(0, "Keyword spotter"), (2, "v2"), (3, [[(3, [scores])]]), (4, "A. N. Author"), (5, "internal")]
    content = facts_of(with_metadata("TFLITE_METADATA", flat(tree, b"M001")))["metadata"][0]["content"]
    assert (content["name"], content["version"], content["author"]) == ("Keyword spotter", "v2", "A. N. Author")
    (graph,) = content["subgraph_metadata"]
    (output,) = graph["output_tensor_metadata"]
    assert output["associated_files"][0]["name"] == "labels.txt"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("CONVERSION_METADATA", b"", dict),
        ("CONVERSION_METADATA", b"\xff" * 40, dict),
        ("TFLITE_METADATA", b"\xff\xff\xff\xffM001", dict),
        ("vendor", b"board=x1\x00\x00", str),
        ("vendor", bytes((1, 2, 3)), type(None)),
    ],
)
def test_metadata_that_cannot_be_parsed(name: str, content: bytes, found: type) -> None:
    value = facts_of(with_metadata(name, content))["metadata"][0]["content"]
    assert isinstance(value, found)
    assert found is not dict or "unreadable" in value


def test_appended_archive_with_labels() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
        archive.writestr("bomb.txt", "0" * 10_000_000)
        archive.writestr("vocab.bin", bytes(8))
    appended = facts_of(dense() + buffer.getvalue())["appended"]
    assert appended["bytes"] == len(buffer.getvalue())
    assert appended["archive"][0] == {"name": "labels.txt", "bytes": 8, "lines": ["cat", "dog"]}
    assert len(appended["archive"][1]["lines"][0]) <= 4096
    assert "lines" not in appended["archive"][2]


def test_appended_bytes_and_padding() -> None:
    payload = facts_of(dense() + b"MZ payload")["appended"]
    assert (payload["bytes"], payload["padding"], payload["archive"]) == (10, 0, [])
    padding = facts_of(dense() + bytes(8))["appended"]
    assert (padding["bytes"], padding["padding"]) == (0, 8)
    assert facts_of(dense() + bytes(64))["appended"]["bytes"] == 64


def test_damaged_archives_are_left_alone() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(MAX_ENTRIES + 5):
            archive.writestr(f"{number}.txt", "x")
    whole = buffer.getvalue()
    assert len(archive_facts(whole)) == MAX_ENTRIES
    rng = np.random.default_rng(5)
    for _ in range(100):
        damaged = bytearray(whole[-3000:] if rng.integers(2) else whole)
        for at in rng.integers(len(damaged), size=20):
            damaged[at] ^= 1 << int(rng.integers(8))
        assert isinstance(archive_facts(bytes(damaged)), list)


def test_part_that_the_reader_does_not_need_is_damaged() -> None:
    data = bytearray(zoo())
    at = data.index(b"\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00")  # traversal order of the sparse tensor
    data[at : at + 4] = b"\xff\xff\xff\xff"
    appended = facts_of(bytes(data))["appended"]
    assert appended["bytes"] is None
    assert "traversal_order runs past the end" in appended["damaged"]


def test_numbers_that_json_does_not_know() -> None:
    strange = tensor("t", (1,), "INT8", 0, Quantization=quantization([float("nan"), float("inf")], [0, 0]))
    softmax = operator(0, (0,), (0,), ("SoftmaxOptions", {"Beta": float("-inf")}))
    graph = ("SubGraph", {"Tensors": [strange], "Operators": [softmax], "Inputs": ints(0), "Outputs": ints(0)})
    data = build({"OperatorCodes": [opcode("SOFTMAX")], "Subgraphs": [graph], "Buffers": [("Buffer", {})]})
    facts = facts_of(data)
    assert facts["inputs"][0]["scale"] == "nan"
    assert facts["subgraphs"][0]["tensors"][0]["quantization"]["scale"] == ["nan", "inf"]
    assert facts["subgraphs"][0]["operators"][0]["options"]["beta"] == "-inf"
