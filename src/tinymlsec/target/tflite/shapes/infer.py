"""Runs the shape function of an operator and compares a whole model with what it declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinymlsec.target.tflite.constant import constant as reader_constant
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph
from tinymlsec.target.tflite.shapes.core import (
    Answer,
    Constant,
    InferredShape,
    InferredShapes,
    OpView,
    RunTimeShape,
    Shape,
)
from tinymlsec.target.tflite.shapes.state import VariableShapes
from tinymlsec.target.tflite.shapes.table import SHAPE_FUNCTIONS


@dataclass(frozen=True)
class ShapeMismatch:
    """An output whose declared shape is not the one its operator computes."""

    subgraph: int
    op: int
    output: int
    """Position among the operator's outputs, from zero."""
    declared: Shape
    inferred: Shape
    offset: int | None = None
    """File offset of the operator."""


def known_operators() -> tuple[str, ...]:
    """Names of the builtin operators whose output shapes can be inferred, sorted."""
    return tuple(sorted(SHAPE_FUNCTIONS))


def infer_output_shapes(
    model: Model, graph: Subgraph, op: Operator, constant: Constant | None = None
) -> InferredShapes:
    """Works out the shapes of an operator's outputs from its inputs' declared shapes, constants and options.

    Args:
        model: the file (constants, subgraphs and variables are looked up in it).
        graph: the subgraph of the operator.
        op: the operator.
        constant: gives constant values; by default the reader's.

    Returns:
        One entry per output: the shape, or None and the reason (values known only at run time, custom operator,
        operator not known to shape inference).

    Raises:
        ShapeError: no output shape exists: a zero stride, an axis outside of the rank, shapes that do not fit.
    """
    return _infer(model, graph, op, constant or reader_constant, VariableShapes(model))


def check_shapes(model: Model, constant: Constant | None = None) -> list[ShapeMismatch]:
    """Compares every declared output shape of every operator with the inferred one.

    Args:
        model: the file.
        constant: as for `infer_output_shapes`.

    Returns:
        The outputs that differ, in file order; outputs whose shape cannot be inferred are passed over.

    Raises:
        ShapeError: the first operator that admits no output shape.
    """
    lookup, variables = constant or reader_constant, VariableShapes(model)
    found: list[ShapeMismatch] = []
    for graph in model.subgraphs:
        for op in graph.operators:
            found += _mismatches(graph, op, _infer(model, graph, op, lookup, variables))
    return found


def _mismatches(graph: Subgraph, op: Operator, inferred: InferredShapes) -> list[ShapeMismatch]:
    return [
        ShapeMismatch(graph.index, op.index, position, graph.tensors[index].shape, result.shape, op.offset)
        for position, (index, result) in enumerate(zip(op.outputs, inferred, strict=True))
        if result.shape is not None and 0 <= index < len(graph.tensors) and graph.tensors[index].shape != result.shape
    ]


def _infer(
    model: Model, graph: Subgraph, op: Operator, constant: Constant, variables: VariableShapes
) -> InferredShapes:
    function = SHAPE_FUNCTIONS.get(op.name)
    if function is None:
        reason = "custom operator" if op.name == "CUSTOM" else "operator not known to shape inference"
        return _unknown(op, reason)
    view = OpView(model, graph, op, constant, variables)
    try:
        answers = function(view)
    except RunTimeShape as reason:
        return _unknown(op, str(reason))
    return _finish(view, answers)


def _unknown(op: Operator, reason: str) -> InferredShapes:
    return tuple(InferredShape(None, reason) for _ in op.outputs)


def _finish(view: OpView, answers: Sequence[Answer]) -> InferredShapes:
    outputs = len(view.op.outputs)
    view.require(outputs == len(answers), "number of outputs", found=outputs, expected=len(answers))
    return tuple(
        InferredShape(None, answer)
        if isinstance(answer, str)
        else InferredShape(view.checked(answer, f"output {position}"))
        for position, answer in enumerate(answers)
    )
