"""The builder's conveniences, float wrapping and linear classifiers, as graphs."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.errors import UnsupportedModelError, UsageError
from tinymlsec.target.tflite.builder import GraphBuilder, TensorSpec
from tinymlsec.target.tflite.classifiers import dense_int8, linear_classifier
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.float_wrap import wrap_float
from tinymlsec.target.tflite.op_options import make_options, options_table
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.schema import enum_names
from tinymlsec.target.tflite.shapes import ShapeError, check_shapes, known_operators
from tinymlsec.target.tflite.writer import write_model


def test_output_takes_shape_type_and_quantization_from_its_input() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4, 4, 2), "int8", 0.5, 3)
    y = builder.op("RESHAPE", [x, builder.ints(1, -1)])
    z = builder.op("DEQUANTIZE", [y], dtype="float32")
    parts = builder.op_many("SPLIT", [builder.int_scalar(1), y], [TensorSpec()] * 2, {"num_splits": 2})
    tensors = builder.build().main.tensors
    assert (tensors[y].shape, tensors[y].dtype) == ((1, 32), "int8")
    assert tensors[y].quantization is tensors[x].quantization
    assert (tensors[z].shape, tensors[z].dtype, tensors[z].quantization) == ((1, 32), "float32", None)
    assert [(tensors[p].shape, tensors[p].dtype) for p in parts] == [((1, 16), "int8")] * 2


def test_options_by_name_and_number_with_defaults() -> None:
    given = {"padding": "VALID", "stride_h": 2, "fused_activation_function": "relu6"}
    name, options = make_options("CONV_2D", given)
    assert name == "Conv2DOptions"
    assert options == {
        "padding": 1,
        "stride_w": 0,
        "stride_h": 2,
        "fused_activation_function": 3,
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
        "quantized_bias_type": 0,
    }
    assert make_options("CAST", {"in_data_type": "int8", "out_data_type": 0})[1] == {
        "in_data_type": 9,
        "out_data_type": 0,
    }


def test_every_operator_that_needs_options_finds_its_table() -> None:
    """Operators without a table of their own, by the schema; all others must have one."""
    without = (
        "BROADCAST_ARGS CEIL COMPLEX_ABS ELU EMBEDDING_LOOKUP FLOOR HASHTABLE_LOOKUP IMAG LOG LOGISTIC PRELU REAL RELU "
        "RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIN SQRT TANH"
    )
    assert {op for op in known_operators() if options_table(op) == "NONE"} == set(without.split())
    named = {options_table(op) for op in enum_names("BuiltinOperator")} - {"NONE"}
    orphans = set(enum_names("BuiltinOptions")[1:]) - named
    assert orphans == set()


@pytest.mark.parametrize(
    ("operator", "options", "words"),
    [
        ("CONV_2D", {"strides": 1}, "no such options"),
        ("CONV_2D", {"padding": "FULL"}, "no such value"),
        ("LOGISTIC", {"beta": 1.0}, "takes no options"),
        ("CONVOLUTION", {}, "no such builtin operator"),
    ],
)
def test_wrong_words_are_refused(operator: str, options: dict[str, object], words: str) -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4, 4, 1), "int8")
    with pytest.raises(UsageError, match=words):
        builder.op(operator, [x], options=options)  # type: ignore[arg-type]


def test_a_shape_that_cannot_be_inferred_must_be_given() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8")
    with pytest.raises(UsageError, match="needs a shape"):
        builder.op("WHERE", [x], dtype="int64")
    with pytest.raises(UsageError, match="needs a type"):
        builder.op("VAR_HANDLE", [])
    with pytest.raises(ShapeError):
        builder.op("SOFTMAX", [builder.input((), "int8")])
    with pytest.raises(UsageError, match="cannot be made"):
        builder.constant(np.zeros(3), dtype="string")


def test_constants_keep_type_and_values() -> None:
    builder = GraphBuilder()
    values = np.array([[1, -2], [3, 4]], np.int16)
    index = builder.constant(values, 0.5)
    half = builder.constant([0.5, 0.25], dtype="float16")
    model = read_model(builder.tobytes())
    np.testing.assert_array_equal(constant(model, model.main.tensors[index]), values)
    assert model.main.tensors[half].dtype == "float16"
    axes = builder.ints(1, 2)
    assert (builder.build().main.tensors[axes].dtype, builder.build().main.tensors[axes].shape) == ("int32", (2,))


def test_a_model_grows_with_its_builder() -> None:
    builder = GraphBuilder("d", "g")
    assert builder.build().main.operators == ()
    x = builder.input((2,), "float32")
    builder.output(builder.op("RELU", [builder.op("RELU", [x])]))
    model = builder.build()
    assert (model.description, model.main.name, len(model.opcodes)) == ("d", "g", 1)
    assert [op.index for op in model.main.operators] == [0, 1]


WEIGHTS = np.array([[1.0, -1.0, 0.5, 0.0], [-0.5, 1.0, 0.0, 0.25], [0.0, 0.0, -1.0, 1.0]])
BIAS = np.array([0.1, 0.0, -0.2])


def test_linear_classifier_graph() -> None:
    model = linear_classifier(WEIGHTS, BIAS, 0.05, -10, (1, 2, 2, 1))
    assert [op.name for op in model.main.operators] == ["RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert check_shapes(read_model(write_model(model))) == []
    plain = linear_classifier(WEIGHTS, BIAS, 0.05, -10, (1, 4), softmax=False)
    assert [op.name for op in plain.main.operators] == ["FULLY_CONNECTED"]


@pytest.mark.parametrize(
    ("bias", "shape"), [(np.zeros(2), (1, 4)), (BIAS, (1, 5)), (BIAS, (2, 2)), (BIAS, (4,)), (np.zeros((3, 1)), (1, 4))]
)
def test_linear_classifier_refuses_what_does_not_fit(bias: np.ndarray, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="do not fit"):
        linear_classifier(WEIGHTS, bias, 0.05, 0, shape)


def test_dense_int8_needs_one_input_scale() -> None:
    builder = GraphBuilder()
    with pytest.raises(UsageError, match="one scale"):
        dense_int8(builder, builder.input((1, 4), "int8"), WEIGHTS, BIAS, output_scale=1.0, output_zero_point=0)


def test_wrap_float_keeps_the_core_and_moves_the_signature() -> None:
    builder = GraphBuilder()
    x, extra = builder.input((1, 4), "int8", 0.5, name="x"), builder.input((1, 4), "float32", name="extra")
    y = builder.op("RELU", [x], output_name="y")
    builder.output(y, y, extra)
    builder.signature()
    model = builder.build()
    wrapped = wrap_float(model)
    graph = wrapped.main
    assert [op.name for op in graph.operators] == ["QUANTIZE", "RELU", "DEQUANTIZE"]
    assert [op.index for op in graph.operators] == [0, 1, 2]
    assert graph.tensors[: len(model.main.tensors)] == model.main.tensors
    assert [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)] == ["float32"] * 5
    assert graph.outputs[0] == graph.outputs[1] != y
    assert graph.inputs[1] == graph.outputs[2] == extra
    assert wrapped.signatures[0].inputs == (("x", graph.inputs[0]), ("extra", extra))
    assert wrapped.signatures[0].outputs[0] == ("y", graph.outputs[0])
    assert check_shapes(read_model(write_model(wrapped))) == []


def test_wrap_float_refuses_inputs_that_quantize_cannot_make() -> None:
    builder = GraphBuilder()
    builder.output(builder.op("RELU", [builder.input((1, 4), "uint8", 0.5)]))
    with pytest.raises(UnsupportedModelError, match="float form"):
        wrap_float(builder.build())
