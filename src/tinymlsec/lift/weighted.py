"""What convolutions and fully connected layers share: trainable integer weights, an exact sum, requantization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinymlsec.lift.arithmetic import wrap
from tinymlsec.lift.op import LiftedOp, Site
from tinymlsec.lift.ops.common import activation_bounds
from tinymlsec.lift.rescale import Rescale
from tinymlsec.target.tflite.requant import INT32_MAX, INT32_MIN
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, convolution_multipliers

EXACT_IN_FLOAT32 = 2.0**24
"""Integers below this magnitude, and so sums that never leave it, are exact in float32."""


@dataclass(frozen=True)
class SumBounds:
    """How large sums of products can become, over all inputs of the type and in any order of summation."""

    products: float
    """Largest magnitude of any partial sum without the bias."""
    total: float
    """The same with the bias."""

    @property
    def wraps(self) -> bool:
        """True where 32 bits may not hold the sum; the device then wraps around."""
        return self.total > INT32_MAX


def sum_bounds(weights: NDArray[np.float64], bias: NDArray[np.float64], low: float, high: float) -> SumBounds:
    """Bounds of the sums that a layer can form.

    Args:
        weights: (channels, products per output).
        bias: (channels,).
        low: smallest input minus its zero point.
        high: largest.
    """
    each = np.stack([weights * low, weights * high])
    above, below = each.max(0).clip(min=0).sum(1), each.min(0).clip(max=0).sum(1)
    with_bias = np.maximum(above + bias.clip(min=0), -(below + bias.clip(max=0)))
    return SumBounds(float(np.maximum(above, -below).max(initial=0)), float(with_bias.max(initial=0)))


def straight_through_round(latent: Tensor, low: int, high: int) -> Tensor:
    """Nearest integers within bounds; gradients pass as if nothing had been rounded."""
    rounded = latent.detach().round().clamp_(low, high)
    return latent + (rounded - latent.detach()) if latent.requires_grad else rounded


class WeightedOp(LiftedOp):
    """Base of operators with int8 weights: parameters ``weight_<tensor>`` and ``bias_<tensor>`` in the file's shape.

    Args:
        site: inputs are data, weights and, where there is one, bias.
        channel_axis: axis of the weights that output channels run along.

    Raises:
        UnsupportedModelError: weights that are computed, or several scales along another axis.
    """

    def __init__(self, site: Site, channel_axis: int) -> None:
        super().__init__()
        weights = site.require(1, "weight")
        self.channels, self.channel_axis = weights.shape[channel_axis], channel_axis
        self.weight_name = f"weight_{site.op.inputs[1]}"
        self.register_parameter(self.weight_name, nn.Parameter(torch.from_numpy(weights.astype(np.float32))))
        self.bias_name = f"bias_{site.op.inputs[2]}" if site.has(2) else None
        if self.bias_name is not None:
            bias = site.require(2, "bias").astype(np.float64)
            self.register_parameter(self.bias_name, nn.Parameter(torch.from_numpy(bias)))
        self.input_zero_point = site.scale(site.input(0))[1]
        self.input_range = INTEGER_RANGES[site.input(0).dtype]
        self.weight_range = INTEGER_RANGES[site.input(1).dtype]
        self.weight_zero_point = self._weight_zero_point(site)
        self.rescale = self._rescale(site)

    def _weight_zero_point(self, site: Site) -> int:
        """Only fully connected layers with one scale look at it; all other kernels take weights to be symmetric."""
        quantization = site.input(1).quantization
        read = site.op.name == "FULLY_CONNECTED" and quantization is not None and not quantization.per_channel
        return int(quantization.zero_point[0]) if read and quantization and quantization.zero_point.size else 0

    def _rescale(self, site: Site) -> Rescale:
        scales = site.scales(site.input(1))
        if scales.size not in (1, self.channels):
            raise site.unsupported(f"{scales.size} scales for {self.channels} channels")
        input_scale, (output_scale, zero_point) = site.scale(site.input(0))[0], site.scale(site.output())
        rounding = site.profile.sums(site.op.name)
        fixed = "single" if rounding == "float32" else rounding
        multiplier, shift = convolution_multipliers(input_scale, scales, output_scale, self.channels, fixed)
        real = input_scale * np.broadcast_to(scales.astype(np.float64), (self.channels,)) / output_scale
        return Rescale(multiplier, shift, real, zero_point, activation_bounds(site), rounding)

    @property
    def weight(self) -> nn.Parameter:
        """The latent weights in the file's shape: integers as float32, fractions between training steps."""
        return self.get_parameter(self.weight_name)

    @property
    def bias(self) -> nn.Parameter | None:
        """The latent bias, float64 (channels,)."""
        return None if self.bias_name is None else self.get_parameter(self.bias_name)

    def integer_weight(self) -> Tensor:
        """The weights that the device has, minus their zero point, straight-through."""
        rounded = straight_through_round(self.weight, *self.weight_range)
        return rounded - self.weight_zero_point if self.weight_zero_point else rounded

    def integer_bias(self) -> Tensor | None:
        """The bias that the device has, straight-through."""
        return None if self.bias is None else straight_through_round(self.bias, INT32_MIN, INT32_MAX)

    @torch.no_grad()
    def refresh(self) -> None:
        """Choose the number type in which the sums of the present weights are exact."""
        rows = self.integer_weight().movedim(self.channel_axis, 0).reshape(self.channels, -1)
        bias = self.integer_bias()
        low, high = (float(code - self.input_zero_point) for code in self.input_range)
        biases = np.zeros(self.channels) if bias is None else bias.numpy()
        self.sums = sum_bounds(rows.numpy().astype(np.float64), biases, low, high)
        self.dtype = torch.float32 if self.sums.products < EXACT_IN_FLOAT32 else torch.float64
        self.bias_inside = self.dtype is torch.float64 or self.sums.total < EXACT_IN_FLOAT32
        self.rescale.prepare(self.sums.total)

    def codes(self, products: Tensor, bias: Tensor | None) -> Tensor:
        """Output codes of sums; a bias that float32 cannot take up is added here.

        Args:
            products: (..., channels).
            bias: None where it is in the products already, or absent.
        """
        sums = products if bias is None else products.to(torch.float64) + bias
        codes: Tensor = self.rescale(wrap(sums) if self.sums.wraps else sums)
        return codes
