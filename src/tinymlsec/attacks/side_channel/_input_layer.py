"""The layer that meets the input first, as sums of known weights times unknown values: which value enters where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._macs import SAME, WEIGHTED, _option
from tinymlsec.errors import CapabilityMissing
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.cut import cut_model

if TYPE_CHECKING:
    from tinymlsec.target.tflite.graph import Model, Operator

THROUGH = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "QUANTIZE")
"""Operators that may lie before the layer: value by value, in the same order."""
Ask = Callable[[bytes, NDArray[np.generic]], NDArray[np.generic]]
"""Runs a model file on codes."""


@dataclass(frozen=True)
class Window:
    """The sums of one output pixel whose channels read the same input values."""

    pixel: tuple[int, int]
    view: tuple[int, int]
    """Rows and columns of the kernel that lie inside of the image: windows with the same ones run the same code."""
    inputs: NDArray[np.int64]
    """(k,) places in the flat input, in the order of the products."""
    taps: NDArray[np.int64]
    """(k,) their numbers among the weights of a channel."""
    channels: NDArray[np.int64]
    """Output channels."""


@dataclass(frozen=True)
class FirstLayer:
    """The layer and its input."""

    op: int
    name: str
    input_tensor: int
    size: int
    """Values of the input."""
    offset: int
    """Added to each code before it is multiplied."""
    weights: NDArray[np.int32]
    """(channels, taps)"""
    windows: tuple[Window, ...]
    run: int
    """Products of an interior row of taps whose codes lie side by side; a border cuts them short."""
    group: int
    """Codes of one tap that lie side by side."""
    gapless: bool
    """A row of taps is one run."""

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(size,) values that enter at least one product."""
        seen = np.zeros(self.size, bool)
        for window in self.windows:
            seen[window.inputs] = True
        return seen

    def runs(self, window: Window) -> int:
        """Products that the inner loop of the kernel runs over, in this window."""
        if self.name == "FULLY_CONNECTED":
            return len(window.inputs)
        return window.view[1] * self.group if self.gapless else self.group

    def groups(self, window: Window, style: str) -> tuple[tuple[int, ...], ...]:
        """Products that are added at once: with the DSP extension bytes 0 and 2 of four, then 1 and 3."""
        count, run = len(window.inputs), self.runs(window)
        if style != "dsp" or self.name == "DEPTHWISE_CONV_2D":
            return tuple((k,) for k in range(count))
        made: list[tuple[int, ...]] = []
        for start in range(0, count, run):
            whole = run // 4 * 4
            for k in range(start, start + whole, 4):
                made += [(k, k + 2), (k + 1, k + 3)]
            made += [(k,) for k in range(start + whole, start + run)]
        return tuple(made)


def first_layer(model: Model) -> FirstLayer:
    """The layer that the input goes into.

    Raises:
        CapabilityMissing: it is none whose sums can be followed; says why.
    """
    graph = model.main
    if model.state_tensors:
        raise CapabilityMissing("the model keeps state: its first layer reads older inputs beside the new one")
    if len(graph.inputs) != 1:
        raise CapabilityMissing("the model has several inputs", found=str(len(graph.inputs)), expected="one")
    tensor = graph.inputs[0]
    for op in graph.operators:
        if tensor not in op.inputs:
            continue
        if op.name in WEIGHTED and op.inputs[0] == tensor:
            return _layer(model, op)
        if op.name not in THROUGH or op.inputs[0] != tensor:
            raise CapabilityMissing(
                "the input goes into an operator whose sums are not followed", found=op.name,
                expected=f"a layer with weights, after {', '.join(THROUGH)} at most",
            )  # fmt: skip
        tensor = op.outputs[0]
    raise CapabilityMissing("the input does not come to a layer with weights")


def code_table(model: Model, data: bytes, layer: FirstLayer, codes: NDArray[np.generic], ask: Ask) -> NDArray[np.int64]:
    """What the layer is fed for each code of the model's input, asked from the runtime.

    Args:
        model: read from `data`.
        data: the file.
        layer: whose input.
        codes: (m,) all codes.
        ask: runs models.

    Returns:
        (m,)

    Raises:
        CapabilityMissing: the values on the way are not each a function of one code.
    """
    if layer.input_tensor == model.main.inputs[0]:
        return codes.astype(np.int64)
    shape = model.main.tensors[model.main.inputs[0]].shape
    sample = shape[1:] if shape and shape[0] == 1 else shape
    rows = np.broadcast_to(codes.reshape(-1, *(1 for _ in sample)), (len(codes), *sample))
    fed = ask(cut_model(model, layer.input_tensor), np.ascontiguousarray(rows)).reshape(len(codes), -1)
    if not (fed == fed[:, :1]).all():
        raise CapabilityMissing("what lies before the first layer does not treat all values alike")
    table: NDArray[np.int64] = fed[:, 0].astype(np.int64)
    return table


def _layer(model: Model, op: Operator) -> FirstLayer:
    tensors = model.main.tensors
    source, weights = tensors[op.inputs[0]], constant(model, tensors[op.inputs[1]])
    if source.dtype != "int8" or weights is None or weights.dtype != np.int8 or source.quantization is None:
        raise CapabilityMissing(
            "the first layer does not compute in int8", found=f"{op.name} on {source.dtype}",
            next_step="only integer layers are followed: give the quantized model",
        )  # fmt: skip
    offset, size = -int(source.quantization.zero_point[0]), int(np.prod(source.shape))
    wide = weights.astype(np.int32)
    if op.name == "FULLY_CONNECTED":
        units, depth = weights.shape
        rows = size // depth
        every = np.arange(units)
        windows = tuple(
            Window((row, 0), (1, depth), np.arange(depth) + row * depth, np.arange(depth), every) for row in range(rows)
        )
        return FirstLayer(op.index, op.name, source.index, size, offset, wide, windows, depth, depth, gapless=True)
    return _windowed(model, op, wide, size, offset)


def _windowed(model: Model, op: Operator, weights: NDArray[np.int32], size: int, offset: int) -> FirstLayer:
    tensors = model.main.tensors
    _, in_h, in_w, in_c = tensors[op.inputs[0]].shape
    _, out_h, out_w, out_c = tensors[op.outputs[0]].shape
    k_h, k_w = weights.shape[1:3]
    deep = op.name == "DEPTHWISE_CONV_2D"
    each = 1 if deep else weights.shape[3]
    table = weights[0].reshape(k_h * k_w, out_c).T if deep else weights.reshape(out_c, -1)
    first = np.arange(out_c) // (out_c // in_c) if deep else np.arange(out_c) // (out_c * each // in_c) * each
    windows = []
    for y in range(out_h):
        rows, inside_h = _taps(op, "h", in_h, out_h, k_h, y)
        for x in range(out_w):
            columns, inside_w = _taps(op, "w", in_w, out_w, k_w, x)
            taps = (inside_h[:, None] * k_w + inside_w[None, :])[:, :, None] * each + np.arange(each)
            places = (rows[:, None] * in_w + columns[None, :])[:, :, None] * in_c + np.arange(each)
            view = (len(rows), len(columns))
            for start in np.unique(first):
                channels = np.flatnonzero(first == start)
                windows.append(Window((y, x), view, places.ravel() + start, taps.ravel(), channels))
    gapless = not deep and each == in_c and _option(op, "dilation_w_factor") == 1
    run = k_w * each if gapless else each
    return FirstLayer(
        op.index, op.name, op.inputs[0], size, offset, np.ascontiguousarray(table), tuple(windows), run, each, gapless
    )


def _taps(
    op: Operator, axis: str, size: int, out: int, taps: int, at: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places along an axis that an output place reads, and the numbers of their taps, without those outside."""
    stride, dilation = _option(op, f"stride_{axis}"), _option(op, f"dilation_{axis}_factor")
    total = max((out - 1) * stride + (taps - 1) * dilation + 1 - size, 0) if _option(op, "padding", 0) == SAME else 0
    places = at * stride - total // 2 + dilation * np.arange(taps)
    inside = np.flatnonzero((places >= 0) & (places < size))
    return places[inside], inside
