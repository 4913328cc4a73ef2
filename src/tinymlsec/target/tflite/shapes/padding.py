"""Operators that enlarge a tensor: paddings, repetition, broadcasting, resizing, dilation."""

from __future__ import annotations

from tinymlsec.target.tflite.shapes.core import Answer, OpView, Shape

REFLECT = 0
"""Number of the mirror mode that leaves out the border."""


def _paddings(view: OpView, rank: int) -> list[tuple[int, int]]:
    pads = view.ints(1, 2 * rank)
    view.require(all(pad >= 0 for pad in pads), "negative padding", found=pads)
    return list(zip(pads[::2], pads[1::2], strict=True))


def pad(view: OpView) -> list[Answer]:
    """PAD, PADV2: input 1 holds (before, after) for each dimension."""
    shape = view.shape(0)
    return [tuple(size + sum(pair) for size, pair in zip(shape, _paddings(view, len(shape)), strict=True))]


def mirror_pad(view: OpView) -> list[Answer]:
    """MIRROR_PAD: as PAD; no more can be mirrored than there is."""
    shape = view.shape(0)
    border = 1 if view.option("mode") == REFLECT else 0
    for size, pair in zip(shape, _paddings(view, len(shape)), strict=True):
        view.require(max(pair) <= max(size - border, 0), "padding to mirror", found=pair, expected=size - border)
    return pad(view)


def tile(view: OpView) -> list[Answer]:
    """TILE: each dimension repeated as often as input 1 says."""
    shape = view.shape(0)
    times = view.ints(1, len(shape))
    view.require(all(t >= 0 for t in times), "negative repetition", found=times)
    return [tuple(size * t for size, t in zip(shape, times, strict=True))]


def broadcast_to(view: OpView) -> list[Answer]:
    """BROADCAST_TO: the shape is input 1, which the input must stretch to."""
    shape, target = view.shape(0), view.checked(view.ints(1), "the target shape")
    fits = len(shape) <= len(target) and view.broadcast(shape, target) == target
    view.require(fits, "the input cannot be broadcast", found=shape, expected=target)
    return [target]


def broadcast_args(view: OpView) -> list[Answer]:
    """BROADCAST_ARGS: two shapes as tensors; the result is as long as the longer one."""
    first, second = view.shape(0, rank=1), view.shape(1, rank=1)
    return [(max(first[0], second[0]),)]


def resize(view: OpView) -> list[Answer]:
    """RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR: height and width are input 1."""
    batch, height, width, depth = view.shape(0, rank=4)
    size = view.ints(1, 2)
    view.require(height >= 1 <= width and min(size) >= 1, "sizes", found=f"{(height, width)} to {size}", expected="1+")
    return [(batch, *size, depth)]


def dilate(view: OpView) -> list[Answer]:
    """DILATE: gaps between the elements of each dimension."""
    shape = view.shape(0)
    steps = view.ints(1, len(shape))
    view.require(all(step >= 1 for step in steps), "dilation", found=steps, expected="1 or more")
    return [tuple((size - 1) * step + 1 if size else 0 for size, step in zip(shape, steps, strict=True))]


def matrix_diag(view: OpView) -> list[Answer]:
    """MATRIX_DIAG: each row becomes the diagonal of a square matrix."""
    shape: Shape = view.shape(0, least=1)
    return [(*shape, shape[-1])]


def matrix_set_diag(view: OpView) -> list[Answer]:
    """MATRIX_SET_DIAG: like the matrices; one diagonal for each."""
    shape, diagonal = view.shape(0, least=2), view.shape(1)
    expected = (*shape[:-2], min(shape[-2:]))
    view.require(diagonal == expected, "shape of the diagonal", found=diagonal, expected=expected)
    return [shape]


def rfft_2d(view: OpView) -> list[Answer]:
    """RFFT2D: the last two dimensions become the spectrum of lengths in input 1."""
    shape, (rows, columns) = view.shape(0, least=2), view.ints(1, 2)
    lengths_ok = all(n >= 1 and n & (n - 1) == 0 for n in (rows, columns))
    view.require(lengths_ok, "lengths of the transform", found=(rows, columns), expected="powers of two")
    return [(*shape[:-2], rows, columns // 2 + 1)]
