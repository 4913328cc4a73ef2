"""Requantization at the end of a layer: sums to output codes, per channel, exact, as fast as we can prove."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from tinymlsec.lift.arithmetic import requantize
from tinymlsec.target.tflite.requant import Rounding


class Rescale(nn.Module):
    """Sums to codes.

    Args:
        multiplier: int32, one or (channels,).
        shift: as multiplier.
        real: float64, the ratio of scales that the two stand for; scales the gradient.
        zero_point: of the output.
        bounds: smallest and largest code.
        rounding: of the profile.
    """

    def __init__(
        self,
        multiplier: ArrayLike,
        shift: ArrayLike,
        real: ArrayLike,
        zero_point: int,
        bounds: tuple[int, int],
        rounding: Rounding,
    ) -> None:
        super().__init__()
        self.zero_point, self.bounds, self.rounding = zero_point, bounds, rounding
        self.multiplier: Tensor
        self.shift: Tensor
        self.real: Tensor
        for name, values, kind in (
            ("multiplier", multiplier, np.int64),
            ("shift", shift, np.int64),
            ("real", real, np.float32),
        ):
            self.register_buffer(name, torch.from_numpy(np.array(values, dtype=kind)), persistent=False)

    def prepare(self, largest: float) -> None:
        """Sums will not exceed this magnitude."""

    def forward(self, sums: Tensor) -> Tensor:
        """Codes of sums: (..., channels) float32 or float64 holding integers gives float32 of the same shape."""
        return requantize(sums, self.multiplier, self.shift, self.real, self.zero_point, self.bounds, self.rounding)
