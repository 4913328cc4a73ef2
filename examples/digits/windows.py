"""Sliding windows with TensorFlow's SAME padding: the step that turns a convolution into a matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Rows before and after one dimension of `size`, so that the output has ceil(size / stride) rows.

    Where the sum is odd, the extra row comes last, as TensorFlow and the device have it.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Array, kernel: int, stride: int, value: float = 0) -> Array:
    """x (n, height, width, channels) with SAME padding of `value` around each image."""
    rows, columns = (same_padding(x.shape[axis], kernel, stride) for axis in (1, 2))
    return np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=value)


def windows(padded: Array, kernel: int, stride: int) -> Array:
    """View of every window: (n, out height, out width, kernel, kernel, channels)."""
    view = sliding_window_view(padded, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    return view.transpose(0, 1, 2, 4, 5, 3)


def scatter(gradient: Array, shape: tuple[int, ...], kernel: int, stride: int) -> Array:
    """Adjoint of `pad_same` followed by `windows`.

    Args:
        gradient: (n, out height, out width, kernel, kernel, channels).
        shape: shape of the images before padding.
        kernel: height and width of a window.
        stride: step between windows.

    Returns:
        The gradient for the images, of `shape`.
    """
    (top, bottom), (left, right) = (same_padding(size, kernel, stride) for size in shape[1:3])
    total = np.zeros((shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3]), gradient.dtype)
    height, width = gradient.shape[1:3]
    for row in range(kernel):
        for column in range(kernel):
            rows = slice(row, row + stride * height, stride)
            columns = slice(column, column + stride * width, stride)
            total[:, rows, columns] += gradient[:, :, :, row, column]
    return total[:, top : top + shape[1], left : left + shape[2]]
