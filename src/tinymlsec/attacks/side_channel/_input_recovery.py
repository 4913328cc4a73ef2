"""Inputs of one layer from its simulated traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._input_bench import InputBench
from tinymlsec.attacks.side_channel._input_decode import Decoded, Decoder, Rest
from tinymlsec.attacks.side_channel._input_layer import FirstLayer
from tinymlsec.attacks.side_channel._input_plan import Plan
from tinymlsec.errors import CapabilityMissing

if TYPE_CHECKING:
    from tinymlsec.emulate.leakage import Leakage
    from tinymlsec.emulate.twin import Twin


PAIRED = 4
"""So many times the paths are kept where values are added in pairs: of the first one little is heard by itself."""


@dataclass(frozen=True)
class Noisy:
    """How noisy the traces are.

    Args:
        snr: ratio at the last sum of a window inside of the image, over random inputs.
        traces: of the same inference, which are averaged: that is one trace with the noise divided by their root.
    """

    snr: float
    traces: int = 1

    def sigma(self, variance: float) -> float:
        """Of the averaged trace."""
        return float(np.sqrt(variance / self.snr / self.traces))


class Recovery:
    """Profiles a layer, measures secret inputs and recovers them. A context manager.

    Args:
        twin: the firmware.
        layer: its first.
        leakage: what the probe sees.
        channels: that are used, at most.
        beam: paths that are kept.
        rng: of the choice of channels and of known inputs.

    Raises:
        CapabilityMissing: no sample speaks of the input in a way that is understood.
    """

    def __init__(
        self, twin: Twin, layer: FirstLayer, leakage: Leakage, channels: int, beam: int, rng: np.random.Generator
    ) -> None:
        self.layer = layer
        self.bench = InputBench(twin, layer, leakage, channels, rng)
        try:
            self.plan = Plan(layer, self.bench.shapes)
            if not (self.plan.values or self.plan.sums or self.plan.packed):
                raise CapabilityMissing(
                    "no sample of the first layer speaks of its input in a way that is understood",
                    found=f"{leakage.words}, {self.bench.style} kernels on {twin.core.title}",
                )
            paired = any(len(group) > 1 for shape in self.bench.shapes for group in shape.groups)
            self.decoder = Decoder(self.plan, beam * (PAIRED if paired else 1))
        except BaseException:
            self.bench.__exit__()
            raise

    def __enter__(self) -> Recovery:
        return self

    def __exit__(self, *_: object) -> None:
        self.bench.__exit__()

    def measured(self, secret: NDArray[np.int64]) -> Rest:
        """What an input gives away, without noise."""
        return self.bench.traces(secret.astype(np.int8))

    def silenced(self) -> Rest:
        """The same of a device whose signal is constant: the mean over random inputs."""
        several = [self.bench.traces(self.bench.random(1)[0]) for _ in range(8)]
        return [np.broadcast_to(np.mean(parts, axis=(0, 1, 2)), parts[0].shape).astype(np.float32)
                for parts in zip(*several, strict=True)]  # fmt: skip

    def recover(
        self, clean: Rest, noisy: Noisy, prior: NDArray[np.float64], rng: np.random.Generator
    ) -> Decoded:  # fmt: skip
        """The most likely input.

        Args:
            clean: from `measured`.
            noisy: noise.
            prior: log-probabilities of codes.
            rng: of the noise.
        """
        sigma = noisy.sigma(self.bench.named)
        rest = [part + np.float32(sigma) * rng.standard_normal(part.shape, np.float32) for part in clean]
        return self.decoder.decode(rest, sigma, prior)
