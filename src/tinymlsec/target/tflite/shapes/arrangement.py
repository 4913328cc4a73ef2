"""Operators that keep all elements and change how they are arranged."""

from __future__ import annotations

from math import prod

from tinymlsec.target.tflite.shapes.core import Answer, OpView, RunTimeShape, Shape


def reshape(view: OpView) -> list[Answer]:
    """RESHAPE: the shape of input 1, or of the option ``new_shape`` where that input is absent; one entry may be -1."""
    shape = view.shape(0)
    wanted = view.ints(1) if view.has(1) else view.option_ints("new_shape")
    if wanted is None:
        raise RunTimeShape("the file gives no shape")
    if wanted == (0,) and prod(shape) == 1:
        wanted = ()  # how old converters wrote a scalar
    return [_fill_in(view, shape, wanted)]


def _fill_in(view: OpView, shape: Shape, wanted: Shape) -> Shape:
    elements, free = prod(shape), [axis for axis, size in enumerate(wanted) if size == -1]
    view.require(len(free) <= 1, "more than one dimension of -1", found=wanted)
    known = prod(size for size in wanted if size != -1)
    view.require(all(size >= -1 for size in wanted), "negative dimension", found=wanted)
    if not free:
        view.require(known == elements, "number of elements", found=wanted, expected=f"{elements} elements")
        return wanted
    view.require(known >= 1, "a dimension of 0 beside one of -1", found=wanted)
    view.require(elements % known == 0, "number of elements", found=wanted, expected=f"{elements} elements")
    return tuple(elements // known if size == -1 else size for size in wanted)


def squeeze(view: OpView) -> list[Answer]:
    """SQUEEZE: the named dimensions, all of them 1, vanish; without names every 1 does."""
    shape = view.shape(0)
    names = view.option_ints("squeeze_dims")
    axes = {view.axis(axis, len(shape)) for axis in names} if names else {a for a, d in enumerate(shape) if d == 1}
    view.require(all(shape[axis] == 1 for axis in axes), "squeezed dimensions of size 1", found=shape)
    return [tuple(size for axis, size in enumerate(shape) if axis not in axes)]


def expand_dims(view: OpView) -> list[Answer]:
    """EXPAND_DIMS: a dimension of 1 appears at the axis."""
    shape = view.shape(0)
    axis = view.axis(view.int_value(1), len(shape) + 1)
    return [(*shape[:axis], 1, *shape[axis:])]


def transpose(view: OpView) -> list[Answer]:
    """TRANSPOSE: dimensions in the order of input 1."""
    shape = view.shape(0)
    order = [view.axis(axis, len(shape)) for axis in view.ints(1, len(shape))]
    view.require(sorted(order) == list(range(len(shape))), "a permutation of the axes", found=order)
    return [tuple(shape[axis] for axis in order)]


def space_to_depth(view: OpView) -> list[Answer]:
    """SPACE_TO_DEPTH: blocks of height and width move into the channels."""
    batch, height, width, depth = view.shape(0, rank=4)
    block = view.at_least_one("block_size")
    view.require(height % block == 0 == width % block, "height and width", found=(height, width), expected=f"x {block}")
    return [(batch, height // block, width // block, depth * block * block)]


def depth_to_space(view: OpView) -> list[Answer]:
    """DEPTH_TO_SPACE: channels move into blocks of height and width."""
    batch, height, width, depth = view.shape(0, rank=4)
    block = view.at_least_one("block_size")
    view.require(depth % (block * block) == 0, "channels", found=depth, expected=f"a multiple of {block * block}")
    return [(batch, height * block, width * block, depth // (block * block))]


def space_to_batch_nd(view: OpView) -> list[Answer]:
    """SPACE_TO_BATCH_ND: padded blocks of the leading spatial dimensions move into the batch."""
    (batch, *sizes), blocks, pairs = _blocks(view)
    padded = [size + before + after for size, (before, after) in zip(sizes, pairs, strict=False)]
    for size, block in zip(padded, blocks, strict=True):
        view.require(size % block == 0, "padded size", found=size, expected=f"a multiple of {block}")
    spatial = [size // block for size, block in zip(padded, blocks, strict=True)]
    return [(batch * prod(blocks), *spatial, *sizes[len(blocks) :])]


def batch_to_space_nd(view: OpView) -> list[Answer]:
    """BATCH_TO_SPACE_ND: the reverse, cropped."""
    (batch, *sizes), blocks, pairs = _blocks(view)
    rest = batch % prod(blocks)
    view.require(rest == 0, "batch", found=batch, expected=f"a multiple of {prod(blocks)}")
    spatial = [size * block - a - b for size, block, (a, b) in zip(sizes, blocks, pairs, strict=False)]
    view.require(all(size >= 0 for size in spatial), "cropped sizes", found=spatial, expected="0 or more")
    return [(batch // prod(blocks), *spatial, *sizes[len(blocks) :])]


def _blocks(view: OpView) -> tuple[Shape, Shape, list[tuple[int, int]]]:
    shape, blocks = view.shape(0, least=2), view.ints(1)
    view.require(len(blocks) < len(shape), "number of blocks", found=len(blocks), expected=f"below {len(shape)}")
    view.require(all(block >= 1 for block in blocks), "block sizes", found=blocks, expected="1 or more")
    pairs = view.ints(2, 2 * len(blocks))
    view.require(all(pad >= 0 for pad in pairs), "paddings and crops", found=pairs, expected="0 or more")
    return shape, blocks, list(zip(pairs[::2], pairs[1::2], strict=True))
