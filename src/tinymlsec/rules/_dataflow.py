"""Who writes and who reads each tensor, checked once for all rules of the family IDX.

An operator gets the first fault that fits it only: what follows from that is not said again in other words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tinymlsec.rules._calls import callees
from tinymlsec.rules._places import at_operator, op_words, tensor_words
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph, Tensor

_LSTM = (1, 5, 9, 10, 11, 12, 16, 17, 20, 21, 22, 23)
OPTIONAL_INPUTS: dict[str, tuple[int, ...]] = {
    "CONV_2D": (2,),
    "FULLY_CONNECTED": (2,),
    "CONV_3D": (2,),
    "TRANSPOSE_CONV": (3,),
    "CONV_3D_TRANSPOSE": (3,),
    "SVDF": (3,),
    "LSTM": _LSTM,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
    "BIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 48)),
    "BIDIRECTIONAL_SEQUENCE_RNN": (9, 10, 11),
}
"""Inputs that may be absent (-1). Source: kernels of TensorFlow Lite 2.18 (GetOptionalInputTensor), and runs:
DEPTHWISE_CONV_2D without its bias is refused by LiteRT 2.3 and crashes TFLM, so it is not here. Custom operators decide
for themselves, so theirs are not looked at."""
NEEDED_BY_TFLM: dict[str, tuple[int, ...]] = {"SVDF": (3,)}
"""Of these, inputs without which TFLM crashes when it loads the model, as runs showed; LiteRT runs such models."""
Fault = tuple[str, Hit]
"""Rule id and hit."""


@dataclass
class _Graph:
    """One subgraph while it is walked."""

    file: ModelFile
    model: Model
    graph: Subgraph
    writers: dict[int, list[int]] = field(default_factory=dict)
    """Tensor -> operators that write it, in order."""

    def __post_init__(self) -> None:
        for op in self.graph.operators:
            for index in op.outputs:
                self.writers.setdefault(index, []).append(op.index)

    def hit(
        self, op: Operator, tensor: Tensor | None, message: str, rule: str, effect: Effect, cve: str = "", row: str = ""
    ) -> Fault:
        """A fault of an operator; `row` is the row of the runtime's table where it is not that of the rule."""
        place = at_operator(self.model, self.graph, op, None if tensor is None else tensor.index)
        text = f"{op_words(op)[:1].upper()}{op_words(op)[1:]} {message}"
        names = (cve,) if cve else ()
        return rule, relative(self.file, text, place, rule=row or rule, op=_builtin(op), cve=names, effect=effect)

    def is_constant(self, tensor: Tensor) -> bool:
        return len(self.model.buffers[tensor.buffer].data) > 0

    def has_value(self, tensor: Tensor) -> bool:
        """Whether it holds something before the first operator runs."""
        given = tensor.index in self.graph.inputs or tensor.is_variable or self.is_constant(tensor)
        return given or (bool(tensor.shape) and math.prod(tensor.shape) == 0)


def _builtin(op: Operator) -> str:
    return "" if op.name == "CUSTOM" else op.name


def operator_faults(file: ModelFile) -> list[Fault]:
    """The fault of each operator that has one, in file order; worked out once."""
    if "operator faults" not in file.memo:
        found: list[Fault] = []
        for graph in file.model.subgraphs if file.model is not None else ():
            assert file.model is not None
            state = _Graph(file, file.model, graph)
            for op in graph.operators:
                fault = None if (graph.index, op.index) in file.noted else next(_faults(state, op), None)
                if fault is not None:
                    found.append(fault)
        file.memo["operator faults"] = found
    faults: list[Fault] = file.memo["operator faults"]
    return faults


def _faults(state: _Graph, op: Operator) -> Iterator[Fault]:
    yield from _subgraphs(state, op)
    yield from _missing(state, op)
    yield from _aliases(state, op)
    yield from _written(state, op)
    yield from _read(state, op)


def _subgraphs(state: _Graph, op: Operator) -> Iterator[Fault]:
    count = len(state.model.subgraphs)
    for option, callee in callees(op):
        if not 0 <= callee < count:
            message = f"has {option} = {callee}; expected 0 to {count - 1}."
            yield state.hit(op, None, message, "IDX-05", Effect.READ, row="IDX-05 negative" if callee < 0 else "")


def _missing(state: _Graph, op: Operator) -> Iterator[Fault]:
    if op.name == "CUSTOM":
        return
    basic = op.name == "LSTM" and op.options.get("kernel_type") == 1  # it has five inputs, all needed
    runtime = state.file.runtime
    needed = () if runtime and not runtime.id.startswith("tflm") else NEEDED_BY_TFLM.get(op.name, ())
    allowed = () if basic else tuple(set(OPTIONAL_INPUTS.get(op.name, ())) - set(needed))
    for place, index in enumerate(op.inputs):
        if index < 0 and place not in allowed:
            message = f"has input {place} = -1 (absent); expected a tensor: only inputs {allowed} may be absent."
            if not allowed:
                message = f"has input {place} = -1 (absent); expected a tensor: it has no optional inputs."
            yield state.hit(op, None, message, "IDX-06", Effect.NULL, "CVE-2020-15211")


def _aliases(state: _Graph, op: Operator) -> Iterator[Fault]:
    for index in op.outputs:
        if index in op.inputs:
            tensor = state.graph.tensors[index]
            message = f"reads and writes {tensor_words(tensor)}; expected an output of its own."
            yield state.hit(op, tensor, message, "IDX-07", Effect.WRITE, "CVE-2020-15210")
    for place, index in enumerate(op.outputs):
        if index in op.outputs[:place]:
            tensor = state.graph.tensors[index]
            message = f"has {tensor_words(tensor)} as outputs {op.outputs.index(index)} and {place}; expected two."
            yield state.hit(op, tensor, message, "IDX-08", Effect.WRONG)


def _written(state: _Graph, op: Operator) -> Iterator[Fault]:
    for index in op.outputs:
        tensor = state.graph.tensors[index]
        if state.is_constant(tensor) and tensor.buffer:
            message = (
                f"writes {tensor_words(tensor)}, which is a constant in buffer {tensor.buffer}; expected a computed "
            )
            yield state.hit(op, tensor, message + "tensor.", "IDX-11", Effect.WRITE)
        elif tensor.is_variable:
            continue
        elif index in state.graph.inputs:
            message = f"writes {tensor_words(tensor)}, an input of the subgraph; expected a tensor of its own."
            yield state.hit(op, tensor, message, "IDX-12", Effect.WRONG)
        elif state.writers[index][0] < op.index:
            message = (
                f"writes {tensor_words(tensor)}, which operator {state.writers[index][0]} writes too; expected one."
            )
            yield state.hit(op, tensor, message, "IDX-12", Effect.WRONG)


def _read(state: _Graph, op: Operator) -> Iterator[Fault]:
    for place, index in enumerate(op.inputs):
        if index < 0:
            continue
        tensor = state.graph.tensors[index]
        if state.has_value(tensor) or (op.name == "RESHAPE" and place == 1):  # that one has a CVE of its own (SHAPE)
            continue
        writers = state.writers.get(index)
        if writers is None:
            message = (
                f"reads {tensor_words(tensor)}, which no operator writes and which is no input, variable or constant "
                f"(buffer {tensor.buffer} is empty); expected a source."
            )
            yield state.hit(op, tensor, message, "IDX-09", Effect.WRONG, "CVE-2020-15209")
        elif writers[0] > op.index:
            message = f"reads {tensor_words(tensor)} before operator {writers[0]} writes it; expected it to come later."
            yield state.hit(op, tensor, message, "IDX-10", Effect.WRONG)


def sound_graphs(file: ModelFile) -> Iterator[Subgraph]:
    """Subgraphs whose operators have no fault: where one has, lost inputs and outputs follow from it."""
    faulty = {hit.location.subgraph or 0 for _, hit in operator_faults(file)}
    for graph in file.model.subgraphs if file.model is not None else ():
        if graph.index not in faulty:
            yield graph


def dead_tensors(model: Model, graph: Subgraph) -> list[Tensor]:
    """Tensors that no operator reads and that are no inputs, outputs or variables of the subgraph."""
    used = {*graph.inputs, *graph.outputs}
    for op in graph.operators:
        used.update(op.inputs, op.intermediates)
    return [tensor for tensor in graph.tensors if tensor.index not in used and not tensor.is_variable]
