"""Post-training quantization without TensorFlow: real weights and calibration data in, a valid integer file out.

Scales follow the TensorFlow Lite 8-bit specification: weights symmetric in [-127, 127], one scale per channel where the
file has that; biases int32 at input scale times weight scale; activations with one scale and zero point, zero exact.
Constraints of the kernels are kept: tensors that an operator only moves, pools or joins share one scale, and outputs of
SOFTMAX, LOGISTIC and TANH keep the one that their kernels insist on. The input keeps its own as well: the firmware that
feeds the model relies on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import UnsupportedModelError
from tinymlsec.lift.border import core_entry
from tinymlsec.lift.calibrate import Range, activation_ranges
from tinymlsec.lift.float_twin import FloatTwin
from tinymlsec.lift.layers import Layer, Weights, layers
from tinymlsec.lift.op import CODE_TYPES
from tinymlsec.lift.rewrite import replace_tensors
from tinymlsec.lift.sharing import kept_tensors, sharing_groups
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Quantization
from tinymlsec.target.tflite.quantize import range_parameters
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, quantize_bias
from tinymlsec.target.tflite.writer import write_model

WeightGrid = Literal["full", "power_of_two"]
NARROWEST = 1e-6
"""Activations that never move still get a range this wide, so that multipliers stay within what kernels take."""
BIAS_ROOM = 2.0**30
"""Biases stay below this, so that the accumulator has room."""


@dataclass(frozen=True)
class RequantizeConfig:
    """Choices of a re-quantization."""

    coverage: float = 1.0
    """Share of the values of each activation that its range covers; 1 takes minimum and maximum."""
    weight_grid: WeightGrid = "full"
    """full: the largest weight of a channel becomes 127. power_of_two: scales are powers of two, as some accelerators
    ask for; weights then use between half and all of the range."""


def requantize(
    model: Model, weights: Weights, codes: NDArray[np.generic], config: RequantizeConfig | None = None
) -> bytes:
    """A file of the same topology with other weights, and scales that fit them.

    Args:
        model: the topology: a quantized file with int8 weights.
        weights: real weights and biases by tensor number (`layers.own_weights`, `layers.weights_from`,
            `FloatTwin.folded`).
        codes: calibration samples in the input's type, (n, *sample shape); a hundred are usually enough.
        config: coverage and grids.

    Returns:
        The .tflite file.

    Raises:
        UnsupportedModelError: weights that are not symmetric int8, or an operator without a float twin.
    """
    config = config or RequantizeConfig()
    twin = FloatTwin(model, weights).eval()
    ranges = activation_ranges(twin, codes, config.coverage)
    grids = _activation_grids(model, ranges)
    values = _constant_codes(model, twin, grids)
    for layer in layers(model):
        _quantize_layer(model, layer, weights, grids, values, config.weight_grid)
    return write_model(replace_tensors(model, values, grids))


def _activation_grids(model: Model, ranges: dict[int, Range]) -> dict[int, Quantization]:
    """New quantization of every activation, one for each group of tensors that must share it."""
    kept = kept_tensors(model) | {core_entry(model)}
    grids: dict[int, Quantization] = {}
    for group in sharing_groups(model):
        fixed = sorted(group & kept)
        seen = [ranges[t] for t in group if t in ranges]
        if fixed:
            own = model.main.tensors[fixed[0]].quantization
            assert own is not None
            grids.update(dict.fromkeys(group, own))
        elif seen:
            dtype = model.main.tensors[min(group)].dtype
            low, high = min(r[0] for r in seen), max(r[1] for r in seen)
            grids.update(dict.fromkeys(group, _grid(low, high, dtype)))
    return grids


def _grid(low: float, high: float, dtype: str) -> Quantization:
    scale, zero_point = range_parameters(low, max(high, low + NARROWEST), dtype)
    return Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))


def _constant_codes(model: Model, twin: FloatTwin, grids: dict[int, Quantization]) -> dict[int, NDArray[np.generic]]:
    """Constants that are activations to their operator (an addend, a padding value), on their new grids."""
    result: dict[int, NDArray[np.generic]] = {}
    for index, real in twin.constants.items():
        tensor = model.main.tensors[index]
        if index in grids and tensor.dtype in CODE_TYPES:
            low, high = INTEGER_RANGES[tensor.dtype]
            codes = np.rint(real.numpy() / float(grids[index].scale[0])) + int(grids[index].zero_point[0])
            result[index] = np.clip(codes, low, high).astype(tensor.dtype)
    return result


def _quantize_layer(
    model: Model,
    layer: Layer,
    weights: Weights,
    grids: dict[int, Quantization],
    values: dict[int, NDArray[np.generic]],
    grid: WeightGrid,
) -> None:
    """Adds weights, biases and their scales of one layer to `values` and `grids`."""
    old = _symmetric(model, layer)
    real = weights[layer.weight].astype(np.float64)
    bias = weights[layer.bias].astype(np.float64) if layer.bias is not None else np.zeros(1)
    axis = layer.axis if old.scale.size > 1 else None
    input_scale = float(grids[layer.op.inputs[0]].scale[0])
    scales = _weight_scales(real, bias, input_scale, axis, grid)
    shape = [1] * real.ndim
    shape[layer.axis] = scales.size
    values[layer.weight] = np.clip(np.rint(real / scales.astype(np.float64).reshape(shape)), -127, 127).astype(np.int8)
    grids[layer.weight] = Quantization(scales, np.zeros(scales.size, np.int64), old.dimension)
    if layer.bias is not None:
        values[layer.bias] = quantize_bias(bias, input_scale, scales)
        products = (np.float64(input_scale) * scales.astype(np.float64)).astype(np.float32)
        grids[layer.bias] = Quantization(products, np.zeros(scales.size, np.int64))


def _symmetric(model: Model, layer: Layer) -> Quantization:
    """The file's quantization of a layer's weights, which must be the kind that we make."""
    tensor = model.main.tensors[layer.weight]
    bias = "int32" if layer.bias is None else model.main.tensors[layer.bias].dtype
    q = tensor.quantization
    if tensor.dtype != "int8" or bias != "int32" or q is None or q.scale.size == 0 or np.any(q.zero_point):
        raise UnsupportedModelError(
            f"operator {layer.op.index} ({layer.op.name}) cannot be quantized again",
            offset=layer.op.offset,
            found=f"weights {tensor.dtype}, bias {bias}",
            expected="int8 weights with zero point 0 and int32 biases",
        )
    assert constant(model, tensor) is not None
    return q


def _weight_scales(
    real: NDArray[np.float64], bias: NDArray[np.float64], input_scale: float, axis: int | None, grid: WeightGrid
) -> NDArray[np.float32]:
    """(channels,) or (1,): as fine as the largest weight allows, and coarse enough for the bias to fit."""
    others = None if axis is None else tuple(i for i in range(real.ndim) if i != axis)
    largest = np.abs(real).max(axis=others).reshape(-1)
    for_bias = np.abs(bias) if axis is not None else np.abs(bias).max(keepdims=True)
    scales = np.maximum(largest / 127.0, for_bias / (input_scale * BIAS_ROOM))
    scales = np.maximum(scales, max(float(scales.max()), 1e-6) * 1e-6)
    if grid == "power_of_two":
        scales = np.array([2.0 ** math.ceil(math.log2(s)) for s in scales])
    narrow: NDArray[np.float32] = scales.astype(np.float32)
    return narrow
