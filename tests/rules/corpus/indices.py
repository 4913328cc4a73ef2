"""IDX: numbers that name nothing, and tensors that flow from nowhere or to nowhere."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from rules.corpus.base import (
    Case,
    buffer_offset,
    graph,
    op_offset,
    patched,
    patched_span,
    spans,
    tensor_offset,
)
from rules.corpus.structure import raw, sound
from tinymlsec.target.tflite.builder import GraphBuilder, TensorSpec
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model


def _span(owner: str, kind: str, at: int, which: int = 0, data: bytes | None = None) -> int:
    return spans(sound() if data is None else data)[owner, kind][which].start + at


def _refused() -> list[Case]:
    code = _span("Operator.opcode_index", "scalar", 0)
    inputs, outputs = _span("Operator.inputs", "vector", 4), _span("Operator.outputs", "vector", 4)
    ports = _span("SubGraph.outputs", "vector", 4)
    made = [
        ("IDX-01", "code 9", code, 9),
        ("IDX-03", "input 99", inputs, 99),
        ("IDX-03", "input -2", inputs, -2),
        ("IDX-03", "output 99", outputs, 99),
        ("IDX-03", "output of the model 99", ports, 99),
        ("IDX-06", "an output", outputs, -1),
        ("IDX-06", "an output of the model", ports, -1),
    ]
    cases = [Case(rule, name, sound(), patched(sound(), at, "i", value), at) for rule, name, at, value in made]
    return [*cases, *_other_refusals()]


def _other_refusals() -> list[Case]:
    no_buffer = patched_span(sound(), "Tensor.buffer", "scalar", "I", 77)
    no_entry = patched_span(sound(), "Metadata.buffer", "scalar", "I", 77)
    signed = graph()
    x = signed.input((1, 4), "int8", scale=0.5)
    signed.output(signed.op("RELU", [x]))
    signed.signature()
    good = signed.tobytes()
    bad = patched_span(good, "TensorMap.tensor_index", "scalar", "I", 44, which=-1)
    return [
        Case("IDX-02", "buffer 77", sound(), no_buffer, _owner(no_buffer, "Tensor", "Tensor.buffer", 0)),
        Case("IDX-04", "metadata", sound(), no_entry, _owner(no_entry, "Metadata", "Metadata.buffer", 0)),
        Case("IDX-04", "a signature", good, bad, _owner(bad, "TensorMap", "TensorMap.tensor_index", -1)),
    ]


def _owner(data: bytes, table: str, field: str, which: int) -> int:
    """Start of the table that a field lies in."""
    place = spans(data)[field, "scalar"][which].start
    return next(s.start for s in spans(data)[table, "table"] if s.start <= place < s.end)


def edited(data: bytes, op: int, subgraph: int = 0, **changes: Any) -> bytes:
    """A file with one operator changed."""
    model = read_model(data)
    graph_ = model.subgraphs[subgraph]
    operators = [replace(each, **changes) if each.index == op else each for each in graph_.operators]
    return _with(model, subgraph, operators=tuple(operators))


def _with(model: Model, subgraph: int, **changes: Any) -> bytes:
    graphs = [replace(g, **changes) if g.index == subgraph else g for g in model.subgraphs]
    return write_model(replace(model, subgraphs=tuple(graphs)))


def _adder() -> GraphBuilder:
    """Three activations in a row and a sum; every tensor has one shape and one quantization."""
    builder = graph()
    x = builder.input((1, 8), "int8", scale=0.5)
    first = builder.op("RELU", [x])
    second = builder.op("RELU", [first])
    builder.output(builder.op("ADD", [first, second], scale=0.5, options={}))
    return builder


def _op_case(rule: str, name: str, bad: bytes, op: int, cve: str = "", good: bytes | None = None) -> Case:
    return Case(rule, name, _adder().tobytes() if good is None else good, bad, op_offset(bad, op), cve)


def _operators() -> list[Case]:
    good = _adder().tobytes()
    model = read_model(good)
    ops = model.main.operators
    swapped = (ops[1], ops[0], ops[2])
    early = _with(model, 0, operators=tuple(replace(op, index=place) for place, op in enumerate(swapped)))
    return [
        _op_case("IDX-06", "an input of ADD", edited(good, 2, inputs=(1, -1)), 2, "CVE-2020-15211"),
        _op_case("IDX-07", "a sum into itself", edited(good, 2, inputs=(1, 3)), 2, "CVE-2020-15210"),
        _op_case("IDX-09", "an input of ADD", _orphan(good), 2, "CVE-2020-15209"),
        _op_case("IDX-10", "two operators swapped", early, 0),
        _op_case("IDX-12", "two operators write one tensor", _twice(good), 1),
        _op_case("IDX-12", "the input of the model", _into_input(good), 1),
        *_subgraphs(),
        *_splits(),
    ]


def _orphan(good: bytes) -> bytes:
    """ADD reads a tensor that is there and that nothing fills."""
    model = read_model(good)
    tensors = model.main.tensors
    orphan = replace(tensors[2], index=4, name="tensor_4")
    graph_ = replace(model.main, tensors=(*tensors, orphan))
    return edited(write_model(replace(model, subgraphs=(graph_,))), 2, inputs=(2, 4))


def _into_input(good: bytes) -> bytes:
    """The second activation writes the input of the model; the sum takes the first one's result twice."""
    return edited(edited(good, 1, outputs=(0,)), 2, inputs=(1, 1))


def _twice(good: bytes) -> bytes:
    """Both activations take the input and write one tensor."""
    return edited(edited(good, 1, inputs=(0,), outputs=(1,)), 2, inputs=(1, 1))


def _subgraphs() -> list[Case]:
    def made(index: int) -> bytes:
        builder = graph()
        once = builder.subgraph("once")
        builder.op_many("CALL_ONCE", [], [], {"init_subgraph_index": index})
        x = builder.input((1, 8), "int8", scale=0.5)
        builder.output(builder.op("RELU", [x]))
        assert once.index == 1
        return builder.tobytes()

    return [_op_case("IDX-05", f"subgraph {index}", made(index), 0, good=made(1)) for index in (2, -1)]


def _splits() -> list[Case]:
    builder = graph()
    x = builder.input((1, 8), "int8", scale=0.5)
    halves = [TensorSpec((1, 4), "int8", 0.5) for _ in range(2)]
    left, right = builder.op_many("SPLIT", [builder.int_scalar(1), x], halves, {"num_splits": 2})
    builder.output(left, builder.op("RELU", [right]))
    good = builder.tobytes()
    bad = edited(good, 0, outputs=(left, left))
    bad = edited(bad, 1, inputs=(left,))
    return [_op_case("IDX-08", "both halves of SPLIT", bad, 0, good=good)]


def _constants() -> list[Case]:
    builder = graph()
    x = builder.input((1, 8), "int8", scale=0.5)
    held = builder.constant(np.arange(8, dtype=np.int8).reshape(1, 8), scale=0.5)
    builder.output(builder.op("ADD", [builder.op("RELU", [x]), held], scale=0.5, options={}))
    good = builder.tobytes()
    bad = edited(good, 0, outputs=(held,))
    bad = edited(bad, 1, inputs=(held, held))
    return [Case("IDX-11", "a constant as output", good, bad, op_offset(bad, 0), count=1)]


def _graphs() -> list[Case]:
    good = _adder().tobytes()
    model = read_model(good)
    spare = replace(model.main.tensors[2], index=4, name="tensor_4")
    unwritten = _with(model, 0, tensors=(*model.main.tensors, spare), outputs=(3, 4))
    unread = _with(model, 0, tensors=(*model.main.tensors, spare))
    big = _adder()
    big.constant(np.arange(300, dtype=np.int16), scale=0.25)
    return [
        Case("IDX-13", "a tensor that nobody writes", good, unwritten, tensor_offset(unwritten, 4)),
        Case("IDX-14", "a spare tensor", good, unread, tensor_offset(unread, 4)),
        Case("IDX-14", "600 bytes of constants", good, big.tobytes(), tensor_offset(big.tobytes(), 4)),
        *_buffers(),
    ]


def _buffers() -> list[Case]:
    own = {"buffers": [{}, *({"data": bytes((n,) * 16)} for n in range(1, 4)), {}]}
    filled = {"buffers": [{"data": bytes(range(1, 17))}, *own["buffers"][1:]]}
    tensors = [{"shape": [1, 4], "type": 9, "buffer": 4, "name": f"tensor_{n}"} for n in range(2)]
    tensors = [{**t, "quantization": {"scale": [0.5], "zero_point": [0]}} for t in tensors]
    good, bad = (raw(graph_={"tensors": tensors}, **buffers) for buffers in (own, filled))
    state, wrong = _stateful(False), _stateful(True)
    return [
        Case("IDX-15", "16 bytes", good, bad, buffer_offset(bad, 0)),
        Case("IDX-16", "a state with bytes", state, wrong, tensor_offset(wrong, 1)),
    ]


def _stateful(filled: bool) -> bytes:
    """A sum with a variable."""
    builder = graph()
    x = builder.input((1, 8), "int8", scale=0.5)
    buffer = builder._file.buffer(bytes(range(8))) if filled else 0
    state = builder.tensor((1, 8), "int8", scale=0.5, is_variable=True, buffer=buffer)
    builder.output(builder.op("ADD", [x, state], scale=0.5, options={}))
    return builder.tobytes()


@cache
def cases() -> list[Case]:
    """See the package."""
    return [*_refused(), *_operators(), *_constants(), *_graphs()]
