"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED on float32, with weights that can be trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.ops.common import only
from tinymlsec.lift.ops.convolution import SAME, padding
from tinymlsec.lift.ops.float_elementwise import EQUAL, fused_activation

_FLOATS = only(("float32", "float32"), "float32")


class FloatWeighted(LiftedOp):
    """Base: parameters ``weight_<tensor>`` and ``bias_<tensor>`` in the file's shape, float32."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.activation = fused_activation(site)
        self.names = [f"weight_{site.op.inputs[1]}"]
        self._register(self.names[0], site.require(1, "weight"))
        if site.has(2):
            self.names.append(f"bias_{site.op.inputs[2]}")
            self._register(self.names[1], site.require(2, "bias"))

    def _register(self, name: str, value: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        self.register_parameter(name, nn.Parameter(torch.from_numpy(np.array(value, dtype=np.float32))))

    @property
    def weight(self) -> Tensor:
        """Weights in the file's shape."""
        weight: Tensor = getattr(self, self.names[0])
        return weight

    @property
    def bias(self) -> Tensor | None:
        """Bias (channels,) where there is one."""
        bias: Tensor | None = getattr(self, self.names[1]) if len(self.names) > 1 else None
        return bias


class FloatConvolution(FloatWeighted):
    """A convolution over height and width."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        shape, weights = site.input(0).shape, self.weight.shape
        self.depthwise = site.op.name == "DEPTHWISE_CONV_2D"
        self.stride = (int(site.option("stride_h", 1)), int(site.option("stride_w", 1)))
        self.dilation = (int(site.option("dilation_h_factor", 1)), int(site.option("dilation_w_factor", 1)))
        if len(shape) != 4 or len(weights) != 4 or min(*self.stride, *self.dilation) < 1:
            raise site.unsupported(f"input {list(shape)}, weights {list(weights)}, strides {list(self.stride)}")
        self.groups = shape[3] if self.depthwise else shape[3] // max(weights[3], 1)
        channels = weights[3] if self.depthwise else weights[0]
        if self.groups < 1 or channels % self.groups or (not self.depthwise and shape[3] % weights[3]):
            raise site.unsupported(f"weights {list(weights)} for {shape[3]} input channels")
        same = int(site.option("padding")) == SAME
        down, across = (padding(shape[k + 1], weights[k + 1], self.stride[k], self.dilation[k], same) for k in range(2))
        self.pad = (*across, *down)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, d, height, width, channels) to (n, d, *output height, width, channels)."""
        x = inputs[0]
        image = functional.pad(x.flatten(0, 1).permute(0, 3, 1, 2), self.pad)
        kernel = self.weight.permute(3, 0, 1, 2) if self.depthwise else self.weight.permute(0, 3, 1, 2)
        sums = functional.conv2d(image, kernel, self.bias, self.stride, 0, self.dilation, self.groups)
        result = self.activation(sums.permute(0, 2, 3, 1))
        return [result.reshape(*x.shape[:2], *result.shape[1:])]


class FloatDense(FloatWeighted):
    """Rows of the input, however its dimensions are cut, times a matrix (channels, depth)."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        if self.weight.dim() != 2 or int(site.option("weights_format")):
            raise site.unsupported(f"weights {list(self.weight.shape)}, or shuffled ones")
        self.shape = site.output().shape

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to (n, *output shape)."""
        x = inputs[0]
        rows = x.reshape(x.shape[0], -1, self.weight.shape[1])
        return [self.activation(functional.linear(rows, self.weight, self.bias)).reshape(x.shape[0], *self.shape)]


_OPTIONS = f"stride, SAME and VALID padding, dilation, optional bias, fused activation; {EQUAL}"
SUPPORT = (
    Support("CONV_2D", "float32", FloatConvolution, _FLOATS, f"groups, {_OPTIONS}"),
    Support("DEPTHWISE_CONV_2D", "float32", FloatConvolution, _FLOATS, f"depth multiplier, {_OPTIONS}"),
    Support(
        "FULLY_CONNECTED", "float32", FloatDense, _FLOATS, f"inputs of any rank, optional bias, activation; {EQUAL}"
    ),
)
