"""Operators that take one value out of many: reductions, extrema, segments, the largest k."""

from __future__ import annotations

from tinymlsec.target.tflite.shapes.core import Answer, OpView, Shape


def reduce(view: OpView) -> list[Answer]:
    """SUM, MEAN, REDUCE_*: the axes of input 1 vanish, or become 1 with ``keep_dims``."""
    shape = view.shape(0)
    axes = {view.axis(axis, len(shape)) for axis in view.ints(1)}
    if view.option("keep_dims"):
        return [tuple(1 if axis in axes else size for axis, size in enumerate(shape))]
    return [tuple(size for axis, size in enumerate(shape) if axis not in axes)]


def arg_extremum(view: OpView) -> list[Answer]:
    """ARG_MAX, ARG_MIN: the axis vanishes."""
    shape = view.shape(0, least=1)
    axis = view.axis(view.int_value(1), len(shape))
    view.require(shape[axis] >= 1, "the axis has no elements", found=shape)
    return [shape[:axis] + shape[axis + 1 :]]


def top_k(view: OpView) -> list[Answer]:
    """TOPK_V2: values and indices of the k largest along the last dimension."""
    shape, k = view.shape(0, least=1), view.int_value(1)
    view.require(0 <= k <= shape[-1], "k", found=k, expected=f"0 to {shape[-1]}")
    return [(*shape[:-1], k)] * 2


def segment_sum(view: OpView) -> list[Answer]:
    """SEGMENT_SUM: one row per segment; the segment numbers are sorted and not negative."""
    shape, ids = view.shape(0, least=1), view.ints(1)
    view.require(len(ids) == shape[0], "length of the segment numbers", found=len(ids), expected=shape[0])
    view.require(all(i >= 0 for i in ids), "negative segment number", found=min(ids, default=0))
    view.require(list(ids) == sorted(ids), "segment numbers are not sorted", found=ids[:8])
    return [(ids[-1] + 1 if ids else 0, *shape[1:])]


def unsorted_segment(view: OpView) -> list[Answer]:
    """UNSORTED_SEGMENT_*: as many rows as input 2 says; the segment numbers cover the leading dimensions."""
    shape, ids, count = view.shape(0), view.shape(1), view.int_value(2)
    view.require(shape[: len(ids)] == ids, "shape of the segment numbers", found=ids, expected=f"start of {shape}")
    view.require(count >= 0, "number of segments", found=count, expected="0 or more")
    return [(count, *shape[len(ids) :])]


def non_max_suppression_v4(view: OpView) -> list[Answer]:
    """NON_MAX_SUPPRESSION_V4: chosen boxes, padded to input 2, and their number."""
    return [(_boxes(view),), ()]


def non_max_suppression_v5(view: OpView) -> list[Answer]:
    """NON_MAX_SUPPRESSION_V5: chosen boxes and their scores, padded to input 2, and their number."""
    boxes = _boxes(view)
    return [(boxes,), (boxes,), ()]


def _boxes(view: OpView) -> int:
    boxes, scores = view.shape(0, rank=2), view.shape(1, rank=1)
    view.require(boxes == (scores[0], 4), "boxes", found=boxes, expected=(scores[0], 4))
    count = view.int_value(2)
    view.require(count >= 0, "number of boxes", found=count, expected="0 or more")
    return count


def unique(view: OpView) -> list[Answer]:
    """UNIQUE: how many values differ is known at run time only; the indices are shaped like the input."""
    shape: Shape = view.shape(0, rank=1)
    return [f"depends on run-time values of tensor {view.tensor(0).index}", shape]
