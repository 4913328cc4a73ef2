"""Convolutions, pooling and fully connected layers."""

from __future__ import annotations

from math import prod

from tinymlsec.target.tflite.shapes.core import Answer, OpView, Shape

SAME, VALID = 0, 1
"""Numbers of the padding schemes in the schema."""


def window_output(view: OpView, size: int, window: int, stride: int, dilation: int = 1) -> int:
    """Positions of a window along one dimension, by the operator's padding scheme.

    Args:
        view: the operator; its option ``padding`` decides.
        size: input size.
        window: window size.
        stride: 1 or more.
        dilation: 1 or more.
    """
    padding = view.option("padding")
    view.require(padding in (SAME, VALID), "option padding", found=padding, expected="0 (SAME) or 1 (VALID)")
    view.require(size >= 1 and window >= 1, "input and window of size 0", found=f"input {size}, window {window}")
    if padding == SAME:
        return -(-size // stride)
    effective = (window - 1) * dilation + 1
    view.require(effective <= size, "the window is larger than its input", found=f"{effective} over {size}")
    return (size - effective) // stride + 1


def _strides(view: OpView, axes: str) -> list[tuple[int, int]]:
    """(stride, dilation) for the axes named by their letters: d, h, w."""
    return [(view.at_least_one(f"stride_{a}"), view.at_least_one(f"dilation_{a}_factor")) for a in axes]


def _windows(view: OpView, sizes: Shape, kernel: Shape, axes: str) -> Shape:
    return tuple(
        window_output(view, size, window, stride, dilation)
        for size, window, (stride, dilation) in zip(sizes, kernel, _strides(view, axes), strict=True)
    )


def _check_bias(view: OpView, position: int, channels: int) -> None:
    if view.has(position):
        length = prod(view.shape(position))
        view.require(length == channels, "length of the bias", found=length, expected=f"{channels} output channels")


def conv_2d(view: OpView) -> list[Answer]:
    """CONV_2D: input NHWC, filter (out, kh, kw, in / groups)."""
    (batch, *sizes, depth), (channels, *kernel, filter_depth) = view.shape(0, rank=4), view.shape(1, rank=4)
    view.require(filter_depth >= 1, "the filter has no input channels", found=view.shape(1))
    groups, rest = divmod(depth, filter_depth)
    view.require(groups >= 1 and rest == 0, "input channels", found=depth, expected=f"a multiple of {filter_depth}")
    view.require(channels >= 1 and channels % groups == 0, "output channels", found=channels, expected=f"x {groups}")
    _check_bias(view, 2, channels)
    return [(batch, *_windows(view, tuple(sizes), tuple(kernel), "hw"), channels)]


def depthwise_conv_2d(view: OpView) -> list[Answer]:
    """DEPTHWISE_CONV_2D: input NHWC, filter (1, kh, kw, out) with out a multiple of the input's channels."""
    (batch, *sizes, depth), (one, *kernel, channels) = view.shape(0, rank=4), view.shape(1, rank=4)
    view.require(one == 1, "first dimension of a depthwise filter", found=one, expected=1)
    fits = depth >= 1 and channels >= 1 and channels % depth == 0
    view.require(fits, "output channels", found=channels, expected=f"a multiple of {depth} input channels")
    _check_bias(view, 2, channels)
    return [(batch, *_windows(view, tuple(sizes), tuple(kernel), "hw"), channels)]


def conv_3d(view: OpView) -> list[Answer]:
    """CONV_3D: input NDHWC, filter (kd, kh, kw, in, out)."""
    (batch, *sizes, depth), (*kernel, filter_depth, channels) = view.shape(0, rank=5), view.shape(1, rank=5)
    view.require(depth == filter_depth >= 1, "input channels", found=depth, expected=filter_depth)
    _check_bias(view, 2, channels)
    return [(batch, *_windows(view, tuple(sizes), tuple(kernel), "dhw"), channels)]


def transpose_conv(view: OpView) -> list[Answer]:
    """TRANSPOSE_CONV: inputs are the output shape, filter (out, kh, kw, in), values NHWC."""
    (channels, *_, filter_depth), (batch, *_, depth) = view.shape(1, rank=4), view.shape(2, rank=4)
    return _transposed(view, 4, "hw", (channels, filter_depth), (batch, depth))


def conv_3d_transpose(view: OpView) -> list[Answer]:
    """CONV_3D_TRANSPOSE: inputs are the output shape, filter (kd, kh, kw, out, in), values NDHWC."""
    (*_, channels, filter_depth), (batch, *_, depth) = view.shape(1, rank=5), view.shape(2, rank=5)
    for axis in "dhw":
        view.at_least_one(f"dilation_{axis}_factor")
    return _transposed(view, 5, "dhw", (channels, filter_depth), (batch, depth))


def _transposed(view: OpView, rank: int, axes: str, filter_: tuple[int, int], values: tuple[int, int]) -> list[Answer]:
    for axis in axes:
        view.at_least_one(f"stride_{axis}")
    (channels, filter_depth), (batch, depth) = filter_, values
    view.require(depth == filter_depth >= 1, "input channels", found=depth, expected=filter_depth)
    _check_bias(view, 3, channels)
    shape = view.ints(0, rank)
    view.require(shape[0] == batch, "batch of the output", found=shape[0], expected=batch)
    view.require(shape[-1] == channels, "channels of the output", found=shape[-1], expected=channels)
    return [shape]


def pool_2d(view: OpView) -> list[Answer]:
    """AVERAGE_POOL_2D, MAX_POOL_2D, L2_POOL_2D: input NHWC."""
    batch, height, width, depth = view.shape(0, rank=4)
    rows = window_output(view, height, view.at_least_one("filter_height"), view.at_least_one("stride_h"))
    columns = window_output(view, width, view.at_least_one("filter_width"), view.at_least_one("stride_w"))
    return [(batch, rows, columns, depth)]


def fully_connected(view: OpView) -> list[Answer]:
    """FULLY_CONNECTED: weights (units, depth); the input is flattened unless ``keep_num_dims`` is set."""
    shape, (units, depth) = view.shape(0), view.shape(1, rank=2)
    view.require(units >= 1 and depth >= 1, "weights without elements", found=(units, depth))
    _check_bias(view, 2, units)
    if view.option("keep_num_dims"):
        view.require(shape[-1:] == (depth,), "last dimension of the input", found=shape, expected=depth)
        return [(*shape[:-1], units)]
    rows, rest = divmod(prod(shape), depth)
    view.require(rest == 0, "elements of the input", found=shape, expected=f"a multiple of {depth}")
    return [(rows, units)]


def batch_matmul(view: OpView) -> list[Answer]:
    """BATCH_MATMUL: matrices in the last two dimensions, the others broadcast."""
    left, right = view.shape(0, least=2), view.shape(1, least=2)
    rows, inner = left[:-3:-1] if view.option("adj_x") else left[-2:]
    other, columns = right[:-3:-1] if view.option("adj_y") else right[-2:]
    view.require(inner == other, "inner dimensions of the product", found=f"{inner} and {other}", expected="equal")
    return [(*view.broadcast(left[:-2], right[:-2]), rows, columns)]
