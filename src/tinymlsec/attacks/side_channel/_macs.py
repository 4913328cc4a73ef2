"""Which products a layer adds up for one output value, in the order in which its kernel adds them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Operator

SAME = 0
"""Padding in the schema."""
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Macs:
    """The multiply-accumulate operations behind one output pixel of a layer."""

    op: int
    name: str
    pixel: tuple[int, int]
    """Row and column of the output; the center, where no tap lies outside of the image."""
    input_tensor: int
    weight_tensor: int
    bias_tensor: int | None
    inputs: NDArray[np.int64]
    """(c, k) places in the flat input tensor; all taps of a channel lie inside."""
    weights: NDArray[np.int64]
    """(c, k) places in the flat weight tensor."""
    offset: int
    """Added to each code before it is multiplied."""
    pixels: tuple[tuple[int, int], ...] = ((0, 0),)
    """All output pixels whose window lies inside of the image, the middle one first."""
    run: int = 1
    """Products whose codes and weights lie side by side: the inner loop of the kernel runs over them."""
    steps: tuple[int, int] = (0, 0)
    """Places in the input tensor from one row, and from one column, of the output to the next."""

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.weights)

    @property
    def length(self) -> int:
        """Products of one channel."""
        return int(self.weights.shape[1])

    def groups(self, style: str) -> tuple[tuple[int, ...], ...]:
        """Products that are added at once, in order: numbers of products of a channel.

        Args:
            style: of the inner loops; with the DSP extension bytes 0 and 2 of four go together, then 1 and 3.
        """
        if style != "dsp" or self.name == "DEPTHWISE_CONV_2D":
            return tuple((k,) for k in range(self.length))
        made: list[tuple[int, ...]] = []
        for start in range(0, self.length, self.run):
            whole = self.run // 4 * 4
            for i in range(start, start + whole, 4):
                made += [(i, i + 2), (i + 1, i + 3)]
            made += [(i,) for i in range(start + whole, start + self.run)]
        return tuple(made)

    def moved(self, pixel: tuple[int, int]) -> Macs:
        """The same products at another of `pixels`."""
        by = (pixel[0] - self.pixel[0]) * self.steps[0] + (pixel[1] - self.pixel[1]) * self.steps[1]
        return replace(self, pixel=pixel, inputs=self.inputs + by)

    def factors(self, activations: NDArray[np.int8], channel: int) -> NDArray[np.int32]:
        """What the weights of a channel are multiplied with.

        Args:
            activations: (n, ...) codes of the input tensor.
            channel: of the output.

        Returns:
            (n, k)
        """
        flat = activations.reshape(len(activations), -1)
        return flat[:, self.inputs[channel]].astype(np.int32) + np.int32(self.offset)


def macs_of(model: Model, op: Operator) -> Macs:
    """The products behind the middle pixel of a layer.

    Raises:
        ValueError: the operator has no weights, or no pixel whose window lies inside of the image.
    """
    tensors = model.main.tensors
    weights = constant(model, tensors[op.inputs[1]])
    if op.name not in WEIGHTED or weights is None or tensors[op.inputs[0]].quantization is None:
        raise ValueError(f"operator {op.index} ({op.name}) is no layer with int8 weights")
    if op.name == "FULLY_CONNECTED":
        units, depth = weights.shape
        inputs = np.tile(np.arange(depth), (units, 1))
        places = np.arange(units * depth).reshape(units, depth)
        pixels: tuple[tuple[int, int], ...] = ((0, 0),)
        steps, run = (0, 0), depth
    else:
        pixels, steps, inputs, places = _windowed(model, op, weights.shape)
        run = _run(model, op, weights.shape)
    bias = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    zero_point = int(tensors[op.inputs[0]].quantization.zero_point[0])  # type: ignore[union-attr]
    return Macs(
        op.index, op.name, pixels[0], op.inputs[0], op.inputs[1], bias, inputs, places, -zero_point, pixels,
        run, steps,
    )  # fmt: skip


def _windowed(
    model: Model, op: Operator, weights: tuple[int, ...]
) -> tuple[tuple[tuple[int, int], ...], tuple[int, int], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels inside, steps between them, places in input and weights."""
    tensors = model.main.tensors
    _, in_h, in_w, in_c = tensors[op.inputs[0]].shape
    _, out_h, out_w, out_c = tensors[op.outputs[0]].shape
    k_h, k_w = weights[1:3]
    ys, top = _inside(op, "h", in_h, out_h, k_h)
    xs, left = _inside(op, "w", in_w, out_w, k_w)
    pixels = tuple(
        sorted(((y, x) for y in ys for x in xs), key=lambda p: (p != (ys[0], xs[0]), _far(p, ys[0], xs[0]), p))
    )
    steps = (_option(op, "stride_h") * in_w * in_c, _option(op, "stride_w") * in_c)
    step_h, step_w = _option(op, "dilation_h_factor"), _option(op, "dilation_w_factor")
    rows, columns = top + step_h * np.arange(k_h), left + step_w * np.arange(k_w)
    taps = (rows[:, None] * in_w + columns[None, :]) * in_c  # (k_h, k_w): first channel of each tap
    channels = np.arange(out_c)
    if op.name == "DEPTHWISE_CONV_2D":
        inputs = taps.ravel()[None, :] + (channels // (out_c // in_c))[:, None]
        places = (np.arange(k_h * k_w) * out_c)[None, :] + channels[:, None]
        return pixels, steps, inputs, places
    group_in = weights[3]
    first = channels // (out_c * group_in // in_c) * group_in
    inside = (taps.reshape(-1, 1) + np.arange(group_in)).ravel()
    each = k_h * k_w * group_in
    return pixels, steps, inside[None, :] + first[:, None], np.arange(out_c * each).reshape(out_c, each)


def _run(model: Model, op: Operator, weights: tuple[int, ...]) -> int:
    """Codes of a row of taps lie side by side where nothing lies between them."""
    whole = weights[3] == model.main.tensors[op.inputs[0]].shape[3] and _option(op, "dilation_w_factor") == 1
    return weights[2] * weights[3] if whole else weights[3]


def _option(op: Operator, name: str, default: int = 1) -> int:
    value = op.options.get(name)
    return default if value is None else int(value)  # type: ignore[arg-type]


def _far(pixel: tuple[int, int], y: int, x: int) -> int:
    return abs(pixel[0] - y) + abs(pixel[1] - x)


def _inside(op: Operator, axis: str, size: int, out: int, taps: int) -> tuple[list[int], int]:
    """Output places whose windows lie inside, the one nearest to the middle first, and where its window begins."""
    stride, dilation = _option(op, f"stride_{axis}"), _option(op, f"dilation_{axis}_factor")
    reach = (taps - 1) * dilation + 1
    total = max((out - 1) * stride + reach - size, 0) if _option(op, "padding", 0) == SAME else 0
    starts = np.arange(out) * stride - total // 2
    inside = np.flatnonzero((starts >= 0) & (starts + reach <= size))
    if not len(inside):
        raise ValueError(f"operator {op.index} ({op.name}): every window reaches over the border")
    place = int(inside[np.abs(inside - out // 2).argmin()])
    others = [int(i) for i in inside if i != place]
    return [place, *others], int(starts[place])
