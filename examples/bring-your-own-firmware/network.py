"""The gadget's network: dense, relu, dense on 8 by 8 pixels, as the header that its firmware includes and in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INPUTS, HIDDEN, OUTPUTS = 64, 24, 10
INPUT_ZERO, HIDDEN_ZERO, OUTPUT_ZERO = -128, -128, 3
SCALES = {"input": 1 / 16, "weights": 0.01, "hidden": 0.05, "output": 0.2}
SHIFT = 24


@dataclass(frozen=True)
class Network:
    weights: tuple[NDArray[np.int8], NDArray[np.int8]]
    bias: tuple[NDArray[np.int32], NDArray[np.int32]]


def network(seed: int = 11) -> Network:
    """Random weights that keep outputs spread over the range of int8."""
    rng = np.random.default_rng(seed)
    shapes = ((HIDDEN, INPUTS), (OUTPUTS, HIDDEN))
    weights = tuple(np.clip(rng.normal(0, 30, shape).round(), -127, 127).astype(np.int8) for shape in shapes)
    bias = tuple(rng.integers(-800, 800, shape[0]).astype(np.int32) for shape in shapes)
    return Network((weights[0], weights[1]), (bias[0], bias[1]))


def digits(count: int, seed: int = 5) -> NDArray[np.int8]:
    """Inputs like images of digits: 64 pixels of 17 levels each."""
    return (np.random.default_rng(seed).integers(0, 17, (count, INPUTS)) * 15 - 128).astype(np.int8)


def real_multipliers() -> tuple[float, float]:
    """What the sums of each layer are multiplied with."""
    f32 = {name: float(np.float32(value)) for name, value in SCALES.items()}
    return f32["input"] * f32["weights"] / f32["hidden"], f32["hidden"] * f32["weights"] / f32["output"]


def layers() -> tuple[tuple[int, int, int], ...]:
    """Smallest output, zero point of the input and of the output, for each layer."""
    return (HIDDEN_ZERO, INPUT_ZERO, HIDDEN_ZERO), (-128, HIDDEN_ZERO, OUTPUT_ZERO)


def multiplier(layer: int) -> int:
    return round(real_multipliers()[layer] * (1 << SHIFT))


def answers(net: Network, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the gadget computes: one rounding of the whole product, ties upward.

    Args:
        net: the network.
        x: (n, 64)

    Returns:
        (n, 10)
    """
    for layer, (low, zero_in, zero_out) in enumerate(layers()):
        total = (x.astype(np.int64) - zero_in) @ net.weights[layer].astype(np.int64).T + net.bias[layer]
        scaled = (total * multiplier(layer) + (1 << (SHIFT - 1))) >> SHIFT
        x = np.clip(scaled + zero_out, low, 127).astype(np.int8)
    return x


def array(kind: str, name: str, values: list[int]) -> str:
    """A constant array in C++."""
    return f"alignas(16) static const {kind} {name}[] = {{{', '.join(map(str, values))}}};\n"


def header(net: Network) -> str:
    """Text of weights.h."""
    text = "#pragma once\n#include <stdint.h>\n"
    names = {"INPUTS": INPUTS, "HIDDEN": HIDDEN, "OUTPUTS": OUTPUTS, "INPUT_ZERO": INPUT_ZERO}
    names |= {"HIDDEN_ZERO": HIDDEN_ZERO, "OUTPUT_ZERO": OUTPUT_ZERO}
    for layer in range(2):
        names[f"MULTIPLIER_{layer}"], names[f"SHIFT_{layer}"] = multiplier(layer), SHIFT
        text += array("int8_t", f"weights_{layer}", net.weights[layer].ravel().tolist())
        text += array("int32_t", f"bias_{layer}", net.bias[layer].tolist())
    return text + "".join(f"#define {name} ({value})\n" for name, value in names.items())
