"""STRUCT: one sound file, damaged at one place for each rule."""

from __future__ import annotations

import io
import struct
import zipfile
from functools import cache
from typing import Any

import flatbuffers
import numpy as np

from models.handmade import build, tensor
from models.malformed import large_custom_options
from rules.corpus.base import PROVENANCE, Case, buffer_offset, graph, op_offset, patched, spans, tensor_offset
from tinymlsec.rules._metadata import COMPRESSION, PLAN
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.layout import Span, used_bytes
from tinymlsec.target.tflite.serialize import serialize

RELU = 19


def chain(builder: GraphBuilder) -> GraphBuilder:
    """A dense layer and an activation: constants, options, quantization, three computed tensors, five in all."""
    x = builder.input((1, 8), "int8", scale=0.5)
    weights = builder.constant(np.arange(-16, 16, dtype=np.int8).reshape(4, 8), scale=0.25)
    bias = builder.constant(np.array([5, -3, 2, 9], np.int32), scale=0.125)
    hidden = builder.op("FULLY_CONNECTED", [x, weights, bias], dtype="int8", scale=0.5, options={})
    builder.output(builder.op("RELU", [hidden]))
    return builder


@cache
def sound() -> bytes:
    """The file that most others here are made of."""
    return chain(graph()).tobytes()


def _span(owner: str, kind: str, which: int = 0, data: bytes | None = None) -> Span:
    return spans(sound() if data is None else data)[owner, kind][which]


def _case(rule: str, name: str, bad: bytes, offset: int | None, **more: Any) -> Case:
    return Case(rule, name, sound(), bad, offset, **more)


def _at(rule: str, name: str, at: int, code: str, value: int) -> Case:
    """A number overwritten; the finding is where it lies."""
    return _case(rule, name, patched(sound(), at, code, value), at)


def _refused() -> list[Case]:
    root = _span("Model", "table").start
    vtable = _span("Model", "vtable").start
    codes = _span("Model.operator_codes", "reference").start
    shape = _span("Tensor.shape", "vector").start
    crowded = raw(graph_={"inputs": [0] * 5000})
    return [
        _case("STRUCT-01", "an empty file", b"", None),
        _case("STRUCT-01", "a cut header", sound()[:6], 0),
        _at("STRUCT-01", "another identifier", 4, "I", int.from_bytes(b"TFL2", "little")),
        _case("STRUCT-01", "a text", b"not a model, just a line of text\n", 4),
        _at("STRUCT-02", "root behind the end", 0, "I", len(sound())),
        _at("STRUCT-02", "operator codes behind the end", codes, "I", 0xFFFFFF00),
        _at("STRUCT-02", "a reference to itself", codes, "I", 0),
        _at("STRUCT-03", "vtable before the file", root, "i", 1 << 30),
        _at("STRUCT-03", "vtable of two bytes", vtable, "H", 2),
        _at("STRUCT-03", "table longer than the file", vtable + 2, "H", 0xFFFF),
        _at("STRUCT-03", "field outside of its table", vtable + 6, "H", 0x7FFE),
        _at("STRUCT-04", "shape of 4 GiB", shape, "I", 0xFFFFFFFF),
        _at("STRUCT-04", "name past the end", _span("Tensor.name", "string").start, "I", 0x00FFFFFF),
        *_outside(),
        *_unread(),
        _at("STRUCT-06", "rank of 33", shape, "I", 33),
        Case("STRUCT-06", "5,000 inputs", raw(), crowded, _tables(crowded, "Model.subgraphs")[0]),
        _at("STRUCT-07", "negative dimension", shape + 8, "i", -8),
    ]


def _outside() -> list[Case]:
    """Constants and options behind the flatbuffer."""

    def model(offset: int, tail: bytes) -> bytes:
        tensors = [tensor("", (4,), "INT8", 1)]
        body = {"Tensors": tensors, "Inputs": _ints(), "Outputs": _ints(0), "Operators": []}
        buffers = [("Buffer", {}), ("Buffer", {"Offset": offset, "Size": 4})]
        return build({"OperatorCodes": [], "Subgraphs": [("SubGraph", body)], "Buffers": buffers}, tail=tail)

    bad, custom = model(1 << 20, b""), large_custom_options(1 << 20, 4)
    end = len(model(1 << 20, b""))
    end += -end % 16
    good = model(end, bytes(end - len(model(end, b""))) + bytes((1, 2, 3, 4)))
    odd = model(end + 2, bytes(end + 2 - len(model(end, b""))) + bytes((1, 2, 3, 4)))
    return [
        Case("STRUCT-10", "a constant outside on an odd half word", good, odd, end + 2),
        Case("STRUCT-05", "a constant", good, bad, _tables(bad, "Model.buffers")[1]),
        Case("STRUCT-05", "custom options", good, custom, _operator_at(custom)),
    ]


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def _tables(data: bytes, owner: str) -> list[int]:
    """Positions of the tables that a vector refers to, in its order."""
    vector = spans(data)[owner, "references"][0]
    count = (vector.end - vector.start - 4) // 4
    references = struct.unpack_from(f"<{count}I", data, vector.start + 4)
    return [vector.start + 4 + 4 * place + reference for place, reference in enumerate(references)]


def _operator_at(data: bytes) -> int:
    """Of the one operator, in a file that the reader refuses and the walk does not."""
    return spans(data)["Operator", "table"][0].start


def _unread() -> list[Case]:
    """Damage in a part that the reader does not look at and the walk does."""
    good = raw()
    vector = _span("Model.metadata_buffer", "vector", data=good)
    return [Case("STRUCT-04", "old metadata list", good, patched(good, vector.start, "I", 1 << 29), vector.start)]


def raw(operator: dict[str, Any] | None = None, graph_: dict[str, Any] | None = None, **model: Any) -> bytes:
    """A RELU, written field by field; what is None is left out."""
    op = {"opcode_index": 0, "inputs": [0], "outputs": [1], **(operator or {})}
    q = {"scale": [0.5], "zero_point": [0]}
    tensors = [{"shape": [1, 4], "type": 9, "buffer": 0, "name": f"tensor_{n}", "quantization": q} for n in range(2)]
    body = {"tensors": tensors, "inputs": [0], "outputs": [1], "operators": [op], "name": "main", **(graph_ or {})}
    provenance = [{"name": name, "buffer": n + 1} for n, name in enumerate(PROVENANCE)]
    values = {
        "version": 3,
        "operator_codes": [{"deprecated_builtin_code": RELU, "builtin_code": RELU, "version": 1}],
        "subgraphs": [body],
        "buffers": [{}, *({"data": content} for content in PROVENANCE.values())],
        "metadata_buffer": [1],
        "metadata": provenance,
    }
    return serialize("Model", {**values, **model})


def _absent() -> list[Case]:
    no_inputs, no_graph = raw({"inputs": None}), raw(subgraphs=[])
    held = [{"shape": [1, 4], "type": 9, "buffer": n, "name": f"tensor_{n}"} for n in (4, 0)]
    held = [{**each, "quantization": {"scale": [0.5], "zero_point": [0]}} for each in held]
    buffers = [{}, *({"data": content} for content in PROVENANCE.values()), {"data": bytes((1, 2, 3, 4))}]
    no_ports = raw(graph_={"inputs": None, "tensors": held}, buffers=buffers)
    empty_ports = raw(graph_={"inputs": [], "tensors": held}, buffers=buffers)
    return [
        Case("STRUCT-08", "an operator's inputs", raw(), no_inputs, op_offset(no_inputs)),
        Case("STRUCT-08", "a subgraph's inputs", empty_ports, no_ports, _tables(no_ports, "Model.subgraphs")[0]),
        Case("STRUCT-08", "all subgraphs", raw(), no_graph, int.from_bytes(no_graph[:4], "little")),
    ]


def _signature() -> Span:
    """The vector of the digest, which no rule looks into."""
    content = PROVENANCE["signature_ed25519"]
    start = sound().index(content) - 4
    return next(span for span in spans(sound())["Buffer.data", "vector"] if span.start == start)


def _shared_bytes() -> list[Case]:
    longer = patched(sound(), _signature().start, "I", 80)
    behind = min(s.start for found in spans(sound()).values() for s in found if s.start >= _signature().end)
    twice = raw(metadata=[*({"name": n, "buffer": b + 1} for b, n in enumerate(PROVENANCE)), {"name": "", "buffer": 0}])
    entry = _span("Model.metadata", "references", data=twice).start + 4 * (len(PROVENANCE) + 1)
    empty = _tables(twice, "Model.buffers")[0]
    return [
        _case("STRUCT-09", "a vector over the next object", longer, behind),
        Case("STRUCT-09", "one table of two types", twice, patched(twice, entry, "I", empty - entry), empty),
    ]


def _alignment() -> list[Case]:
    reference = _span("Tensor.shape", "reference").start
    old = _span("Tensor.shape", "vector")
    content = sound()[old.start : old.end]
    place = len(sound()) + 2
    moved = patched(sound(), old.start, "12s", bytes(12)) + bytes(2) + content  # type: ignore[arg-type]
    moved = patched(moved, reference, "I", place - reference)
    return [
        _case("STRUCT-10", "a shape on an odd half word", moved, place),
        _case("STRUCT-10", "the same on a Cortex-M0+", moved, place, device="rp2040"),
    ]


def _appended() -> list[Case]:
    end = used_bytes(sound())
    labels, payload = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(labels, "w") as archive:
        archive.writestr("labels.txt", "a\nb\n")
    with zipfile.ZipFile(payload, "w") as archive:
        archive.writestr("labels.txt", "a\nb\n")
        archive.writestr("run.bin", bytes(40))
    good = sound() + labels.getvalue()
    return [
        Case("STRUCT-12", "a script", good, sound()[:end] + b"#!/bin/sh\necho\n", end),
        Case("STRUCT-12", "an archive with more than labels", good, sound()[:end] + payload.getvalue(), end),
        Case("STRUCT-12", "bytes", sound() + bytes(600), sound()[:end] + bytes(range(1, 60)), end),
    ]


def _details() -> list[Case]:
    version = _span("Model.version", "scalar").start
    name = _span("Tensor.name", "string")
    code = _span("OperatorCode.deprecated_builtin_code", "scalar").start
    odd = graph()
    odd.input((1, 4), "int8", scale=0.5)
    good = chain(odd).tobytes()
    kind = _span("Tensor.type", "scalar", data=good).start
    return [
        _at("STRUCT-11", "version 4", version, "I", 4),
        _case("STRUCT-13", "an unhooked block", patched(sound(), _signature().start, "I", 16), _signature().start + 20),
        _at("STRUCT-14", "name of a tensor", name.end - 1, "B", ord("A")),
        _case("STRUCT-15", "two operators in one code", patched(sound(), code, "B", 3), _first_code()),
        Case("STRUCT-16", "type 77", good, patched(good, kind, "B", 77), tensor_offset(good, 0)),
    ]


def _first_code() -> int:
    return _tables(sound(), "Model.operator_codes")[0]


def _planned(words: list[int], *, skip: bool = False) -> bytes:
    """A model with an offline plan: five tensors, or three with a tensor that skips an operator."""
    builder = graph()
    builder.metadata(PLAN, struct.pack(f"<{len(words)}i", *words))
    if not skip:
        return chain(builder).tobytes()
    x = builder.input((1, 16), "int8", scale=0.5)
    builder.output(builder.op("ADD", [x, builder.op("RELU", [x])], scale=0.5, options={}))
    return builder.tobytes()


def _plans() -> list[Case]:
    good, skip = _planned([1, 0, 5, 0, -1, -1, 16, 32]), _planned([1, 0, 3, 0, 16, 32], skip=True)
    made = {
        "negative offset": ([1, 0, 5, 0, -1, -1, -16, 32], 6),
        "odd offset": ([1, 0, 5, 0, -1, -1, 18, 32], 6),
        "fewer offsets than tensors": ([1, 0, 5, 0, -1, -1], None),
        "another number of tensors": ([1, 0, 6, 0, -1, -1, 16, 32, 48], 2),
        "no header": ([1], 0),
        "behind the RAM": ([1, 0, 5, 0, -1, -1, 16, 1 << 24], 7),
    }
    found = []
    for name, (words, word) in made.items():
        bad = _planned(words)
        start = buffer_offset(bad, len(PROVENANCE) + 1)
        at = start + (4 * word if word is not None else 4 * len(words) - 1)
        device = "rp2040" if name == "behind the RAM" else None
        found.append(Case("STRUCT-17", name, good, bad, at, device=device))
    clash = _planned([1, 0, 3, 0, 8, 32], skip=True)
    at = buffer_offset(clash, len(PROVENANCE) + 1, 16)
    return [*found, Case("STRUCT-17", "two tensors in one place", skip, clash, at)]


def _compressed(bits: int, values: int, tensor_: int = 1, content: bytes | None = None) -> bytes:
    """Metadata that calls one tensor compressed."""
    builder = graph()
    made = flatbuffers.Builder(64)
    made.StartObject(3)
    made.PrependInt32Slot(0, tensor_, 0)
    made.PrependUint32Slot(1, len(PROVENANCE) + 1, 0)
    made.PrependUint8Slot(2, bits, 0)
    graph_ = _holder(made, made.EndObject(), slots=1, slot=0)
    made.Finish(_holder(made, graph_, slots=2, slot=1))
    builder._file.buffer(bytes(range(1, values + 1)))
    builder.metadata(COMPRESSION, bytes(made.Output()) if content is None else content)
    return chain(builder).tobytes()


def _holder(made: flatbuffers.Builder, item: int, slots: int, slot: int) -> int:
    """A table with a vector of one table."""
    made.StartVector(4, 1, 4)
    made.PrependUOffsetTRelative(item)
    vector = made.EndVector()
    made.StartObject(slots)
    made.PrependUOffsetTRelativeSlot(slot, vector, 0)
    return int(made.EndObject())


def _compression() -> list[Case]:
    good = _compressed(4, 16)
    made = {
        "a table that is too short": _compressed(4, 8),
        "indices of 9 bits": _compressed(9, 16),
        "no such tensor": _compressed(4, 16, tensor_=77),
        "bytes that are no table": _compressed(4, 16, content=bytes(range(200, 240))),
    }
    place = len(PROVENANCE) + 2
    cases = [Case("STRUCT-18", name, good, bad, buffer_offset(bad, place)) for name, bad in made.items()]
    version, broken = (_converted(name) for name in ("min_runtime_version", "CONVERSION_METADATA"))
    at = buffer_offset(broken, len(PROVENANCE) + 1)
    return [*cases, Case("STRUCT-18", "metadata of a converter", version, broken, at)]


def _converted(name: str) -> bytes:
    """Metadata that are a text, under a name that means a text or a table."""
    builder = graph()
    builder.metadata(name, b"2.15.0 and so on")
    return chain(builder).tobytes()


@cache
def cases() -> list[Case]:
    """See the package."""
    made = (_refused(), _absent(), _shared_bytes(), _alignment(), _appended(), _details(), _plans(), _compression())
    return [case for group in made for case in group]
