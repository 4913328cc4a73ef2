"""A twin that a few bit flips must ruin: all decisions of a small int8 model go through one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec._lazy import np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

FEATURES = 16
FLIPS = 6
"""Flips that the search may spend on the twin. Three are enough: the two signs behind the bottleneck reverse every
decision, and one more step shows that it stays so."""


def bottleneck_twin() -> bytes:
    """The model file: the sign of the sum of 16 inputs, as two scores that are opposites."""
    from tinymlsec.target.tflite.builder import GraphBuilder
    from tinymlsec.target.tflite.classifiers import dense_int8

    builder = GraphBuilder("bottleneck control twin")
    x = builder.input((1, FEATURES), "int8", 1.0, 0)
    total = dense_int8(builder, x, [[1.0] * FEATURES], [0.0], output_scale=16.0, output_zero_point=0)
    scores = dense_int8(builder, total, [[1.0], [-1.0]], [0.0, 0.0], output_scale=16.0, output_zero_point=0)
    builder.output(scores)
    return builder.tobytes()


def bottleneck_inputs(rng: Generator, n: int) -> NDArray[np.int8]:
    """(n, 16) inputs, half of them on either side and well away from the border."""
    sign = np.where(np.arange(n) % 2, -1, 1)[:, None]
    return (sign * rng.integers(5, 100, (n, FEATURES))).astype(np.int8)
