"""Shape inference: each operator by its definition, what is refused, what is unknown, and whole models."""

from __future__ import annotations

import dataclasses
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.shape_cases import CASES, MALFORMED, ShapeCase
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.builder import GraphBuilder, TensorSpec
from tinymlsec.target.tflite.graph import Model, Operator
from tinymlsec.target.tflite.reader import read_model, read_model_file
from tinymlsec.target.tflite.shapes import (
    MAX_ELEMENTS,
    ShapeError,
    ShapeMismatch,
    check_shapes,
    infer_model,
    infer_output_shapes,
    known_operators,
)
from tinymlsec.target.tflite.writer import write_model


def infer_last(model: Model) -> list[tuple[int, ...] | str]:
    graph = model.main
    inferred = infer_output_shapes(model, graph, graph.operators[-1])
    return [result.reason if result.shape is None else result.shape for result in inferred]


def name_of(case: ShapeCase) -> str:
    return f"{case.op}-{case.inputs}-{case.options}"[:80]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_shape_by_definition(case: ShapeCase) -> None:
    inferred = infer_last(case.model())
    assert len(inferred) == len(case.expected)
    for ours, expected in zip(inferred, case.expected, strict=True):
        assert (expected in ours) if isinstance(expected, str) and isinstance(ours, str) else ours == expected


def test_every_known_operator_has_a_case() -> None:
    by_hand = {"CALL_ONCE"}  # in test_state_and_initialization
    assert set(known_operators()) == {case.op for case in CASES} | by_hand
    assert len(known_operators()) >= 150


@pytest.mark.parametrize("case", MALFORMED, ids=name_of)
def test_malformed_operator_is_refused_with_its_place(case: ShapeCase) -> None:
    data = write_model(case.model())
    model = read_model(data)
    op = model.main.operators[0]
    with pytest.raises(ShapeError, match=case.op) as caught:
        infer_output_shapes(model, model.main, op)
    assert isinstance(caught.value, ModelFileError)
    assert caught.value.offset == op.offset is not None


def test_custom_and_unknown_operators_say_so() -> None:
    builder = GraphBuilder()
    x = builder.input((2, 3), "int8")
    builder.op("Detector", [x], (7,), custom_options=b"")
    assert infer_last(builder.build()) == ["custom operator"]
    builder.op("SKIP_GRAM", [x], (7,))
    assert infer_last(builder.build()) == ["operator not known to shape inference"]


def test_inputs_outside_of_the_graph_are_refused() -> None:
    builder = GraphBuilder()
    builder.op("RELU", [builder.input((2,), "int8")])
    model = builder.build()
    for index in (9, -2):
        op = dataclasses.replace(model.main.operators[0], inputs=(index,))
        with pytest.raises(ShapeError):
            infer_output_shapes(model, model.main, op)


@pytest.mark.parametrize("shape", [(-1, 2), (2**16, 2**16), (0, 2**31 - 1, 4), (1,) * 33])
def test_impossible_input_shapes_are_refused(shape: tuple[int, ...]) -> None:
    builder = GraphBuilder()
    builder.op("RELU", [builder.input(shape, "int8")], (1,))
    with pytest.raises(ShapeError):
        infer_last(builder.build())


def test_constants_are_bounded_and_must_have_their_bytes() -> None:
    builder = GraphBuilder()
    x = builder.input((2, 3), "int8")
    long = builder.tensor((2000,), "int32", buffer=builder.build().buffers[0].index)
    builder.op("RESHAPE", [x, long], (6,))
    with pytest.raises(ShapeError, match="too long"):
        infer_last(builder.build())
    short = builder.ints(6)
    model = builder.build()
    tensors = list(model.main.tensors)
    tensors[short] = dataclasses.replace(tensors[short], shape=(2,))
    graph = dataclasses.replace(model.main, tensors=tuple(tensors))
    op = dataclasses.replace(graph.operators[0], inputs=(x, short))
    with pytest.raises(ShapeError, match="cannot be read"):
        infer_output_shapes(dataclasses.replace(model, subgraphs=(graph,)), graph, op)


def test_options_of_a_wrong_kind_are_refused() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4, 4, 1), "int8")
    builder.op("SPACE_TO_DEPTH", [x], (1,))
    builder.op("SQUEEZE", [x], (1,))
    model = builder.build()
    for op, options in zip(model.main.operators, ({"block_size": 2.0}, {"squeeze_dims": 3}), strict=True):
        with pytest.raises(ShapeError, match="option"):
            infer_output_shapes(model, model.main, dataclasses.replace(op, options=options))


def test_a_caller_can_give_the_constants() -> None:
    builder = GraphBuilder()
    builder.op("TILE", [builder.input((2, 3), "int8"), builder.input((2,), "int32")], (1,))
    model = builder.build()
    op = model.main.operators[0]
    assert infer_output_shapes(model, model.main, op)[0].shape is None
    given_ = infer_output_shapes(model, model.main, op, lambda _m, _t: np.array([3, 1]))
    assert given_[0].shape == (6, 3)


def stateful(first: tuple[int, ...], second: tuple[int, ...]) -> Model:
    """A variable that an initializer and the main graph assign, and that the main graph reads."""
    builder = GraphBuilder()
    x = builder.input(first, "int8")
    initializer = builder.subgraph("init")
    builder.op_many("CALL_ONCE", [], [], {"init_subgraph_index": initializer.index})
    zeros = initializer.constant(np.zeros(second, np.int8))
    initializer.op_many("ASSIGN_VARIABLE", [initializer.variable_handle("ring"), zeros], [])
    handle = builder.variable_handle("ring")
    builder.op_many("ASSIGN_VARIABLE", [handle, x], [])
    builder.output(*builder.op_many("READ_VARIABLE", [handle], [TensorSpec((1,), "int8")]))
    return builder.build()


def test_state_and_initialization() -> None:
    model = stateful((1, 4), (1, 4))
    assert infer_last(model) == [(1, 4)]
    assert infer_output_shapes(model, model.main, model.main.operators[0]) == ()
    assert check_shapes(model) == [ShapeMismatch(0, 3, 0, (1,), (1, 4))]
    assert infer_last(stateful((1, 4), (1, 5))) == ["2 different shapes are assigned to variable 'ring'"]


def test_mismatches_are_found_with_their_place() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8")
    y = builder.op("RELU", [x])
    builder.output(builder.op("CONCATENATION", [x, y], (1, 6), options={"axis": 1}))
    model = read_model(builder.tobytes())
    (found,) = check_shapes(model)
    assert found == ShapeMismatch(0, 1, 0, (1, 6), (1, 8), model.main.operators[1].offset)


def test_a_whole_model_is_inferred_past_its_errors() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4, 4, 1), "int8")
    bad = builder.op("SPACE_TO_DEPTH", [x], (1, 2, 2, 4))
    builder.output(builder.op("RELU", [bad]))
    model = builder.build()
    first, second = infer_model(model)
    assert (first.shapes, first.op.name) == ((), "SPACE_TO_DEPTH")
    assert first.error is not None
    assert second.error is None
    assert [shape.shape for shape in second.shapes] == [(1, 2, 2, 4)]
    with pytest.raises(ShapeError, match="block_size"):
        check_shapes(model)


def test_real_models_declare_what_is_inferred(shared_data: Path) -> None:
    files = sorted(shared_data.glob("*/*.tflite"))
    assert len(files) >= 11
    for path in files:
        model, _ = read_model_file(path)
        assert check_shapes(model) == [], path.name
        unknown = [op for graph in model.subgraphs for op in graph.operators if not all_known(model, graph.index, op)]
        assert {op.name for op in unknown} <= {"CUSTOM"}, path.name


def all_known(model: Model, graph: int, op: Operator) -> bool:
    return all(result.shape is not None for result in infer_output_shapes(model, model.subgraphs[graph], op))


SMALL = st.integers(-3, 5)
SHAPES = st.lists(st.one_of(st.integers(0, 4), st.sampled_from([2**16, 2**31 - 1])), max_size=5).map(tuple)
INPUTS = st.one_of(SHAPES, st.lists(st.one_of(SMALL, st.sampled_from([-(2**31), 2**31 - 1])), max_size=6), st.none())


@settings(max_examples=300, deadline=None)
@given(data=st.data(), inputs=st.lists(INPUTS, max_size=6), outputs=st.integers(0, 3))
def test_whatever_the_operator_the_answer_is_a_shape_a_reason_or_shape_error(
    data: st.DataObject, inputs: list[tuple[int, ...] | list[int] | None], outputs: int
) -> None:
    base = data.draw(st.sampled_from(CASES))
    options = {key: data.draw(SMALL) if isinstance(value, int) else value for key, value in base.options.items()}
    mixed = [data.draw(st.sampled_from([mine, theirs])) for mine, theirs in zip(base.inputs, inputs, strict=False)]
    case = dataclasses.replace(base, inputs=mixed or base.inputs, options=options)
    try:
        answers = infer_last(case.model(outputs))
    except ShapeError:
        return
    assert len(answers) == outputs
    assert all(isinstance(a, str) or (prod(a) <= MAX_ELEMENTS and min(a, default=0) >= 0) for a in answers)
