"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, PAD and PADV2 on float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.ops.common import only
from tinymlsec.lift.ops.convolution import SAME, padding
from tinymlsec.lift.ops.float_elementwise import EQUAL, EXACT, fused_activation
from tinymlsec.lift.rows import one_axis

_FLOAT = only(("float32",), "float32")


class FloatPool(LiftedOp):
    """Average or maximum of windows; what lies outside of the image counts for neither."""

    places: Tensor

    def __init__(self, site: Site) -> None:
        super().__init__()
        shape = site.input(0).shape
        self.average, self.activation = site.op.name == "AVERAGE_POOL_2D", fused_activation(site)
        self.window = (int(site.option("filter_height")), int(site.option("filter_width")))
        self.stride = (int(site.option("stride_h")), int(site.option("stride_w")))
        if len(shape) != 4 or min(*self.window, *self.stride) < 1:
            raise site.unsupported(f"windows of {list(self.window)} with strides {list(self.stride)}")
        same = int(site.option("padding")) == SAME
        down, across = (padding(shape[k + 1], self.window[k], self.stride[k], 1, same) for k in range(2))
        self.pad = (*across, *down)
        self.register_buffer("places", self._sums(torch.ones(1, 1, shape[1], shape[2])), persistent=False)

    def _sums(self, planes: Tensor) -> Tensor:
        padded = functional.pad(planes, self.pad)
        return functional.avg_pool2d(padded, self.window, self.stride, divisor_override=1)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, d, height, width, channels) to (n, d, *output height, width, channels)."""
        planes = inputs[0].flatten(0, 1).permute(0, 3, 1, 2)
        if self.average:
            pooled = self._sums(planes) / self.places
        else:
            padded = functional.pad(planes, self.pad, value=-torch.inf)
            pooled = functional.max_pool2d(padded, self.window, self.stride)
        result = self.activation(pooled.permute(0, 2, 3, 1))
        return [result.reshape(*inputs[0].shape[:2], *result.shape[1:])]


class FloatMean(LiftedOp):
    """Mean over axes."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        rank = len(site.input(0).shape)
        given = site.require(1, "list of axes").reshape(-1).tolist()
        self.axes = sorted({one_axis(site, axis, rank) + 1 for axis in given})
        self.shape = site.output().shape
        if not self.axes:
            raise site.unsupported("no axes")

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to (n, *output shape)."""
        return [inputs[0].mean(dim=self.axes).reshape(inputs[0].shape[0], *self.shape)]


class FloatPad(LiftedOp):
    """A constant around the values."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        pairs = site.require(1, "list of paddings")
        if pairs.shape != (len(site.input(0).shape), 2) or (pairs < 0).any() or len(pairs) > 4:
            raise site.unsupported(f"paddings {pairs.tolist()}")
        self.pad = pairs[::-1].reshape(-1).tolist()
        self.value = float(site.require(2, "value").reshape(-1)[0]) if site.has(2) else 0.0

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to (n, *output shape)."""
        return [functional.pad(inputs[0], self.pad, value=self.value)]


_POOL = "stride, SAME and VALID padding, fused activation"
SUPPORT = (
    Support("AVERAGE_POOL_2D", "float32", FloatPool, _FLOAT, f"{_POOL}; {EQUAL}"),
    Support("MAX_POOL_2D", "float32", FloatPool, _FLOAT, f"{_POOL}; {EXACT}"),
    Support("MEAN", "float32", FloatMean, _FLOAT, f"any constant axes, kept or not; {EQUAL}"),
    Support("PAD", "float32", FloatPad, _FLOAT, f"constant paddings of up to 4 dimensions; {EXACT}"),
    Support("PADV2", "float32", FloatPad, _FLOAT, f"constant paddings and value, up to 4 dimensions; {EXACT}"),
)
