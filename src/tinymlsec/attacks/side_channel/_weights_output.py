"""What a sum becomes: the code that the kernel stores, which an attacker who was given the scales can compute.

It tells apart what sums leave open: weights of a single product and their doubles, with a bias to match, give sums
whose bits differ by a constant, but codes that differ by much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier, quantize_multiplier

RELU, RELU6 = 1, 3
"""Fused activations in the schema."""


def output_codes(
    model: Model, operator: int, channel: int, sums: NDArray[np.int32], *, clamped: bool = True
) -> NDArray[np.int32]:
    """Codes of one output channel.

    Args:
        model: of which scales, zero points and the fused activation are used.
        operator: index of the layer.
        channel: of the output.
        sums: (n,) with bias.
        clamped: to the range of codes; before that the whole word is in a register.
    """
    tensors, op = model.main.tensors, model.main.operators[operator]
    source, weights, target = (tensors[i].quantization for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert source is not None
    assert weights is not None
    assert target is not None
    scales = weights.scale.astype(np.float64)
    real = float(source.scale[0]) * float(scales[channel if len(scales) > 1 else 0]) / float(target.scale[0])
    scaled = multiply_by_quantized_multiplier(sums, *quantize_multiplier(real))
    if not clamped:
        return (scaled + int(target.zero_point[0])).astype(np.int32)
    zero, activation = int(target.zero_point[0]), int(op.options.get("fused_activation_function") or 0)  # type: ignore[arg-type]
    low = max(-128, zero) if activation in (RELU, RELU6) else -128
    high = min(127, zero + round(6.0 / float(target.scale[0]))) if activation == RELU6 else 127
    return np.clip(scaled + zero, low, high).astype(np.int32)
