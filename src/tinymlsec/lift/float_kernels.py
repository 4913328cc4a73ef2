"""Operators on real numbers, for the float twin: (n, ...) in the file's layout, the batch in place of its leading 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor

from tinymlsec.target.tflite.graph import Operator

SAME = 0
"""Number of SAME padding in the schema."""


@dataclass(frozen=True)
class Call:
    """One operator at work."""

    op: Operator
    inputs: Sequence[Tensor]
    """Values; for weights and biases the parameters."""
    integers: Sequence[tuple[int, ...] | None]
    """Values of the inputs that are int32 constants (axes, paddings, shapes), None for the others."""
    output_shape: tuple[int, ...]

    def number(self, name: str, default: int = 0) -> int:
        """An integer option."""
        return int(self.op.options.get(name, default) or default)  # type: ignore[arg-type]

    def axes(self, position: int) -> tuple[int, ...]:
        """An input that holds axes or paddings."""
        values = self.integers[position]
        assert values is not None
        return values


def activate(x: Tensor, kind: int) -> Tensor:
    """The fused activation of that number in the schema."""
    if kind == 1:
        return F.relu(x)
    if kind in (2, 3):
        return x.clamp(-1.0, 1.0) if kind == 2 else x.clamp(0.0, 6.0)
    return x


def linear(call: Call) -> Tensor:
    """CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, without the fused activation."""
    x, weight = call.inputs[0], call.inputs[1]
    bias = call.inputs[2] if len(call.inputs) > 2 else None
    if call.op.name == "FULLY_CONNECTED":
        return F.linear(x.reshape(len(x), -1, weight.shape[1]), weight, bias).reshape(len(x), *call.output_shape[1:])
    depthwise = call.op.name == "DEPTHWISE_CONV_2D"
    kernel = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
    stride = (call.number("stride_h", 1), call.number("stride_w", 1))
    dilation = (call.number("dilation_h_factor", 1), call.number("dilation_w_factor", 1))
    groups = x.shape[3] if depthwise else x.shape[3] // weight.shape[3]
    planes = _pad(call, x.permute(0, 3, 1, 2), tuple(kernel.shape[2:]), stride, dilation, 0.0)
    return F.conv2d(planes, kernel, bias, stride, 0, dilation, groups).permute(0, 2, 3, 1)


def _pad(
    call: Call,
    planes: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    value: float,
) -> Tensor:
    """Planes (n, c, h, w) with the padding that SAME asks for: what is odd goes to the end."""
    if call.number("padding") != SAME:
        return planes
    sides: list[int] = []
    for axis in (1, 0):  # last dimension first
        size, out = planes.shape[2 + axis], -(-planes.shape[2 + axis] // stride[axis])
        total = max((out - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(planes, sides, value=value)


def _average_pool(call: Call) -> Tensor:
    kernel, stride = _window(call)
    planes = call.inputs[0].permute(0, 3, 1, 2)
    count = torch.ones_like(planes[:1, :1])
    sums, counts = (
        F.avg_pool2d(_pad(call, v, kernel, stride, (1, 1), 0.0), kernel, stride, divisor_override=1)
        for v in (planes, count)
    )
    return (sums / counts).permute(0, 2, 3, 1)


def _max_pool(call: Call) -> Tensor:
    kernel, stride = _window(call)
    planes = call.inputs[0].permute(0, 3, 1, 2)
    return F.max_pool2d(_pad(call, planes, kernel, stride, (1, 1), -torch.inf), kernel, stride).permute(0, 2, 3, 1)


def _window(call: Call) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (call.number("filter_height", 1), call.number("filter_width", 1)),
        (call.number("stride_h", 1), call.number("stride_w", 1)),
    )


def _mean(call: Call) -> Tensor:
    axes = tuple(axis % call.inputs[0].ndim for axis in call.axes(1))
    return call.inputs[0].mean(dim=axes).reshape(len(call.inputs[0]), *call.output_shape[1:])


def _view(call: Call) -> Tensor:
    return call.inputs[0].reshape(len(call.inputs[0]), *call.output_shape[1:])


def _padded(call: Call) -> Tensor:
    amounts = call.axes(1)
    pairs = [amounts[2 * i : 2 * i + 2] for i in range(call.inputs[0].ndim)]
    value = float(call.inputs[2].reshape(-1)[0]) if len(call.inputs) > 2 else 0.0
    return F.pad(call.inputs[0], [side for pair in reversed(pairs) for side in pair], value=value)


def _concatenation(call: Call) -> Tensor:
    rows = max(len(x) for x in call.inputs)
    return torch.cat([x.expand(rows, *x.shape[1:]) for x in call.inputs], call.number("axis") % call.inputs[0].ndim)


def _softmax(call: Call) -> Tensor:
    beta: Any = call.op.options.get("beta", 1.0)
    return torch.softmax(call.inputs[0] * beta, dim=-1)


def _leaky(call: Call) -> Tensor:
    alpha: Any = call.op.options.get("alpha", 0.0)
    return F.leaky_relu(call.inputs[0], alpha)


KERNELS: dict[str, Callable[[Call], Tensor]] = {
    "CONV_2D": linear,
    "DEPTHWISE_CONV_2D": linear,
    "FULLY_CONNECTED": linear,
    "ADD": lambda call: call.inputs[0] + call.inputs[1],
    "SUB": lambda call: call.inputs[0] - call.inputs[1],
    "MUL": lambda call: call.inputs[0] * call.inputs[1],
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "RESHAPE": _view,
    "SQUEEZE": _view,
    "EXPAND_DIMS": _view,
    "TRANSPOSE": lambda call: call.inputs[0].permute(call.axes(1)),
    "PAD": _padded,
    "PADV2": _padded,
    "CONCATENATION": _concatenation,
    "SOFTMAX": _softmax,
    "LOGISTIC": lambda call: torch.sigmoid(call.inputs[0]),
    "TANH": lambda call: torch.tanh(call.inputs[0]),
    "RELU": lambda call: F.relu(call.inputs[0]),
    "RELU6": lambda call: call.inputs[0].clamp(0.0, 6.0),
    "LEAKY_RELU": _leaky,
    "QUANTIZE": lambda call: call.inputs[0],
    "DEQUANTIZE": lambda call: call.inputs[0],
}
"""What the float twin covers."""
