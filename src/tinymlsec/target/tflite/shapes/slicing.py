"""Operators that cut a part out of a tensor."""

from __future__ import annotations

from tinymlsec.target.tflite.shapes.core import Answer, OpView, Shape


def slice_(view: OpView) -> list[Answer]:
    """SLICE: a box from input 1 on, of the sizes in input 2; a size of -1 means up to the end."""
    shape = view.shape(0)
    begins, sizes = view.ints(1, len(shape)), view.ints(2, len(shape))
    result = tuple(size if wanted == -1 else wanted for size, wanted in zip(_rests(shape, begins), sizes, strict=True))
    for total, begin, size in zip(shape, begins, result, strict=True):
        fits = min(begin, size) >= 0 and begin + size <= total
        view.require(fits, "the slice leaves its input", found=f"{begin} + {size}", expected=f"within {total}")
    return [result]


def _rests(shape: Shape, begins: Shape) -> Shape:
    return tuple(total - begin for total, begin in zip(shape, begins, strict=True))


def strided_slice(view: OpView) -> list[Answer]:
    """STRIDED_SLICE: Python's slicing with begin, end and step per entry; bit masks change the meaning of entries.

    Bit i of ``begin_mask`` and ``end_mask`` leaves that bound open, of ``shrink_axis_mask`` takes one element and drops
    the dimension, of ``new_axis_mask`` inserts a dimension of 1, of ``ellipsis_mask`` stands for all dimensions that
    no other entry names. With ``offset``, end counts from begin.
    """
    shape = view.shape(0)
    begins = view.ints(1)
    ends, strides = view.ints(2, len(begins)), view.ints(3, len(begins))
    masks = {
        name: view.option(f"{name}_mask") & 0xFFFFFFFF
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    view.require(masks["ellipsis"].bit_count() <= 1, "more than one ellipsis", found=bin(masks["ellipsis"]))
    if view.option("offset"):
        ends = tuple(begin + end for begin, end in zip(begins, ends, strict=True))
    named = sum(not (masks["new_axis"] | masks["ellipsis"]) >> i & 1 for i in range(len(begins)))
    view.require(named <= len(shape), "entries for dimensions", found=named, expected=f"at most {len(shape)}")
    return [_walk(view, shape, list(zip(begins, ends, strides, strict=True)), masks, len(shape) - named)]


def _walk(
    view: OpView, shape: Shape, entries: list[tuple[int, int, int]], masks: dict[str, int], unnamed: int
) -> Shape:
    result: list[int] = []
    axis = 0
    for i, (begin, end, stride) in enumerate(entries):
        if masks["ellipsis"] >> i & 1:
            result += shape[axis : axis + unnamed]
            axis += unnamed
        elif masks["new_axis"] >> i & 1:
            result.append(1)
        elif masks["shrink_axis"] >> i & 1:
            view.axis(begin if not masks["begin"] >> i & 1 else 0, shape[axis], f"entry {i}")
            axis += 1
        else:
            view.require(stride != 0, f"stride of entry {i}", found=0, expected="not 0")
            bounds = slice(None if masks["begin"] >> i & 1 else begin, None if masks["end"] >> i & 1 else end, stride)
            result.append(len(range(*bounds.indices(shape[axis]))))
            axis += 1
    return (*result, *shape[axis:])


def gather(view: OpView) -> list[Answer]:
    """GATHER: the axis is replaced by the dimensions of the indices; leading batch dimensions are shared."""
    shape, indices = view.shape(0, least=1), view.shape(1)
    axis = view.axis(view.option("axis"), len(shape))
    batch = view.option("batch_dims")
    batch = batch + len(indices) if batch < 0 else batch
    view.require(0 <= batch <= min(axis, len(indices)), "batch_dims", found=batch, expected=f"0 to {axis}")
    view.require(shape[:batch] == indices[:batch], "batch dimensions", found=indices[:batch], expected=shape[:batch])
    return [(*shape[:axis], *indices[batch:], *shape[axis + 1 :])]


def gather_nd(view: OpView) -> list[Answer]:
    """GATHER_ND: the last dimension of the indices names leading dimensions of the values."""
    shape, indices = view.shape(0, least=1), view.shape(1, least=1)
    view.require(indices[-1] <= len(shape), "length of an index", found=indices[-1], expected=f"at most {len(shape)}")
    return [(*indices[:-1], *shape[indices[-1] :])]


def scatter_nd(view: OpView) -> list[Answer]:
    """SCATTER_ND: the shape is input 2; updates have the shape that GATHER_ND would give."""
    indices, updates, shape = view.shape(0, least=1), view.shape(1), view.ints(2)
    view.require(indices[-1] <= len(shape), "length of an index", found=indices[-1], expected=f"at most {len(shape)}")
    expected = (*indices[:-1], *shape[indices[-1] :])
    view.require(updates == expected, "shape of the updates", found=updates, expected=expected)
    return [shape]


def embedding_lookup(view: OpView) -> list[Answer]:
    """EMBEDDING_LOOKUP: rows of input 1 by the numbers in input 0."""
    (count,), values = view.shape(0, rank=1), view.shape(1, least=2)
    view.require(values[0] >= 1, "a table without rows", found=values)
    return [(count, *values[1:])]


def embedding_lookup_sparse(view: OpView) -> list[Answer]:
    """EMBEDDING_LOOKUP_SPARSE: ids, their positions, the dense shape, weights, table."""
    (count,), (positions, rank) = view.shape(0, rank=1), view.shape(1, rank=2)
    view.require(positions == count, "one position per id", found=positions, expected=count)
    table, dense = view.shape(4, least=2), view.ints(2, rank)
    view.require(rank >= 1 and table[0] >= 1, "positions and table without elements", found=(rank, table))
    return [(*dense[:-1], *table[1:])]


def hashtable_lookup(view: OpView) -> list[Answer]:
    """HASHTABLE_LOOKUP: rows of the values by key, and which keys were found."""
    (count,), (keys,), values = view.shape(0, rank=1), view.shape(1, rank=1), view.shape(2, least=1)
    view.require(values[0] == keys >= 1, "rows of the values", found=values[0], expected=f"{keys} keys, at least 1")
    return [(count, *values[1:]), (count,)]
