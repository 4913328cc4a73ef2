"""Tiny int8 classifiers whose answers are known: controls for attacks, fixtures for tests."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.quantize import quantize_symmetric, range_parameters
from tinymlsec.target.tflite.requant_ops import quantize_bias

SOFTMAX_SCALE, SOFTMAX_ZERO_POINT = 1 / 256, -128
"""What the int8 SOFTMAX kernel insists on for its output."""


def dense_int8(
    builder: GraphBuilder,
    inputs: int,
    weights: ArrayLike,
    bias: ArrayLike,
    *,
    output_scale: float,
    output_zero_point: int,
    activation: str = "NONE",
    name: str = "dense",
) -> int:
    """Adds a FULLY_CONNECTED layer with real weights brought to int8 (one scale) and biases to int32.

    Args:
        builder: the graph.
        inputs: an int8 tensor with one scale.
        weights: real numbers, (units, features).
        bias: real numbers, (units,).
        output_scale: scale of the output.
        output_zero_point: zero point of the output.
        activation: NONE, RELU, RELU6 or RELU_N1_TO_1.
        name: prefix of the tensors' names.

    Returns:
        The output's tensor index.
    """
    quantization = builder.snapshot().tensors[inputs].quantization
    if quantization is None or quantization.scale.size != 1:
        raise UsageError("the input of a dense int8 layer needs one scale", found=str(quantization))
    input_scale = float(quantization.scale[0])
    integers, scales = quantize_symmetric(weights)
    kernel = builder.constant(integers, scale=scales, name=f"{name}/weights")
    biases = quantize_bias(bias, input_scale, scales)
    offsets = builder.constant(biases, scale=input_scale * float(scales[0]), name=f"{name}/bias")
    return builder.op(
        "FULLY_CONNECTED",
        [inputs, kernel, offsets],
        scale=output_scale,
        zero_point=output_zero_point,
        options={"fused_activation_function": activation},
        output_name=name,
        version=4,
    )


def linear_classifier(
    weights: ArrayLike,
    bias: ArrayLike,
    input_scale: float,
    input_zero_point: int,
    input_shape: Sequence[int],
    softmax: bool = True,
) -> Model:
    """A linear classifier in int8: the class with the largest ``weights @ x + bias`` wins.

    The scale of the scores is chosen so that no input can saturate them. With SOFTMAX, scores far apart all round to 0
    and 1; without it the outputs are the scores, so a decision is visible at every input.

    Args:
        weights: real numbers, (classes, features).
        bias: real numbers, (classes,).
        input_scale: scale of the int8 input.
        input_zero_point: zero point of the int8 input.
        input_shape: with the batch dimension of 1; its other dimensions multiply to the features.
        softmax: end with SOFTMAX.

    Raises:
        UsageError: shapes that do not fit each other.
    """
    matrix, offsets = np.asarray(weights, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    shape = tuple(input_shape)
    if matrix.ndim != 2 or offsets.shape != matrix.shape[:1] or prod(shape) != matrix.shape[1] or shape[:1] != (1,):
        raise UsageError(
            "weights, biases and input of a linear classifier do not fit",
            found=f"weights {matrix.shape}, bias {offsets.shape}, input {shape}",
            expected="(classes, features), (classes,), (1, ...) with as many elements as features",
        )
    builder = GraphBuilder("linear int8 classifier")
    flat = image = builder.input(shape, "int8", input_scale, input_zero_point, name="input")
    if len(shape) != 2:
        flat = builder.op("RESHAPE", [image, builder.ints(1, matrix.shape[1])])
    scale, zero_point = range_parameters(*_score_range(matrix, offsets, input_scale, input_zero_point))
    result = dense_int8(builder, flat, matrix, offsets, output_scale=scale, output_zero_point=zero_point, name="scores")
    if softmax:
        result = builder.op(
            "SOFTMAX",
            [result],
            scale=SOFTMAX_SCALE,
            zero_point=SOFTMAX_ZERO_POINT,
            options={"beta": 1.0},
            output_name="probabilities",
        )
    builder.output(result)
    return builder.build()


def _score_range(
    matrix: NDArray[np.float64], bias: NDArray[np.float64], scale: float, zero_point: int
) -> tuple[float, float]:
    """Smallest and largest score over all int8 inputs and classes."""
    lowest, highest = scale * (-128 - zero_point), scale * (127 - zero_point)
    ends = np.stack([matrix * lowest, matrix * highest])
    return float((ends.min(axis=0).sum(axis=1) + bias).min()), float((ends.max(axis=0).sum(axis=1) + bias).max())
