"""Random one-operator models on float32."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from lift.conformance.cases_shapes import finish
from lift.conformance.drawing import ACTIVATIONS, Rng, pick, shape
from lift.conformance.harness import Setting
from tinymlsec.lift.ops.float_elementwise import TOLERANCE
from tinymlsec.target.tflite.builder import GraphBuilder


def start(size: tuple[int, ...]) -> tuple[GraphBuilder, int]:
    builder = GraphBuilder()
    return builder, builder.input(size, "float32")


def image(rng: Rng) -> tuple[int, int, int, int]:
    """Shape of one or two images."""
    height, width, depth = (int(v) for v in rng.integers(3, 9, 3))
    return int(rng.integers(1, 3)), height, width, depth


def normal(rng: Rng, builder: GraphBuilder, *size: int) -> int:
    return builder.constant(rng.normal(0, 1, size).astype(np.float32))


def weights(rng: Rng, builder: GraphBuilder, terms: int, *size: int) -> int:
    """Such that sums of so many terms stay of the size of the inputs, and activations do not cut off nearly all."""
    return builder.constant((rng.normal(0, 0.5, size) / terms**0.5).astype(np.float32))


def window_options(rng: Rng, sizes: tuple[int, int], window: tuple[int, int], dilated: bool) -> dict[str, int | str]:
    """Padding, strides and dilations that leave an output."""
    dilation = [int(rng.integers(1, 3)) if dilated else 1 for _ in range(2)]
    fits = all((w - 1) * d + 1 <= size for size, w, d in zip(sizes, window, dilation, strict=True))
    options: dict[str, int | str] = {
        "padding": pick(rng, ("SAME", "VALID")) if fits else "SAME",
        "stride_h": int(rng.integers(1, 4)),
        "stride_w": int(rng.integers(1, 4)),
        "fused_activation_function": pick(rng, ACTIVATIONS),
    }
    if dilated:
        options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    return options


def convolution(rng: Rng) -> Setting:
    """With groups in a third of the cases, without a bias in a quarter."""
    count, height, width, depth = image(rng)
    groups = int(rng.choice([1, 1, 2]))
    channels, window = groups * int(rng.integers(1, 5)), tuple(int(v) for v in rng.integers(1, 5, 2))
    builder, x = start((count, height, width, depth * groups))
    inputs = [x, weights(rng, builder, prod(window) * depth, channels, *window, depth)]
    if rng.integers(4):
        inputs.append(normal(rng, builder, channels))
    options = window_options(rng, (height, width), (window[0], window[1]), dilated=True)
    return finish(builder, builder.op("CONV_2D", inputs, options=options), tolerance=TOLERANCE)


def depthwise(rng: Rng) -> Setting:
    count, height, width, depth = image(rng)
    multiplier, window = int(rng.integers(1, 4)), tuple(int(v) for v in rng.integers(1, 5, 2))
    builder, x = start((count, height, width, depth))
    inputs = [x, weights(rng, builder, prod(window), 1, *window, depth * multiplier)]
    if rng.integers(4):
        inputs.append(normal(rng, builder, depth * multiplier))
    options = window_options(rng, (height, width), (window[0], window[1]), dilated=True)
    options["depth_multiplier"] = multiplier
    return finish(builder, builder.op("DEPTHWISE_CONV_2D", inputs, options=options), tolerance=TOLERANCE)


def dense(rng: Rng) -> Setting:
    """Rows of a matrix, or of a tensor of higher rank whose dimensions are kept."""
    depth, units = (int(v) for v in rng.integers(1, 40, 2))
    shape = (*(int(v) for v in rng.integers(1, 4, int(rng.integers(1, 4)))), depth)
    builder, x = start(shape)
    inputs = [x, weights(rng, builder, depth, units, depth)]
    if rng.integers(4):
        inputs.append(normal(rng, builder, units))
    options = {
        "fused_activation_function": pick(rng, ACTIVATIONS),
        "keep_num_dims": len(shape) > 2 and bool(rng.integers(2)),
    }
    return finish(builder, builder.op("FULLY_CONNECTED", inputs, options=options), tolerance=TOLERANCE)


def arithmetic(name: str, rng: Rng) -> Setting:
    """With itself or a constant, on either side, that has the same shape or is broadcast."""
    size = shape(rng, int(rng.integers(1, 5)))
    builder, x = start(size)
    cut = int(rng.integers(len(size)))
    other = tuple(n if rng.integers(2) else 1 for n in size[cut:])
    pair = [x, x] if rng.integers(4) == 0 else [x, normal(rng, builder, *(other if rng.integers(2) else size))]
    options = {"fused_activation_function": pick(rng, ACTIVATIONS)}
    return finish(builder, builder.op(name, pair[:: int(rng.choice([-1, 1]))], options=options))


def pool(name: str, rng: Rng) -> Setting:
    count, height, width, depth = image(rng)
    window = shape(rng, 2, 5)
    options = window_options(rng, (height, width), (window[0], window[1]), dilated=False)
    options |= {"filter_height": window[0], "filter_width": window[1]}
    builder, x = start((count, height, width, depth))
    return finish(builder, builder.op(name, [x], options=options), tolerance=_tolerance(name))


def mean(rng: Rng) -> Setting:
    size = shape(rng, int(rng.integers(1, 5)), 6)
    chosen = rng.permutation(len(size))[: int(rng.integers(1, len(size) + 1))]
    axes = [int(axis) - (len(size) if rng.integers(3) == 0 else 0) for axis in chosen]
    builder, x = start(size)
    keep = bool(rng.integers(2)) or len(axes) == len(size)
    y = builder.op("MEAN", [x, builder.ints(*axes)], options={"keep_dims": keep})
    return finish(builder, y, tolerance=TOLERANCE)


def pad(name: str, rng: Rng) -> Setting:
    size = shape(rng, int(rng.integers(1, 5)))
    builder, x = start(size)
    inputs = [x, builder.constant(rng.integers(0, 4, (len(size), 2)).astype(np.int32))]
    if name == "PADV2":
        inputs.append(builder.constant(np.array(rng.normal(0, 5), np.float32)))
    return finish(builder, builder.op(name, inputs))


def elementwise(name: str, rng: Rng) -> Setting:
    """Up to four dimensions, inputs up to the ends of saturating functions."""
    builder, x = start(shape(rng, int(rng.integers(1, 5)), 6))
    options = {"LEAKY_RELU": {"alpha": float(rng.uniform(-0.5, 1.5))}, "SOFTMAX": {"beta": float(rng.uniform(0, 2))}}
    y = builder.op(name, [x], options=options.get(name))
    return finish(builder, y, extent=float(rng.uniform(1, 40)), tolerance=_tolerance(name))


def _tolerance(name: str) -> float:
    return 0.0 if name in ("MAX_POOL_2D", "RELU", "RELU6", "LEAKY_RELU") else TOLERANCE


MAKERS = {
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": dense,
    "MEAN": mean,
    **{name: partial(arithmetic, name) for name in ("ADD", "SUB", "MUL")},
    **{name: partial(pool, name) for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D")},
    **{name: partial(pad, name) for name in ("PAD", "PADV2")},
    **{name: partial(elementwise, name) for name in ("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "SOFTMAX")},
}
CASES = {(name, "float32"): maker for name, maker in MAKERS.items()}
