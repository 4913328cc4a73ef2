"""Ranges of activations over calibration data, observed on the float twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinymlsec.errors import UsageError
from tinymlsec.lift.float_twin import FloatTwin
from tinymlsec.target.space import scale_and_zero_point

Range = tuple[float, float]
BINS = 4096
"""Resolution of the histograms that partial coverage is read from."""
BATCH = 100


@dataclass
class _Seen:
    """What has been seen of one tensor."""

    low: float = float("inf")
    high: float = float("-inf")
    counts: Tensor | None = None

    def extend(self, values: Tensor) -> None:
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def count(self, values: Tensor) -> None:
        """Second pass, once the range is known."""
        counts = torch.histc(values.float(), BINS, self.low, self.high) if self.low < self.high else torch.ones(BINS)
        self.counts = counts if self.counts is None else self.counts + counts

    def covering(self, share: float) -> Range:
        """The range without its outer tails, which hold half of the rest each."""
        assert self.counts is not None
        cumulated = torch.cumsum(self.counts.double(), 0) / self.counts.double().sum()
        tail, width = (1 - share) / 2, (self.high - self.low) / BINS
        first = int(torch.searchsorted(cumulated, tail, right=True))
        last = int(torch.searchsorted(cumulated, 1 - tail))
        return self.low + first * width, self.low + (min(last, BINS - 1) + 1) * width


def real_from_codes(twin: FloatTwin, codes: NDArray[np.generic]) -> Tensor:
    """Codes of the input space in real units, (n, ...) float32."""
    scale, zero_point = scale_and_zero_point(twin.graph.tensors[twin.entry].quantization)
    values = torch.from_numpy(np.asarray(codes, np.float32))
    return (values - zero_point) * scale if scale else values


@torch.no_grad()
def activation_ranges(twin: FloatTwin, codes: NDArray[np.generic], coverage: float = 1.0) -> dict[int, Range]:
    """Range of every computed tensor and of every constant that is used as an activation.

    Args:
        twin: the float twin, in evaluation mode.
        codes: samples in the input's type, (n, *sample shape).
        coverage: share of values within the range; 1 takes minimum and maximum. Tails are cut at both ends alike.

    Raises:
        UsageError: no samples, or a coverage outside of (0.5, 1].
    """
    if len(codes) == 0 or not 0.5 < coverage <= 1.0:
        raise UsageError(
            "calibration is not possible",
            found=f"{len(codes)} samples, coverage {coverage}",
            expected="samples, and a coverage above 0.5 and at most 1",
        )
    seen: dict[int, _Seen] = {}
    x = real_from_codes(twin, codes)
    for rows in torch.split(x, BATCH):
        twin.visit(rows, lambda t, values: seen.setdefault(t, _Seen()).extend(values))
    ranges = {t: (s.low, s.high) for t, s in seen.items()}
    if coverage < 1.0:
        for rows in torch.split(x, BATCH):
            twin.visit(rows, lambda t, values: seen[t].count(values))
        ranges = {t: s.covering(coverage) for t, s in seen.items()}
    constants = {t: (float(v.min()), float(v.max())) for t, v in twin.constants.items() if v.numel()}
    return {**ranges, **constants}
