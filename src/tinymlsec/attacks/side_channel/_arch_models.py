"""Models of the attacker's own making, from which the rules of the recogniser are built. None of them is a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from tinymlsec.target.tflite.builder import GraphBuilder

CHANNELS, ROWS, PRODUCTS = (1, 2, 3), (1, 2), (1, 2)
"""Loop counts from which kernels are learned."""
CHECKS = ((4, 3, 3), (5, 2, 4), (7, 1, 6))
"""Loop counts by which it is tried that they were."""


@dataclass(frozen=True)
class Own:
    """One layer of an own model."""

    kind: str
    counts: tuple[int, ...]
    """Loop counts from the outermost loop inwards: channels, rows of taps, products of a row; units, products."""
    skipped: bool = False
    """A layer whose windows overlap the border of its image."""
    flat: bool = False
    """A layer whose sums are not shifted."""

    @property
    def plain(self) -> bool:
        """Neither of both."""
        return not self.skipped and not self.flat


def weights_model(rng: np.random.Generator) -> tuple[bytes, list[Own]]:
    """One model of many small independent layers with weights, and what each of them is."""
    builder, layers = GraphBuilder("own layers"), []
    combinations = [*product(CHANNELS, ROWS, PRODUCTS), *CHECKS]
    for channels, rows, length in combinations:
        conv(builder, rng, (rows, length, 1), channels, (rows, length))
        layers.append(Own("CONV_2D", (channels, rows, length)))
        conv(builder, rng, (rows, length, channels), 0, (rows, length))
        layers.append(Own("DEPTHWISE_CONV_2D", (channels, rows, length)))
    for units, depth in [*product(CHANNELS, PRODUCTS), (5, 7)]:
        dense(builder, rng, depth, units)
        layers.append(Own("FULLY_CONNECTED", (units, depth)))
    for channels, kind in ((1, "CONV_2D"), (0, "DEPTHWISE_CONV_2D")):
        for shape in ((9, 1, channels or 1), (1, 9, channels or 1)):
            conv(builder, rng, shape, channels, shape[:2], padding="SAME")
            layers.append(Own(kind, (1, *shape[:2]), skipped=True))
    conv(builder, rng, (1, 1, 1), 1, (1, 1), flat=True)
    conv(builder, rng, (1, 1, 1), 0, (1, 1), flat=True)
    dense(builder, rng, 1, 1, flat=True)
    counts = {"CONV_2D": (1, 1, 1), "DEPTHWISE_CONV_2D": (1, 1, 1), "FULLY_CONNECTED": (1, 1)}
    layers += [Own(kind, size, flat=True) for kind, size in counts.items()]
    return builder.tobytes(), layers


def levels_model(rng: np.random.Generator) -> bytes:
    """Chains of usual layers, for the mean signal of every instruction of a kernel."""
    builder = GraphBuilder("own chain")
    side, depth = 7, int(rng.integers(3, 9))
    x = builder.input((1, side, side, depth), scale=0.05, zero_point=-3)
    x = _convolved(builder, rng, x, depth, 10, (3, 3), "SAME", relu=True)
    x = _depthwise(builder, rng, x, 10, (3, 3), "SAME")
    x = _convolved(builder, rng, x, 10, 12, (1, 1), "SAME", relu=False)
    flat = builder.op("RESHAPE", [x, builder.ints(1, side * side * 12)])
    x = _dense(builder, rng, flat, side * side * 12, 9, relu=True)
    builder.output(_dense(builder, rng, x, 9, 10, relu=False))
    return builder.tobytes()


def pooled_model(rng: np.random.Generator, *, reshaped: bool) -> bytes:
    """A pool over a whole image, then a dense layer, with or without a RESHAPE between them."""
    builder = GraphBuilder("own pool and dense layer")
    x = builder.input((1, 4, 4, 10), scale=0.05, zero_point=-3)
    options: dict[str, int | str] = {
        "padding": "VALID", "stride_h": 4, "stride_w": 4, "filter_height": 4, "filter_width": 4,
        "fused_activation_function": "NONE",
    }  # fmt: skip
    x = builder.op("AVERAGE_POOL_2D", [x], options=options)
    if reshaped:
        x = builder.op("RESHAPE", [x, builder.ints(1, 10)])
    weights = builder.constant(rng.integers(-127, 128, (7, 10)).astype(np.int8), scale=0.008)
    bias = builder.constant(rng.integers(-500, 500, 7).astype(np.int32), scale=0.0004)
    shape = None if reshaped else (1, 7)
    builder.output(builder.op("FULLY_CONNECTED", [x, weights, bias], shape, scale=0.1, zero_point=5, options={}))
    return builder.tobytes()


def control_model(rng: np.random.Generator) -> bytes:
    """A small network of usual layers whose recovery is tried before anything else."""
    builder = GraphBuilder("network of known layers")
    side, first, second = 8, int(rng.integers(5, 9)), int(rng.integers(9, 14))
    x = builder.input((1, side, side, 3), scale=0.05, zero_point=-3)
    x = _convolved(builder, rng, x, 3, first, (3, 3), "SAME", stride=(2, 2), relu=True)
    x = _depthwise(builder, rng, x, first, (3, 3), "SAME")
    x = _convolved(builder, rng, x, first, second, (1, 1), "SAME", relu=True)
    options: dict[str, int | str] = {
        "padding": "VALID", "stride_h": 4, "stride_w": 4, "filter_height": 4, "filter_width": 4,
        "fused_activation_function": "NONE",
    }  # fmt: skip
    x = builder.op("AVERAGE_POOL_2D", [x], options=options)
    x = builder.op("RESHAPE", [x, builder.ints(1, second)])
    x = _dense(builder, rng, x, second, 10, relu=False)
    builder.output(builder.op("SOFTMAX", [x], scale=1 / 256, zero_point=-128, options={"beta": 1.0}))
    return builder.tobytes()


def conv(
    builder: GraphBuilder,
    rng: np.random.Generator,
    image: Sequence[int],
    channels: int,
    kernel: Sequence[int],
    *,
    stride: Sequence[int] = (1, 1),
    padding: str = "VALID",
    flat: bool = False,
    relu: bool | None = None,
    steep: float = 1.0,
    zero: int = -3,
) -> None:
    """A convolution of an input of its own; 0 channels: depthwise; flat: its sums are not shifted.

    Without word of it only depthwise layers end in a ReLU. A steep one has so many times larger sums.
    """
    x = builder.input((1, *image), scale=steep * ((9.0 if channels else 5.5) if flat else 0.05), zero_point=zero)
    if channels:
        y = _convolved(builder, rng, x, image[2], channels, kernel, padding, stride=stride, relu=bool(relu))
    else:
        y = _depthwise(builder, rng, x, image[2], kernel, padding, stride=stride, relu=relu is not False)
    builder.output(y)


def dense(
    builder: GraphBuilder,
    rng: np.random.Generator,
    depth: int,
    units: int,
    *,
    flat: bool = False,
    relu: bool = False,
    steep: float = 1.0,
    zero: int = -3,
) -> None:
    """A dense layer of an input of its own."""
    x = builder.input((1, depth), scale=steep * (9.0 if flat else 0.05), zero_point=zero)
    builder.output(_dense(builder, rng, x, depth, units, relu=relu))


def _weights(builder: GraphBuilder, rng: np.random.Generator, shape: Sequence[int], axis: int) -> tuple[int, int]:
    scales = rng.uniform(0.006, 0.009, shape[axis])
    kernel = builder.constant(
        np.clip(np.rint(rng.normal(0, 40, shape)), -127, 127).astype(np.int8), scale=scales,
        zero_point=np.zeros(shape[axis], np.int64), dimension=axis,
    )  # fmt: skip
    bias = rng.integers(-2000, 2000, shape[axis]).astype(np.int32)
    return kernel, builder.constant(bias, scale=scales * 0.05, zero_point=np.zeros(shape[axis], np.int64))


def _output(relu: bool) -> tuple[float, int]:
    """Scale and zero point."""
    return (0.06, -128) if relu else (0.1, 5)


def _convolved(
    builder: GraphBuilder,
    rng: np.random.Generator,
    x: int,
    depth: int,
    channels: int,
    kernel: Sequence[int],
    padding: str,
    *,
    stride: Sequence[int] = (1, 1),
    relu: bool = False,
) -> int:
    inputs = [x, *_weights(builder, rng, (channels, *kernel, depth), 0)]
    return builder.op("CONV_2D", inputs, None, None, *_output(relu), options=_window(padding, stride, relu))


def _depthwise(
    builder: GraphBuilder,
    rng: np.random.Generator,
    x: int,
    depth: int,
    kernel: Sequence[int],
    padding: str,
    *,
    stride: Sequence[int] = (1, 1),
    relu: bool = True,
) -> int:
    inputs = [x, *_weights(builder, rng, (1, *kernel, depth), 3)]
    options = {**_window(padding, stride, relu), "depth_multiplier": 1}
    return builder.op("DEPTHWISE_CONV_2D", inputs, None, None, *_output(relu), options=options)


def _dense(
    builder: GraphBuilder, rng: np.random.Generator, x: int, depth: int, units: int, *, relu: bool = False
) -> int:
    weights = builder.constant(rng.integers(-127, 128, (units, depth)).astype(np.int8), scale=0.008)
    bias = builder.constant(rng.integers(-500, 500, units).astype(np.int32), scale=0.0004)
    options = {"fused_activation_function": "RELU" if relu else "NONE"}
    return builder.op("FULLY_CONNECTED", [x, weights, bias], None, None, *_output(relu), options=options)


def _window(padding: str, stride: Sequence[int], relu: bool) -> dict[str, int | str]:
    return {
        "padding": padding, "stride_h": stride[0], "stride_w": stride[1], "dilation_h_factor": 1,
        "dilation_w_factor": 1, "fused_activation_function": "RELU" if relu else "NONE",
    }  # fmt: skip
