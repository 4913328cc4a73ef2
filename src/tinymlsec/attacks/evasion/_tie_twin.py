"""A twin on which runtimes are known to differ: its score is a quarter of a sum, and runtimes round halves apart.

At a sum of -2 the score is -0.5. TensorFlow Lite Micro rounds that away from zero to -1 and XNNPACK up to 0, and the
other class scores 0 always: the first decides for it, the second, by the rule of ties, against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec._lazy import np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

FEATURES = 16
REACH = 1
"""Change of a value in steps; with steps of one the walk meets every sum."""


def tie_twin() -> bytes:
    """The model file: scores of a quarter of the sum of 16 inputs, and of 0."""
    from tinymlsec.target.tflite.builder import GraphBuilder

    builder = GraphBuilder("rounding control twin")
    x = builder.input((1, FEATURES), "int8", 1.0, 0)
    weights = np.stack([np.ones(FEATURES), np.zeros(FEATURES)]).astype(np.int8)
    kernel = builder.constant(weights, scale=1.0, name="weights")
    bias = builder.constant(np.zeros(2, np.int32), scale=1.0, name="bias")
    options = {"fused_activation_function": "NONE"}
    scores = builder.op(
        "FULLY_CONNECTED", [x, kernel, bias], scale=4.0, zero_point=0, options=options, output_name="scores", version=4
    )
    builder.output(scores)
    return builder.tobytes()


def tie_inputs(rng: Generator, n: int) -> NDArray[np.int8]:
    """(n, 16) inputs with sums of 1 to 8, which 16 changes by one step bring below zero."""
    half = rng.integers(-20, 21, (n, FEATURES // 2))
    inputs = np.concatenate([half, -half], axis=1)
    inputs[:, 0] += rng.integers(1, 9, n)
    return inputs.astype(np.int8)
