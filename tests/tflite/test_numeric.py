"""What a model computes with, and the grids of its inputs and outputs."""

from __future__ import annotations

from typing import Any

import pytest

from models.handmade import build, dense, ints, opcode, operator, quantization, tensor, zoo
from tinymlsec.target.tflite.numeric import DESCRIPTIONS, input_details, numeric_kind, output_details
from tinymlsec.target.tflite.reader import read_model


def graph(tensors: list[Any], operators: list[Any], codes: list[str], **ports: Any) -> bytes:
    buffers = [("Buffer", {}), ("Buffer", {"Data": bytes(4)})]
    subgraph = ("SubGraph", {"Tensors": tensors, "Operators": operators, **ports})
    return build({"OperatorCodes": [opcode(c) for c in codes], "Subgraphs": [subgraph], "Buffers": buffers})


def unpacked_weights() -> bytes:
    """int8 weights that a DEQUANTIZE turns into floats before a float layer."""
    tensors = [
        tensor("x", (1, 4), "FLOAT32"),
        tensor("packed", (1, 4), "INT8", 1, Quantization=quantization([0.1], [0])),
        tensor("w", (1, 4), "FLOAT32"),
        tensor("y", (1, 1), "FLOAT32"),
    ]
    operators = [operator(0, (1,), (2,)), operator(1, (0, 2, -1), (3,))]
    return graph(tensors, operators, ["DEQUANTIZE", "FULLY_CONNECTED"], Inputs=ints(0), Outputs=ints(3))


def half_wrapped() -> bytes:
    """A float input that both QUANTIZE and another operator read: nothing says which grid counts."""
    tensors = [
        tensor("x", (1, 4), "FLOAT32"),
        tensor("q", (1, 4), "INT8", Quantization=quantization([0.1], [0])),
        tensor("w", (1, 4), "INT8", 1, Quantization=quantization([0.1], [0])),
        tensor("y", (1, 1), "INT8", Quantization=quantization([0.1], [0])),
        tensor("z", (1, 4), "FLOAT32"),
    ]
    operators = [operator(0, (0,), (1,)), operator(1, (1, 2, -1), (3,)), operator(2, (0,), (4,))]
    return graph(tensors, operators, ["QUANTIZE", "FULLY_CONNECTED", "NEG"], Inputs=ints(0), Outputs=ints(3))


def no_weights(type_: str) -> bytes:
    tensors = [tensor("x", (1,), type_), tensor("y", (1,), type_)]
    return graph(tensors, [operator(0, (0,), (1,))], ["RELU"], Inputs=ints(0), Outputs=ints(1))


def transposed() -> bytes:
    """TRANSPOSE_CONV has its data in third place, behind a shape and the weights."""
    tensors = [
        tensor("shape", (4,), "INT32"),
        tensor("w", (1, 2, 2, 1), "INT8", 1, Quantization=quantization([0.1], [0])),
        tensor("x", (1, 2, 2, 1), "INT16", Quantization=quantization([0.1], [0])),
        tensor("y", (1, 4, 4, 1), "INT16"),
    ]
    return graph(tensors, [operator(0, (0, 1, 2), (3,))], ["TRANSPOSE_CONV"], Inputs=ints(2), Outputs=ints(3))


KINDS = {
    "int8": (dense, "int8"),
    "uint8": (lambda: dense("UINT8", "UINT8"), "uint8"),
    "int16x8": (lambda: dense("INT16", "INT8"), "int16"),
    "float": (lambda: dense("FLOAT32", "FLOAT32"), "float32"),
    "hybrid": (lambda: dense("FLOAT32", "INT8"), "hybrid"),
    "hybrid through DEQUANTIZE": (unpacked_weights, "hybrid"),
    "wrapped": (lambda: dense(wrapped=True), "float_wrapped"),
    "wrapped int16": (lambda: dense("INT16", "INT8", wrapped=True), "float_wrapped"),
    "half wrapped": (half_wrapped, "int8"),
    "transposed": (transposed, "int16"),
    "no weights, int8": (lambda: no_weights("INT8"), "int8"),
    "no weights, strings": (lambda: no_weights("STRING"), "other"),
    "zoo": (zoo, "int8"),
    "nothing": (lambda: graph([], [], []), "other"),
}


@pytest.mark.parametrize("name", KINDS)
def test_numeric_kind(name: str) -> None:
    make, kind = KINDS[name]
    assert numeric_kind(read_model(make())) == kind
    assert kind in DESCRIPTIONS


def test_ports_of_an_integer_model() -> None:
    (port,) = input_details(read_model(dense()))
    assert (port.tensor, port.name, port.shape, port.dtype) == (0, "input", (1, 4), "int8")
    assert (port.scale, port.zero_point, port.grid_tensor, port.grid_dtype) == (0.5, 3, 0, "int8")


def test_ports_of_a_wrapped_model_have_the_grid_of_the_core() -> None:
    model = read_model(dense(wrapped=True))
    (port,), (out,) = input_details(model), output_details(model)
    assert (port.name, port.dtype, port.grid_dtype, port.grid_tensor) == ("real input", "float32", "int8", 0)
    assert (out.name, out.dtype, out.grid_dtype, out.grid_tensor) == ("real output", "float32", "int8", 3)
    assert (port.scale, port.zero_point) == (0.5, 3)


@pytest.mark.parametrize("make", [lambda: dense("FLOAT32", "FLOAT32"), half_wrapped, lambda: no_weights("INT8")])
def test_ports_without_a_grid(make: Any) -> None:
    (port,) = input_details(read_model(make()))
    assert (port.scale, port.zero_point, port.grid_tensor, port.grid_dtype) == (None, None, None, None)


def test_names_come_from_the_signature() -> None:
    model = read_model(zoo())
    assert input_details(model)[0].signature_name == "image"
    assert output_details(model)[0].signature_name == "scores"
