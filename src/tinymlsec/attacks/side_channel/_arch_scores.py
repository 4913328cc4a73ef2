"""How well a stretch of a trace fits what a kernel would look like: Pearson's correlation, at many places at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def sliding(samples: Samples, template: Samples) -> NDArray[np.float64]:
    """Correlation of a template with every stretch of its length: (samples - template + 1,)."""
    n = len(template)
    if len(samples) < n or n < 2:
        return np.zeros(0)
    centered = (template - template.mean()).astype(np.float32)
    norm = float(np.sqrt(np.sum(centered.astype(np.float64) ** 2)))
    products = _correlated(samples, centered)
    sums = np.cumsum(np.concatenate([[0.0], samples]), dtype=np.float64)
    squares = np.cumsum(np.concatenate([[0.0], samples.astype(np.float64) ** 2]))
    mean = (sums[n:] - sums[:-n]) / n
    spread = np.sqrt(np.maximum(squares[n:] - squares[:-n] - n * mean**2, 0.0))
    usable = (spread > 1e-6 * np.sqrt(n)) & (norm > 0)
    fits: NDArray[np.float64] = np.divide(products, spread * norm, out=np.zeros(len(products)), where=usable)
    return fits


def _correlated(samples: Samples, centered: Samples) -> NDArray[np.float64]:
    places = len(samples) - len(centered) + 1
    if places * len(centered) < 1 << 21:
        return np.correlate(samples, centered, "valid").astype(np.float64)
    size = 1 << int(np.ceil(np.log2(len(samples) + 1)))
    spectrum = np.fft.rfft(samples.astype(np.float64), size) * np.conj(np.fft.rfft(centered.astype(np.float64), size))
    found: NDArray[np.float64] = np.fft.irfft(spectrum, size)[:places]
    return found


def correlation(samples: Samples, template: Samples) -> float:
    """Correlation of two stretches of one length; 0 where either is constant."""
    a = samples - samples.mean(dtype=np.float64)
    b = template - template.mean(dtype=np.float64)
    norm = float(np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b)))
    return float(np.dot(a, b)) / norm if norm > 1e-6 else 0.0
