"""Integer reference: runs the operators of the example's file in NumPy exactly as the device's runtime does.

It reads nothing but the file, so it checks training, quantization and packaging together. The arithmetic of each
operator is that of TensorFlow Lite Micro's reference kernels (a bias-added int32 sum, requantized with two roundings).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fixed_softmax import softmax
from numpy.typing import NDArray
from windows import pad_same, windows

from tinymlsec.target.tflite.graph import Model, Operator, Quantization, Subgraph
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier
from tinymlsec.target.tflite.requant_ops import activation_range, convolution_multipliers

Codes = NDArray[np.int8]
Sums = NDArray[np.int64]


class Reference:
    """The main graph of a model, ready to run.

    Args:
        model: a graph of the operators in `_KERNELS`, one input, one output.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.graph: Subgraph = model.main

    def run(self, codes: Codes) -> Codes:
        """Outputs of a batch of inputs; both with a leading dimension of n in place of the graph's 1."""
        values = {self.graph.inputs[0]: codes}
        for op in self.graph.operators:
            values[op.outputs[0]] = _KERNELS[op.name](self, op, values[op.inputs[0]])
        return values[self.graph.outputs[0]]

    def constant(self, tensor: int) -> Sums:
        """A constant tensor as int64."""
        entry = self.graph.tensors[tensor]
        stored = np.frombuffer(self.model.buffers[entry.buffer].data, np.dtype(entry.dtype).newbyteorder("<"))
        return stored.reshape(entry.shape).astype(np.int64)

    def quantization(self, tensor: int) -> Quantization:
        """Scales and zero points of a tensor that must have them."""
        found = self.graph.tensors[tensor].quantization
        if found is None:
            raise ValueError(f"tensor {tensor} of the example has no quantization")
        return found

    def grid(self, tensor: int) -> tuple[float, int]:
        """Scale and zero point of an activation."""
        found = self.quantization(tensor)
        return float(found.scale[0]), int(found.zero_point[0])


def _requantize(reference: Reference, op: Operator, sums: Sums) -> Codes:
    """Sums of a weighted operator (..., channels) to its output codes, with bias and fused activation."""
    source, filters, bias = op.inputs
    scale, zero_point = reference.grid(op.outputs[0])
    multiplier, shift = convolution_multipliers(
        reference.grid(source)[0], reference.quantization(filters).scale, scale, sums.shape[-1]
    )
    scaled = multiply_by_quantized_multiplier(sums + reference.constant(bias), multiplier, shift)
    low, high = activation_range(int(str(op.options["fused_activation_function"])), "int8", scale, zero_point)
    return np.clip(scaled + zero_point, low, high).astype(np.int8)


def _seen(reference: Reference, op: Operator, x: Codes, kernel: int) -> Sums:
    """Windows of the input less its zero point; padding is real zero."""
    centered = x.astype(np.int64) - reference.grid(op.inputs[0])[1]
    stride = int(str(op.options["stride_h"]))
    return windows(pad_same(centered, kernel, stride), kernel, stride)


def _conv(reference: Reference, op: Operator, x: Codes) -> Codes:
    weight = reference.constant(op.inputs[1])
    return _requantize(
        reference, op, np.einsum("nhwijc,oijc->nhwo", _seen(reference, op, x, weight.shape[1]), weight, optimize=True)
    )


def _depthwise(reference: Reference, op: Operator, x: Codes) -> Codes:
    weight = reference.constant(op.inputs[1])[0]
    return _requantize(reference, op, np.einsum("nhwijc,ijc->nhwc", _seen(reference, op, x, weight.shape[0]), weight))


def _average_pool(_: Reference, op: Operator, x: Codes) -> Codes:
    """Means of blocks, rounded to nearest and ties away from zero."""
    size = int(str(op.options["filter_height"]))
    n, height, width, channels = x.shape
    sums = x.astype(np.int64).reshape(n, height // size, size, width // size, size, channels).sum((2, 4))
    count = size * size
    means: Codes = (np.sign(sums) * ((np.abs(sums) + count // 2) // count)).astype(np.int8)
    return means


def _reshape(reference: Reference, op: Operator, x: Codes) -> Codes:
    return x.reshape(len(x), *reference.graph.tensors[op.outputs[0]].shape[1:])


def _fully_connected(reference: Reference, op: Operator, x: Codes) -> Codes:
    centered = x.astype(np.int64) - reference.grid(op.inputs[0])[1]
    return _requantize(reference, op, centered @ reference.constant(op.inputs[1]).T)


def _softmax(reference: Reference, op: Operator, x: Codes) -> Codes:
    return softmax(x, reference.grid(op.inputs[0])[0])


_KERNELS: dict[str, Callable[[Reference, Operator, Codes], Codes]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "AVERAGE_POOL_2D": _average_pool,
    "RESHAPE": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "SOFTMAX": _softmax,
}
