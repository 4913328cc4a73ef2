"""Post-training quantization to int8 as converters do it: scales from the training images, nothing learned again.

The scheme is that of the TensorFlow Lite 8-bit specification: weights symmetric, one scale per output channel for
convolutions and one in all for the fully connected layer; biases int32 at input scale times weight scale; activations
asymmetric with one scale and zero point per tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dataset import PIXEL_MAX
from layers import Dense, Layer, Weighted
from numpy.typing import NDArray
from train import Network
from windows import Array

from tinymlsec.target.tflite.quantize import quantize_symmetric, range_parameters
from tinymlsec.target.tflite.requant_ops import quantize_bias


@dataclass(frozen=True)
class Grid:
    """Quantization of an activation: real = scale * (code - zero_point)."""

    scale: float
    zero_point: int

    def codes(self, real: Array) -> NDArray[np.int8]:
        """Nearest codes, saturated."""
        codes: NDArray[np.int8] = np.clip(np.rint(real / self.scale) + self.zero_point, -128, 127).astype(np.int8)
        return codes


INPUT_GRID = Grid(float(np.float32(PIXEL_MAX / 255)), -128)
"""Pixels of 0 to 16 on all 256 codes."""

PROBABILITY_GRID = Grid(1 / 256, -128)
"""The one output quantization that SOFTMAX kernels accept."""


@dataclass(frozen=True)
class QuantizedLayer:
    """The integers of one layer."""

    layer: Weighted
    weight: NDArray[np.int8]
    """In the layout of the .tflite file."""
    scales: NDArray[np.float32]
    """(channels,) or (1,)."""
    bias: NDArray[np.int32]
    """(channels,)."""
    input: Grid
    output: Grid


def quantize(network: Network, x: Array) -> list[QuantizedLayer]:
    """The integers of every layer with weights, in order.

    Args:
        network: a trained network; it takes pixels in 0..1, the quantized one takes them in 0..16.
        x: calibration images (n, 8, 8, 1) in 0..16: the training images, never the held-out ones.
    """
    outputs = iter(calibrate(network, x / np.float32(PIXEL_MAX)))
    grid, unit, result = INPUT_GRID, np.float32(1 / PIXEL_MAX), []
    for layer in network.weighted:
        # The first layer takes over the division by 16 that training did beforehand.
        weight, scales = quantize_symmetric(layer.weight * unit, channel_axis_of(layer))
        output = next(outputs)
        result.append(
            QuantizedLayer(layer, weight, scales, quantize_bias(layer.bias, grid.scale, scales), grid, output)
        )
        grid, unit = output, np.float32(1)
    return result


def channel_axis_of(layer: Layer) -> int | None:
    """Axis of the weight along which scales run: None for one scale in all."""
    if isinstance(layer, Dense):
        return None
    return 3 if isinstance(layer, Weighted) and layer.weight.shape[0] == 1 else 0


def calibrate(network: Network, pixels: Array) -> list[Grid]:
    """Grid of every weighted layer's output, spanning the values seen and zero.

    Args:
        network: a trained network.
        pixels: images in 0..1.
    """
    grids = []
    x = pixels
    for layer in network.layers:
        x = layer.forward(x)
        if isinstance(layer, Weighted):
            grids.append(Grid(*range_parameters(float(x.min()), float(x.max()))))
    return grids
