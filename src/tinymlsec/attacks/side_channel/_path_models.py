"""Models of the attacker's own making from which code is learned: every kind of layer in many sizes, with known counts.

Half of the values of every input are its zero point, as behind a ReLU, and outputs reach both ends of their range: what
runs for such values must have been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Guess, Shape
from tinymlsec.attacks.side_channel._arch_models import conv, dense
from tinymlsec.attacks.side_channel._arch_whole import Own, operator
from tinymlsec.attacks.side_channel._path_counts import PAIRS, POOLS, VALUES, Known, counts_of, windowed_counts
from tinymlsec.emulate.twin import Twin
from tinymlsec.target.tflite.builder import GraphBuilder

Layer = tuple[str, Mapping[str, int]]
"""Kind and counts."""
ZEROS = (-3, -128, -128, 7)
"""Zero points of inputs; the lowest is that of what a ReLU put out."""
SIDES = ((6, 5), (7, 9), (1, 6), (5, 1), (8, 8), (4, 7), (1, 1), (9, 4))
"""Heights and widths of images."""
KERNELS = ((3, 3), (1, 1), (2, 3), (3, 1), (1, 4), (5, 2))
MANY = 260
"""Channels that a compiler must write otherwise than a few."""
STEEPER = 4.0
"""Factor by which sums that are not shifted must grow to be shifted the other way."""
STEEPNESS = (0.05, 0.3, 2.0)
"""Scales of the values that a curve is fed."""


@dataclass
class OwnLayers:
    """A model of independent layers."""

    builder: GraphBuilder
    rng: np.random.Generator
    layers: list[Layer] = field(default_factory=list)

    def windowed(self, number: int, kind: str, image: Shape, channels: int) -> None:
        """A convolution; its window, stride and padding go by its number."""
        kernel, stride = KERNELS[number % len(KERNELS)], 1 + number % 3 % 2
        padding = "VALID" if number % 4 == 3 else "SAME"
        guess = Guess(kind, image, kernel, stride, padding)
        if not guess.rows or not guess.columns:
            guess = Guess(kind, image, (1, 1), 1, padding)
        conv(
            self.builder, self.rng, image, channels if kind == "CONV_2D" else 0, guess.window,
            stride=(guess.stride, guess.stride), padding=padding, relu=number % 2 == 0,
            flat=number % 5 > 2, steep=STEEPER if number % 5 == 4 else 1.0, zero=self._zero(),
        )  # fmt: skip
        self.layers.append((kind, windowed_counts(guess, channels)))

    def dense(self, depth: int, units: int, *, relu: bool) -> None:
        """A dense layer."""
        number = len(self.layers)
        dense(
            self.builder, self.rng, depth, units, relu=relu, flat=number % 3 > 0,
            steep=STEEPER if number % 3 == 2 else 1.0, zero=self._zero(),
        )  # fmt: skip
        self.layers.append(("FULLY_CONNECTED", counts_of(Known("FULLY_CONNECTED", (depth,), (units,)))))

    def _zero(self) -> int:
        return ZEROS[len(self.layers) % len(ZEROS)]

    def plain(self, own: Own, shape: Shape, scale: float = 0.05) -> None:
        """A layer without weights."""
        x = self.builder.input((1, *shape), scale=scale, zero_point=self._zero())
        y = self.builder.input((1, *shape), scale=0.07, zero_point=5) if own.kind in PAIRS else x
        self.builder.output(operator(self.builder, own, x, y))
        if own.kind in POOLS:
            guess = Guess(own.kind, shape, own.window, own.stride, own.padding)
            self.layers.append((own.kind, windowed_counts(guess, shape[2])))
        else:
            self.layers.append((own.kind, counts_of(Known(own.kind, shape, own.output))))

    def reshape(self, shape: Shape) -> None:
        """Runs nothing but its call; an operator ahead of it and one behind, since a graph may not be a bare view."""
        x = self.builder.input((1, *shape), scale=0.05, zero_point=self._zero())
        x = self.builder.op("LOGISTIC", [x], scale=1 / 256, zero_point=-128)
        flat = self.builder.op("RESHAPE", [x, self.builder.ints(1, int(np.prod(shape)))])
        self.builder.output(self.builder.op("LOGISTIC", [flat], scale=1 / 256, zero_point=-128))
        values = {"products": int(np.prod(shape))}
        self.layers += [("LOGISTIC", values), ("RESHAPE", {}), ("LOGISTIC", values)]


def weighted_layers(rng: np.random.Generator) -> tuple[bytes, list[Layer]]:
    """Convolutions, depthwise and dense layers, and what each of them is."""
    made = OwnLayers(GraphBuilder("own layers with weights"), rng)
    for number, (height, width) in enumerate((*SIDES, *SIDES)):
        depth = int(rng.integers(2, 8))
        made.windowed(number, "CONV_2D", (height, width, depth), int(rng.integers(2, 12)))
        made.windowed(number + 2, "DEPTHWISE_CONV_2D", (height, width, depth), depth)
    made.windowed(1, "CONV_2D", (3, 2, 5), MANY)
    made.windowed(1, "CONV_2D", (1, 1, 4), MANY)
    made.windowed(0, "DEPTHWISE_CONV_2D", (3, 2, MANY), MANY)
    made.windowed(0, "DEPTHWISE_CONV_2D", (1, 1, MANY), MANY)
    for number, depth in enumerate((3, 10, 17, 40, 90, 130)):
        made.dense(depth, int(rng.integers(2, 30)), relu=number % 2 == 0)
    made.dense(8, MANY, relu=False)
    return made.builder.tobytes(), made.layers


def plain_layers(rng: np.random.Generator) -> tuple[bytes, list[Layer]]:
    """Layers without weights, and what each of them is."""
    made = OwnLayers(GraphBuilder("own layers without weights"), rng)
    for height, width in ((6, 5), (7, 9), (4, 4), (8, 3)):
        shape = height, width, int(rng.integers(2, 9))
        for kind in PAIRS:
            made.plain(Own(kind, shape), shape)
        made.plain(Own("MEAN", shape[2:]), shape)
        for kind in POOLS:
            made.plain(Own(kind, (1, 1, shape[2]), "", (height, width)), shape)
            made.plain(Own(kind, shape, "", (3, 3), 2, "SAME"), shape)
            made.plain(Own(kind, shape, "", (2, 2), 2, "VALID"), shape)
    for count in (2, 10, 25):
        for scale in STEEPNESS:
            for kind in VALUES:
                made.plain(Own(kind, (count,)), (count,), scale)
    made.plain(Own("LOGISTIC", (1,)), (1,))
    made.reshape((3, 2, 4))
    made.reshape((1, 1, 7))
    return made.builder.tobytes(), made.layers


MODELS: Sequence[Callable[[np.random.Generator], tuple[bytes, list[Layer]]]] = (weighted_layers, plain_layers)


def half_zero(twin: Twin, rng: np.random.Generator) -> list[NDArray[np.generic]]:
    """Inputs of which half of the values are the zero point, the others uniform."""
    made: list[NDArray[np.generic]] = []
    for port in twin.program.inputs:
        quantization = twin.model.main.tensors[port.tensor].quantization
        zero = 0 if quantization is None else int(quantization.zero_point[0])
        values = rng.integers(0, 256, port.bytes, dtype=np.uint8)
        made.append(np.where(rng.random(port.bytes) < 0.5, np.uint8(zero & 255), values))
    return made
