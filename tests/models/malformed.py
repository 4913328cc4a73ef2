"""Damaged model files, made from a sound one by changing what one field says. Each must end in ModelFileError."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

import numpy as np

from models.handmade import Spec, build, dense, ints, opcode, operator, tensor, zoo
from tinymlsec.target.tflite.layout import Span, layout


@cache
def spans(data: bytes) -> dict[tuple[str, str], list[Span]]:
    """Where each field of a file lies, by (owner, kind)."""
    found: dict[tuple[str, str], list[Span]] = {}
    for span in sorted(layout(data), key=lambda s: s.start):
        found.setdefault((span.owner, span.kind), []).append(span)
    return found


def patch(owner: str, kind: str, code: str, value: int, *, at: int = 0, which: int = 0) -> bytes:
    """The sound file with one number overwritten, `at` bytes into a span."""
    data = bytearray(zoo())
    span = spans(bytes(data))[owner, kind][which]
    struct.pack_into(f"<{code}", data, span.start + at, value)
    return bytes(data)


def one_tensor(**fields: object) -> bytes:
    graph = ("SubGraph", {"Tensors": [("Tensor", fields)]})
    return build({"Subgraphs": [graph], "Buffers": [("Buffer", {})]})


def repeated(field: str, count: int, table: Spec) -> bytes:
    """A model whose subgraph names one and the same table `count` times: small on disk, large if believed.

    Args:
        field: "tensors" or "operators".
        count: how many times.
        table: what is repeated.
    """
    tensors, operators = [("Tensor", {})], [operator(0, (0,), (0,))]
    base = _file(Tensors=tensors, Operators=operators)
    wanted = _file(Tensors=[table]) if field == "tensors" else _file(Tensors=tensors, Operators=[table])
    data = bytearray(base) + bytes(-len(base) % 8)
    vector = len(data)
    behind = vector + 4 + 4 * count + (-(vector + 4 + 4 * count) % 8)
    target = behind + spans(wanted)[table[0], "table"][0].start  # references only point forwards
    places = vector + 4 + 4 * np.arange(count)
    data += struct.pack("<I", count) + (target - places).astype("<u4").tobytes()
    data += bytes(behind - len(data)) + wanted
    reference = spans(base)[f"SubGraph.{field}", "reference"][0].start
    struct.pack_into("<I", data, reference, vector - reference)
    return bytes(data)


def _file(**graph: object) -> bytes:
    return build({"OperatorCodes": [opcode("ADD")], "Subgraphs": [("SubGraph", graph)], "Buffers": [("Buffer", {})]})


def external(offset: int, size: int) -> bytes:
    tensors = [tensor("t", (4,), "INT8", 1)]
    buffers = [("Buffer", {}), ("Buffer", {"Offset": offset, "Size": size})]
    return build({"Subgraphs": [("SubGraph", {"Tensors": tensors})], "Buffers": buffers})


def large_custom_options(offset: int, size: int) -> bytes:
    op = operator(0, (), (), None, LargeCustomOptionsOffset=offset, LargeCustomOptionsSize=size)
    graph = ("SubGraph", {"Tensors": [], "Operators": [op]})
    return build({"OperatorCodes": [opcode("CUSTOM")], "Subgraphs": [graph], "Buffers": [("Buffer", {})]})


MALFORMED: dict[str, Callable[[], bytes]] = {
    "only a header": lambda: bytes.fromhex("18000000") + b"TFL3",
    "root at itself": lambda: bytes(4) + b"TFL3" + bytes(64),
    "root of zeros": lambda: bytes.fromhex("10000000") + b"TFL3" + bytes(64),
    "root at the end": lambda: struct.pack("<I", 68) + b"TFL3" + bytes(64),
    "root past 4 GiB": lambda: b"\xff\xff\xff\xffTFL3" + bytes(64),
    "vtable before the file": lambda: patch("Model", "table", "i", 1 << 30),
    "vtable after the file": lambda: patch("Model", "table", "i", -(1 << 30)),
    "vtable offset is the lowest integer": lambda: patch("Model", "table", "i", -(1 << 31)),
    "vtable of zero bytes": lambda: patch("Model", "vtable", "H", 0),
    "vtable of two bytes": lambda: patch("Model", "vtable", "H", 2),
    "vtable of odd size": lambda: patch("Model", "vtable", "H", 7),
    "vtable longer than the file": lambda: patch("Model", "vtable", "H", 0xFFFE),
    "table shorter than its header": lambda: patch("Model", "vtable", "H", 3, at=2),
    "table longer than the file": lambda: patch("Model", "vtable", "H", 0xFFFF, at=2),
    "field outside its table": lambda: patch("Model", "vtable", "H", 0x7FFF, at=6),
    "field over the table's header": lambda: patch("Model", "vtable", "H", 2, at=6),
    "operator codes refer to themselves": lambda: patch("Model.operator_codes", "reference", "I", 0),
    "subgraphs outside the file": lambda: patch("Model.subgraphs", "reference", "I", 0xFFFFFF00),
    "subgraph count of 4 GiB": lambda: patch("Model.subgraphs", "references", "I", 0xFFFFFFFF),
    "subgraph reference of zero": lambda: patch("Model.subgraphs", "references", "I", 0, at=4),
    "tensor count too high": lambda: patch("SubGraph.tensors", "references", "I", 1 << 20),
    "tensor reference outside the file": lambda: patch("SubGraph.tensors", "references", "I", 1 << 28, at=8),
    "operator reference outside the file": lambda: patch("SubGraph.operators", "references", "I", 1 << 28, at=4),
    "description of 4 GiB": lambda: patch("Model.description", "string", "I", 0xFFFFFFFF),
    "tensor name past the end": lambda: patch("Tensor.name", "string", "I", 0x00FFFFFF),
    "shape vector of 4 GiB": lambda: patch("Tensor.shape", "vector", "I", 0xFFFFFFFF),
    "shape vector misaligned and too long": lambda: patch("Tensor.shape", "vector", "I", 0x40000001),
    "rank too high": lambda: one_tensor(Shape=np.ones(33, np.int32)),
    "negative dimension": lambda: one_tensor(Shape=ints(1, -1)),
    "signature dimension of -2": lambda: one_tensor(ShapeSignature=ints(1, -2)),
    "scale vector of 4 GiB": lambda: patch("QuantizationParameters.scale", "vector", "I", 0xFFFFFFFF),
    "zero point vector of 2^29": lambda: patch("QuantizationParameters.zero_point", "vector", "I", 1 << 29),
    "buffer index out of range": lambda: one_tensor(Buffer=1),
    "buffer index of 2^32 - 1": lambda: one_tensor(Buffer=0xFFFFFFFF),
    "buffer data past the end": lambda: patch("Buffer.data", "vector", "I", 1 << 24),
    "buffer data of 4 GiB": lambda: patch("Buffer.data", "vector", "I", 0xFFFFFFFF),
    "external buffer past the end": lambda: external(1 << 20, 4),
    "external buffer of 2^63": lambda: external(8, 1 << 63),
    "external buffer whose sum overflows": lambda: external((1 << 64) - 2, 4),
    "large custom options past the end": lambda: large_custom_options(100, 1 << 40),
    "operator code out of range": lambda: patch("Operator.opcode_index", "scalar", "I", 7),
    "operator input out of range": lambda: patch("Operator.inputs", "vector", "i", 9, at=4),
    "operator input of -2": lambda: patch("Operator.inputs", "vector", "i", -2, at=4),
    "operator output of -1": lambda: patch("Operator.outputs", "vector", "i", -1, at=4),
    "operator output out of range": lambda: patch("Operator.outputs", "vector", "i", 1 << 30, at=4),
    "intermediate out of range": lambda: patch("Operator.intermediates", "vector", "i", 99, at=4),
    "options outside the file": lambda: patch("Operator.builtin_options", "reference", "I", 1 << 30),
    "second options outside the file": lambda: patch("Operator.builtin_options_2", "reference", "I", 1 << 30),
    "custom options of 4 GiB": lambda: patch("Operator.custom_options", "vector", "I", 0xFFFFFFFF),
    "model input out of range": lambda: patch("SubGraph.inputs", "vector", "i", 50, at=4),
    "model output of -1": lambda: patch("SubGraph.outputs", "vector", "i", -1, at=4),
    "metadata buffer out of range": lambda: patch("Metadata.buffer", "scalar", "I", 999),
    "signature tensor out of range": lambda: patch("TensorMap.tensor_index", "scalar", "I", 999),
    "signature subgraph out of range": lambda: _signature_of_subgraph(9),
    "no subgraphs": lambda: build({"Subgraphs": [], "Buffers": [("Buffer", {})]}),
    "no subgraph vector": lambda: build({"Buffers": [("Buffer", {})]}),
    "no buffers": lambda: build({"Subgraphs": [("SubGraph", {"Tensors": [("Tensor", {})]})]}),
    "too many inputs": lambda: _graph(Tensors=[("Tensor", {})], Inputs=ints(*[0] * 5000)),
    "tensors that overlap": lambda: repeated("tensors", 30_000, tensor("n" * 20_000, (1,), "INT8")),
    "operators that overlap": lambda: repeated("operators", 30_000, operator(0, (0,) * 5000, (0,))),
}


def _graph(**fields: object) -> bytes:
    return dense(Subgraphs=[("SubGraph", fields)])


def _signature_of_subgraph(index: int) -> bytes:
    return dense(SignatureDefs=[("SignatureDef", {"SignatureKey": "s", "SubgraphIndex": index})])
