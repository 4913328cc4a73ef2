"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED on int8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lift.conformance.drawing import ACTIVATIONS, Rng, chance, codes, near, pick, scale, shape, zero_point
from lift.conformance.harness import Setting, setting
from tinymlsec.target.tflite.builder import GraphBuilder

MORE_THAN_FLOAT32 = 700
"""Inputs of a dense layer whose sums leave what float32 holds exactly, with full-range weights."""


@dataclass(frozen=True)
class Layer:
    """What all three draw: an input quantization, weights with one scale or one per channel, a bias or none."""

    input: tuple[float, int]
    scales: NDArray[np.float32]
    output: tuple[float, int]
    activation: str
    bias: NDArray[np.int32] | None

    @classmethod
    def draw(cls, rng: Rng, channels: int, terms: int) -> Layer:
        si, count = scale(rng), channels if chance(rng, 0.6) else 1
        first = scale(rng, 0.001, 0.05)
        scales = np.array([near(rng, first, 4.0) for _ in range(count)], np.float32)
        natural = si * first * 70 * np.sqrt(terms)
        spread = 70 * 70 * np.sqrt(terms)
        bias = rng.normal(0, spread, channels).astype(np.int32) if chance(rng, 0.75) else None
        return cls((si, zero_point(rng)), scales, (near(rng, natural), zero_point(rng)), pick(rng, ACTIVATIONS), bias)

    def add(
        self, builder: GraphBuilder, x: int, weights: NDArray[np.generic], axis: int, op: str, **options: int | str
    ) -> None:
        """The operator on tensor x, its output the model's."""
        inputs = [x, builder.constant(weights, self.scales, dimension=axis)]
        if self.bias is not None:
            inputs.append(builder.constant(self.bias, self.input[0] * self.scales.astype(np.float64)))
        options |= {"fused_activation_function": self.activation}
        builder.output(builder.op(op, inputs, scale=self.output[0], zero_point=self.output[1], options=options))


def geometry(rng: Rng) -> tuple[tuple[int, ...], tuple[int, int], dict[str, int | str]]:
    """(batch, rows, columns), window, options, with a window that fits where nothing is padded."""
    batch, size = int(pick(rng, (1, 1, 1, 2))), shape(rng, 2, 9)
    padding = str(pick(rng, ("SAME", "VALID")))
    dilation, stride, window = [], [], []
    for length in size:
        dilation.append(int(pick(rng, (1, 1, 1, 2, 3))))
        limit = 5 if padding == "SAME" else (length - 1) // dilation[-1] + 1
        window.append(int(rng.integers(1, min(limit, 5) + 1)))
        stride.append(int(rng.integers(1, 4)))
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    return (batch, *size), (window[0], window[1]), options


def convolution(rng: Rng) -> Setting:
    image, window, options = geometry(rng)
    groups = int(pick(rng, (1, 1, 1, 2)))
    depth, channels = int(pick(rng, (1, 2, 3, 8))), groups * int(rng.integers(1, 7))
    layer = Layer.draw(rng, channels, depth * window[0] * window[1])
    builder = GraphBuilder()
    x = builder.input((*image, depth * groups), "int8", *layer.input)
    layer.add(builder, x, codes(rng, (channels, *window, depth)), 0, "CONV_2D", **options)
    return setting(builder, f"CONV_2D {image} x {depth} in {groups} groups, {window}, {options}, {layer}")


def depthwise(rng: Rng) -> Setting:
    image, window, options = geometry(rng)
    depth, multiplier = int(rng.integers(1, 9)), int(pick(rng, (1, 1, 2, 3)))
    layer = Layer.draw(rng, depth * multiplier, window[0] * window[1])
    builder = GraphBuilder()
    x = builder.input((*image, depth), "int8", *layer.input)
    weights = codes(rng, (1, *window, depth * multiplier))
    layer.add(builder, x, weights, 3, "DEPTHWISE_CONV_2D", depth_multiplier=multiplier, **options)
    return setting(builder, f"DEPTHWISE_CONV_2D {image} x {depth} x {multiplier}, {window}, {options}, {layer}")


def dense(rng: Rng) -> Setting:
    lead = shape(rng, int(rng.integers(1, 4)), 3)
    features = int(pick(rng, (1, 2, 7, 40, MORE_THAN_FLOAT32)))
    units = int(rng.integers(1, 9))
    layer = Layer.draw(rng, units, features)
    keep = len(lead) > 1 and chance(rng, 0.5)
    builder = GraphBuilder()
    x = builder.input((*lead, features), "int8", *layer.input)
    layer.add(builder, x, codes(rng, (units, features)), 0, "FULLY_CONNECTED", keep_num_dims=keep)
    return setting(builder, f"FULLY_CONNECTED {lead} x {features} -> {units}, keep {keep}, {layer}")


CASES = {
    ("CONV_2D", "int8"): convolution,
    ("DEPTHWISE_CONV_2D", "int8"): depthwise,
    ("FULLY_CONNECTED", "int8"): dense,
}
