"""The quantized network as a .tflite file, with the names that a converter leaves behind.

Names, labels, signature and description are in the file on purpose: what a model file tells its finder is one of the
things that an assessment looks at.
"""

from __future__ import annotations

import numpy as np
from layers import Conv, Dense
from quantize import INPUT_GRID, PROBABILITY_GRID, QuantizedLayer

from tinymlsec.target.tflite.builder import GraphBuilder

DESCRIPTION = "tinymlsec digits example, NumPy-trained"
LABELS = "".join(f"{digit}\n" for digit in range(10))


def pack(layers: list[QuantizedLayer]) -> bytes:
    """A .tflite file of the network that `train.build_network` describes.

    Args:
        layers: the layers with weights, in order; the last one is the fully connected one.
    """
    builder = GraphBuilder(DESCRIPTION)
    at = builder.input((1, 8, 8, 1), "int8", INPUT_GRID.scale, INPUT_GRID.zero_point, "serving_default_pixels:0")
    for layer in layers[:-1]:
        at = _convolution(builder, layer, at)
    at = _pool_and_flatten(builder, at, features=layers[-1].weight.shape[1])
    at = _dense(builder, layers[-1], at)
    grid = PROBABILITY_GRID
    at = builder.op(
        "SOFTMAX",
        [at],
        scale=grid.scale,
        zero_point=grid.zero_point,
        options={"beta": 1.0},
        output_name="StatefulPartitionedCall:0",
        version=2,
    )
    builder.output(at)
    builder.signature("serving_default")
    builder.metadata("labels.txt", LABELS.encode())
    return builder.tobytes()


def _constants(builder: GraphBuilder, layer: QuantizedLayer, at: int, axis: int, kind: str) -> list[int]:
    """Tensors of an operator with weights: input, weights, bias."""
    name = f"sequential/{layer.layer.name}"
    weight = builder.constant(layer.weight, scale=layer.scales, dimension=axis, name=f"{name}/{kind}")
    scale = layer.scales * layer.input.scale
    return [at, weight, builder.constant(layer.bias, scale=scale, name=f"{name}/BiasAdd/ReadVariableOp")]


def _convolution(builder: GraphBuilder, layer: QuantizedLayer, at: int) -> int:
    source = layer.layer
    options = {"padding": "SAME", "fused_activation_function": "RELU"}
    strides = {"stride_h": 1, "stride_w": 1}
    name, kind, axis = "DEPTHWISE_CONV_2D", "depthwise", 3
    if isinstance(source, Conv):
        name, kind, axis = "CONV_2D", "Conv2D", 0
        strides = {"stride_h": source.stride, "stride_w": source.stride}
    else:
        strides["depth_multiplier"] = 1
    return builder.op(
        name,
        _constants(builder, layer, at, axis, kind),
        scale=layer.output.scale,
        zero_point=layer.output.zero_point,
        options={**options, **strides},
        output_name=f"sequential/{source.name}/Relu",
        version=3,  # int8 with scales per channel
    )


def _pool_and_flatten(builder: GraphBuilder, at: int, features: int) -> int:
    window = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2}
    name = "sequential/average_pooling2d/AvgPool"
    at = builder.op("AVERAGE_POOL_2D", [at], options={"padding": "VALID", **window}, output_name=name, version=2)
    shape = builder.constant(np.array((1, features), np.int32), name="sequential/flatten/Const")
    return builder.op(
        "RESHAPE", [at, shape], options={"new_shape": (1, features)}, output_name="sequential/flatten/Reshape"
    )


def _dense(builder: GraphBuilder, layer: QuantizedLayer, at: int) -> int:
    if not isinstance(layer.layer, Dense):
        raise TypeError("the last layer of the example is fully connected")
    return builder.op(
        "FULLY_CONNECTED",
        _constants(builder, layer, at, 0, "MatMul"),
        scale=layer.output.scale,
        zero_point=layer.output.zero_point,
        output_name=f"sequential/{layer.layer.name}/BiasAdd",
        version=4,
    )
