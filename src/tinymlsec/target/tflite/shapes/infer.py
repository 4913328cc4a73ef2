"""Runs the shape function of an operator and compares a whole model with what it declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    ShapeError,
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


@dataclass(frozen=True)
class OperatorShapes:
    """What inference says of one operator of a model."""

    graph: Subgraph
    op: Operator
    shapes: InferredShapes
    """Empty where there is an error."""
    error: ShapeError | None = None
    """Set where the operator admits no output shape."""


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
    found: list[ShapeMismatch] = []
    for result in infer_model(model, constant):
        if result.error is not None:
            raise result.error
        found += _mismatches(result)
    return found


def infer_model(model: Model, constant: Constant | None = None) -> Iterator[OperatorShapes]:
    """Infers the outputs of every operator in file order and goes on after those that admit no shape.

    Args:
        model: the file.
        constant: as for `infer_output_shapes`.
    """
    lookup, variables = constant or reader_constant, VariableShapes(model)
    for graph in model.subgraphs:
        for op in graph.operators:
            try:
                yield OperatorShapes(graph, op, _infer(model, graph, op, lookup, variables))
            except ShapeError as error:
                yield OperatorShapes(graph, op, (), error)


def _mismatches(result: OperatorShapes) -> list[ShapeMismatch]:
    graph, op = result.graph, result.op
    return [
        ShapeMismatch(graph.index, op.index, position, graph.tensors[index].shape, inferred.shape, op.offset)
        for position, (index, inferred) in enumerate(zip(op.outputs, result.shapes, strict=True))
        if inferred.shape is not None
        and 0 <= index < len(graph.tensors)
        and graph.tensors[index].shape != inferred.shape
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
