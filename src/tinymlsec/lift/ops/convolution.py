"""CONV_2D and DEPTHWISE_CONV_2D on int8.

Padding follows the runtime: SAME pads so that the output has ceil(input / stride) places, the odd pixel behind. Padded
places hold the zero point, so after its subtraction they hold zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tinymlsec.lift.op import Site, State, Support
from tinymlsec.lift.weighted import WeightedOp

SAME = 0
"""Number of SAME in the schema's Padding."""


def padding(size: int, window: int, stride: int, dilation: int, same: bool) -> tuple[int, int]:
    """(before, behind): places that are added along one axis, as the runtime computes them."""
    if not same:
        return 0, 0
    reach = (window - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


class Convolution(WeightedOp):
    """A convolution; values stay (n, 1, height, width, channels), kernels see them as channels-last."""

    def __init__(self, site: Site, depthwise: bool) -> None:
        super().__init__(site, channel_axis=3 if depthwise else 0)
        data, weights = site.input(0).shape, site.input(1).shape
        if len(data) != 4 or len(weights) != 4:
            raise site.unsupported(f"input of {len(data)} dimensions")
        self.depthwise = depthwise
        self.groups = self._groups(site, data[3], weights)
        self.stride = (int(site.option("stride_h", 1)), int(site.option("stride_w", 1)))
        self.dilation = (int(site.option("dilation_h_factor", 1)), int(site.option("dilation_w_factor", 1)))
        if min(*self.stride, *self.dilation) < 1:
            raise site.unsupported(f"strides {self.stride}, dilations {self.dilation}")
        same = int(site.option("padding")) == SAME
        top, left = (padding(data[1 + k], weights[1 + k], self.stride[k], self.dilation[k], same) for k in range(2))
        self.even = top[0] == top[1] and left[0] == left[1]
        self.pad = (*left, *top)
        self.out_shape = site.output().shape
        self.refresh()

    def _groups(self, site: Site, depth: int, weights: tuple[int, ...]) -> int:
        if self.depthwise:
            if weights[0] != 1 or depth == 0 or self.channels % depth:
                raise site.unsupported(f"weights {list(weights)} for {depth} input channels")
            return depth
        if weights[3] == 0 or depth % weights[3] or self.channels % (depth // weights[3]):
            raise site.unsupported(f"weights {list(weights)} for {depth} input channels")
        return depth // weights[3]

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """See `LiftedOp.forward`."""
        x = inputs[0]
        n, images = x.shape[0], x.shape[0] * x.shape[1]
        image = (x.reshape(images, *x.shape[2:]).to(self.dtype) - self.input_zero_point).permute(0, 3, 1, 2)
        if not self.even:
            image = functional.pad(image, self.pad)
        order = (3, 0, 1, 2) if self.depthwise else (0, 3, 1, 2)
        kernel = self.integer_weight().permute(order).to(self.dtype, memory_format=torch.channels_last)
        bias = self.integer_bias()
        sums = functional.conv2d(
            image,
            kernel,
            bias.to(self.dtype) if bias is not None and self.bias_inside else None,
            self.stride,
            (self.pad[2], self.pad[0]) if self.even else 0,
            self.dilation,
            self.groups,
        )
        codes = self.codes(sums.permute(0, 2, 3, 1), None if self.bias_inside else bias)
        return [codes.reshape(n, *x.shape[1:2], *codes.shape[1:])]


def _int8(site: Site) -> bool:
    types = [site.input(0).dtype, site.input(1).dtype, site.output().dtype]
    return types == ["int8"] * 3 and (not site.has(2) or site.input(2).dtype == "int32")


_OPTIONS = "stride, SAME and VALID padding, dilation, per-tensor and per-channel weights, optional bias, activation"

SUPPORT = (
    Support("CONV_2D", "int8", lambda site: Convolution(site, False), _int8, f"{_OPTIONS}, groups"),
    Support("DEPTHWISE_CONV_2D", "int8", lambda site: Convolution(site, True), _int8, f"{_OPTIONS}, depth multiplier"),
)
