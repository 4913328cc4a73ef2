"""Cross-layer equalization: the same function with other weights.

A positive factor can be moved through ReLU from the output channel of one layer to the input channel of the next. The
factors here make the largest weight of a channel equal on both sides (Nagel, van Baalen, Blankevoort and Welling,
"Data-free quantization through weight equalization and bias correction", ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinymlsec.lift.layers import INPUT_AXES, Layer, Weights, layers
from tinymlsec.target.tflite.graph import Model, Operator

HOMOGENEOUS = (0, 1)
"""Fused activations that a positive factor passes through: none and ReLU."""
CHANNEL_WISE = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "PAD", "RELU", "LEAKY_RELU", "RESHAPE", "SQUEEZE")
"""Operators that keep channels apart and pass a positive factor on."""
SMALLEST_FACTOR = 1e-3

Factors = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def balance(out_range: NDArray[np.float64], in_range: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor for each channel that makes both ranges equal; 1 where a side is all zero."""
    alive = (out_range > 0) & (in_range > 0)
    ratio = np.divide(out_range, in_range, out=np.ones_like(out_range), where=alive)
    return np.clip(np.sqrt(ratio), SMALLEST_FACTOR, 1 / SMALLEST_FACTOR)


def equalize(
    model: Model, weights: Weights, sweeps: int = 4, factors: Factors = balance
) -> dict[int, NDArray[np.float32]]:
    """Weights and biases that compute the same function in real numbers.

    Args:
        model: the topology.
        weights: real weights and biases by tensor number.
        sweeps: times to go through all pairs; a pair moves its neighbors, so one sweep does not settle.
        factors: from the largest magnitudes of output and input channels, (c,) each, the factors, (c,), that output
            channels are divided by.

    Returns:
        All weights and biases, changed where two layers follow each other without a branch.
    """
    result = {t: value.astype(np.float64) for t, value in weights.items()}
    pairs = layer_pairs(model)
    for _ in range(sweeps):
        for first, second in pairs:
            _move(result, first, second, factors)
    return {t: value.astype(np.float32) for t, value in result.items()}


def _move(weights: dict[int, NDArray[np.float64]], first: Layer, second: Layer, factors: Factors) -> None:
    out_axis, in_axis = first.axis, INPUT_AXES[second.op.name]
    one, two = weights[first.weight], weights[second.weight]
    scale = factors(_largest(one, out_axis), _largest(two, in_axis))
    weights[first.weight] = one / _along(scale, one.ndim, out_axis)
    weights[second.weight] = two * _along(scale, two.ndim, in_axis)
    if first.bias is not None:
        weights[first.bias] = weights[first.bias] / scale


def _largest(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.abs(values).max(axis=tuple(i for i in range(values.ndim) if i != axis))
    return largest


def _along(scale: NDArray[np.float64], rank: int, axis: int) -> NDArray[np.float64]:
    shape = [1] * rank
    shape[axis] = -1
    return scale.reshape(shape)


def layer_pairs(model: Model) -> list[tuple[Layer, Layer]]:
    """Layers that follow each other with nothing between them but what a factor passes through, and no branch."""
    by_op = {layer.op.index: layer for layer in layers(model)}
    pairs = []
    for first in by_op.values():
        second = by_op.get(_next_weighted(model, first.op))
        if second is not None and _fits(model, first, second):
            pairs.append((first, second))
    return pairs


def _next_weighted(model: Model, op: Operator) -> int:
    """Index of the operator with weights that alone reads what this one computes; -1 where there is none."""
    while _passes(op):
        readers = [other for other in model.main.operators if op.outputs[0] in other.inputs]
        if len(readers) != 1 or op.outputs[0] in model.main.outputs or readers[0].inputs[0] != op.outputs[0]:
            return -1
        op = readers[0]
        if op.name in INPUT_AXES:
            return op.index
    return -1


def _passes(op: Operator) -> bool:
    activation = op.options.get("fused_activation_function") or 0
    return (op.name in CHANNEL_WISE or op.name in INPUT_AXES) and activation in HOMOGENEOUS


def _fits(model: Model, first: Layer, second: Layer) -> bool:
    """As many output as input channels: a RESHAPE that flattens pixels, and grouped filters, are left alone."""
    channels = model.main.tensors[first.weight].shape[first.axis]
    taken = model.main.tensors[second.weight].shape[INPUT_AXES[second.op.name]]
    return channels == taken
