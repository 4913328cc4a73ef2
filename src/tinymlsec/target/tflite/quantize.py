"""Real numbers to integers and back, and quantization parameters for a range of real numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES


def range_parameters(low: float, high: float, dtype: str = "int8") -> tuple[float, int]:
    """Scale and zero point with which an integer type covers a real range; zero stays exact.

    Args:
        low: smallest real value.
        high: largest real value.
        dtype: int8, uint8 or int16.

    Returns:
        scale (a single-precision value) and zero point.
    """
    smallest, largest = INTEGER_RANGES[dtype]
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max((high - low) / (largest - smallest), 1e-30)))
    zero_point = round(smallest - low / scale)
    return scale, min(max(zero_point, smallest), largest)


def quantize_symmetric(weights: ArrayLike, axis: int | None = None) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as int8 in [-127, 127] with zero point 0.

    Args:
        weights: real numbers, any shape.
        axis: dimension with a scale per slice; None for one scale.

    Returns:
        The integers, same shape, and the scales, (slices,) or (1,).
    """
    values = np.asarray(weights, dtype=np.float64)
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    largest = np.max(np.abs(values), axis=others, keepdims=True)
    scales = np.maximum(largest / 127.0, 1e-30).astype(np.float32)
    quantized = np.clip(np.rint(values / scales.astype(np.float64)), -127, 127).astype(np.int8)
    return quantized, scales.reshape(-1)
