"""What an oscilloscope makes of a signal: a low-pass, a shift of each trace, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymlsec.traces.traceset import Noise, TraceError


def sigma_for(signal: NDArray[np.float32], at: int, snr: float) -> float:
    """The noise with which the signal-to-noise ratio at one sample is what is asked for.

    Args:
        signal: (n, t) without noise, after the low-pass.
        at: sample.
        snr: variance of the signal there, over all that varies in it, divided by the variance of the noise.

    Raises:
        TraceError: no such sample, or one that does not vary.
    """
    if not 0 <= at < signal.shape[1] or snr <= 0:
        raise TraceError("the sample at which the signal-to-noise ratio is set", found=f"{at}, ratio {snr:g}",
                         expected=f"0 to {signal.shape[1] - 1}, a ratio above 0")  # fmt: skip
    variance = float(signal[:, at].astype(np.float64).var())
    if variance == 0:
        raise TraceError(
            f"sample {at} does not vary, so it has no signal", next_step="name a sample that depends on the input"
        )
    return float(np.sqrt(variance / snr))


def low_passed(signal: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """A moving average over `width` samples, centered; at the ends over those that there are."""
    if width == 1:
        return signal
    left, right = (width - 1) // 2, width // 2
    sums = np.cumsum(np.pad(signal, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    place = np.arange(signal.shape[1])
    low, high = np.maximum(place - left, 0), np.minimum(place + right + 1, signal.shape[1])
    averages: NDArray[np.float32] = ((sums[:, high] - sums[:, low]) / (high - low)).astype(np.float32)
    return averages


def blurred(signal: NDArray[np.float32], noise: Noise, rng: np.random.Generator) -> NDArray[np.float32]:
    """Shifts each trace and adds noise to it. The low-pass is applied before, since the ratio is set after it.

    Args:
        signal: (n, t), low-passed.
        noise: what to do.
        rng: of shifts and noise.
    """
    made = signal
    if noise.jitter:
        shifts = rng.integers(-noise.jitter, noise.jitter + 1, len(signal))
        place = np.arange(signal.shape[1])[None, :] + shifts[:, None]
        made = np.take_along_axis(signal, np.clip(place, 0, signal.shape[1] - 1), axis=1)
    if noise.sigma:
        made = made + np.float32(noise.sigma) * rng.standard_normal(signal.shape, np.float32)
    blurry: NDArray[np.float32] = made.astype(np.float32, copy=False)
    return blurry
