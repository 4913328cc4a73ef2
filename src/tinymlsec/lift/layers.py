"""Operators with weights, seen as layers: which tensors hold weights and biases, and along which axis channels run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import UnsupportedModelError, UsageError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Operator, Tensor

Weights = Mapping[int, NDArray[np.float32]]
"""Real weights and biases by tensor number of the main graph, each in the file's shape."""

CHANNEL_AXES: dict[str, int] = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
"""Axis of the weights along which output channels run."""
INPUT_AXES: dict[str, int] = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 1}
"""Axis of the weights along which input channels run."""
BORDER = ("QUANTIZE", "DEQUANTIZE")
"""Operators that a quantized file may have and its float origin lacks."""


@dataclass(frozen=True)
class Layer:
    """One operator with constant weights."""

    op: Operator
    weight: int
    """Tensor number."""
    bias: int | None
    """Tensor number, None without a bias."""

    @property
    def axis(self) -> int:
        """Axis of output channels."""
        return CHANNEL_AXES[self.op.name]


def layers(model: Model) -> list[Layer]:
    """The operators of the main graph with weights, in order.

    Raises:
        UnsupportedModelError: one whose weights are computed at run time or belong to two operators.
    """
    found = [_layer(model, op) for op in model.main.operators if op.name in CHANNEL_AXES]
    used: set[int] = set()
    for layer in found:
        mine = {layer.weight} | ({layer.bias} if layer.bias is not None else set())
        if used & mine:
            raise _refused(layer.op, "its weights belong to another operator as well")
        used |= mine
    return found


def _layer(model: Model, op: Operator) -> Layer:
    bias = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    held = [constant(model, model.main.tensors[t]) for t in (op.inputs[1], bias) if t is not None]
    if any(value is None for value in held):
        raise _refused(op, "its weights are computed at run time")
    return Layer(op, op.inputs[1], bias)


def _refused(op: Operator, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"operator {op.index} ({op.label[:80]}) cannot be trained: {why}",
        offset=op.offset,
        expected="constant weights of its own",
    )


def real_value(model: Model, tensor: Tensor) -> NDArray[np.float32]:
    """Real values of a constant: dequantized where it has scales, as it is where not.

    Raises:
        UsageError: the tensor is computed.
    """
    value = constant(model, tensor)
    if value is None:
        raise UsageError("a constant is needed", found=f"computed tensor {tensor.index} ({tensor.name[:80]})")
    q = tensor.quantization
    if q is None or q.scale.size == 0:
        return value.astype(np.float32)
    shape = [1] * value.ndim
    if q.scale.size > 1:
        shape[q.dimension] = q.scale.size
    zero_point = np.resize(q.zero_point, q.scale.size) if q.zero_point.size else np.zeros(q.scale.size, np.int64)
    real = (value.astype(np.float64) - zero_point.reshape(shape)) * q.scale.astype(np.float64).reshape(shape)
    return real.astype(np.float32)


def own_weights(model: Model) -> dict[int, NDArray[np.float32]]:
    """Real weights and biases that the file itself holds, by tensor number."""
    tensors = [t for layer in layers(model) for t in (layer.weight, layer.bias) if t is not None]
    return {t: real_value(model, model.main.tensors[t]) for t in tensors}


def weights_from(model: Model, other: Model) -> dict[int, NDArray[np.float32]]:
    """Weights of another file of the same topology (the float model before conversion), by tensor number of `model`.

    Args:
        model: whose tensor numbers count.
        other: whose values are taken.

    Raises:
        UsageError: the operators or the shapes of weights differ.
    """
    names, others = ([op.name for op in m.main.operators if op.name not in BORDER] for m in (model, other))
    if names != others:
        raise UsageError("the two files differ in their operators", found=", ".join(others), expected=", ".join(names))
    values: dict[int, NDArray[np.float32]] = {}
    for mine, theirs in zip(layers(model), layers(other), strict=True):
        for to, source in ((mine.weight, theirs.weight), (mine.bias, theirs.bias)):
            if to is not None:
                values[to] = _value_for(model.main.tensors[to], other, source)
    return values


def _value_for(tensor: Tensor, other: Model, source: int | None) -> NDArray[np.float32]:
    if source is None:
        return np.zeros(tensor.shape, np.float32)
    value = real_value(other, other.main.tensors[source])
    if value.shape != tensor.shape:
        raise UsageError(
            f"weights of {tensor.name[:80]} have another shape", found=str(value.shape), expected=str(tensor.shape)
        )
    return value
