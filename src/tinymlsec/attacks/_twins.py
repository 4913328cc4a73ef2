"""A twin whose answers are known: a linear int8 model of 64 inputs and inputs at a chosen distance from its border.

The model has two classes with the scores ``T`` and ``-T``, where T is the sum of the left half of an 8 x 8 input minus
the sum of its right half. A change of every value by at most ``reach`` moves T by at most ``64 * reach``, so an input
with a larger ``|T|`` cannot be moved over the border by anything, and one with a small ``|T|`` easily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec._lazy import np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

SIDE = 8
VALUES = SIDE * SIDE
LARGEST_REACH = 32
"""Inputs twice as far from the border as this would not fit into int8."""
STEPS_OF_REACH = 20
"""Output steps that the score moves when every value moves by reach; decisions near the border stay visible."""

_TEXTURE = 20
"""Random values of up to this size lie under the signal; they cancel in T."""


def linear_twin(reach: int) -> bytes:
    """The model file.

    Args:
        reach: largest change of one value that the attack under test may make, in input steps, 1 to LARGEST_REACH.
    """
    from tinymlsec.target.tflite.builder import GraphBuilder
    from tinymlsec.target.tflite.classifiers import dense_int8

    builder = GraphBuilder("linear control twin")
    image = builder.input((1, SIDE, SIDE, 1), "int8", 1.0, 0)
    flat = builder.op("RESHAPE", [image, builder.ints(1, VALUES)])
    template = _template().reshape(-1).astype(np.float64)
    scale = VALUES * reach / STEPS_OF_REACH
    builder.output(
        dense_int8(builder, flat, np.stack([template, -template]), [0.0, 0.0], output_scale=scale, output_zero_point=0)
    )
    return builder.tobytes()


def twin_inputs(rng: Generator, totals: NDArray[np.int64]) -> NDArray[np.int8]:
    """(n, 8, 8, 1) inputs whose T has exactly the given values.

    Args:
        rng: randomness of the texture, and of where a remainder goes.
        totals: (n,) wanted T, each of at most 64 * 100.
    """
    n = len(totals)
    half = rng.integers(-_TEXTURE, _TEXTURE + 1, (n, SIDE, SIDE // 2))
    texture = np.concatenate([half, half[:, :, ::-1]], axis=2)
    size, rest = np.divmod(np.abs(totals), VALUES)
    order = rng.permuted(np.tile(np.arange(VALUES), (n, 1)), axis=1)
    signal = (size[:, None] + (order < rest[:, None])) * np.sign(totals)[:, None]
    return (texture + signal.reshape(n, SIDE, SIDE) * _template()).astype(np.int8)[..., None]


def _template() -> NDArray[np.int64]:
    left = np.where(np.arange(SIDE) < SIDE // 2, 1, -1)
    return np.broadcast_to(left, (SIDE, SIDE)).astype(np.int64)
