"""FULLY_CONNECTED on int8."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from tinymlsec.lift.op import Site, State, Support
from tinymlsec.lift.weighted import WeightedOp


class FullyConnected(WeightedOp):
    """Rows of the input, however its dimensions are cut, times a matrix (channels, depth)."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, channel_axis=0)
        if len(site.input(1).shape) != 2:
            raise site.unsupported(f"weights of {len(site.input(1).shape)} dimensions")
        if int(site.option("weights_format")) != 0:
            raise site.unsupported("its weights are shuffled")
        self.depth = site.input(1).shape[1]
        self.out_shape = site.output().shape
        self.refresh()

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """See `LiftedOp.forward`."""
        x = inputs[0]
        rows = x.reshape(-1, self.depth).to(self.dtype) - self.input_zero_point
        bias = self.integer_bias()
        inside = bias.to(self.dtype) if bias is not None and self.bias_inside else None
        sums = functional.linear(rows, self.integer_weight().to(self.dtype), inside)
        codes = self.codes(sums, None if self.bias_inside else bias)
        return [codes.reshape(x.shape[0], *self.out_shape)]


def _int8(site: Site) -> bool:
    types = [site.input(0).dtype, site.input(1).dtype, site.output().dtype]
    return types == ["int8"] * 3 and (not site.has(2) or site.input(2).dtype == "int32")


SUPPORT = (
    Support(
        "FULLY_CONNECTED",
        "int8",
        FullyConnected,
        _int8,
        "per-tensor and per-channel weights, keep_num_dims, inputs of any rank, optional bias, activation",
    ),
)
