"""Operators that join tensors or take them apart along an axis."""

from __future__ import annotations

from tinymlsec.target.tflite.shapes.core import Answer, OpView, Shape


def _input_shapes(view: OpView) -> list[Shape]:
    view.require(len(view.op.inputs) >= 1, "at least one input", found=0)
    return [view.shape(position) for position in range(len(view.op.inputs))]


def concatenation(view: OpView) -> list[Answer]:
    """CONCATENATION: sizes along the axis add up, all others are equal."""
    first, *others = _input_shapes(view)
    axis = view.axis(view.option("axis"), len(first))
    total = first[axis]
    for shape in others:
        rest = shape[:axis] + shape[axis + 1 :]
        fits = len(shape) == len(first) and rest == first[:axis] + first[axis + 1 :]
        view.require(fits, "shapes differ beside the axis", found=shape, expected=f"{first} but for axis {axis}")
        total += shape[axis]
    return [(*first[:axis], total, *first[axis + 1 :])]


def pack(view: OpView) -> list[Answer]:
    """PACK: tensors of one shape are stacked along a new axis."""
    first, *others = _input_shapes(view)
    count = len(others) + 1
    view.require(
        view.option("values_count") == count, "values_count", found=view.option("values_count"), expected=count
    )
    view.require(all(shape == first for shape in others), "inputs of one shape", found=others[:8], expected=first)
    axis = view.axis(view.option("axis"), len(first) + 1)
    return [(*first[:axis], count, *first[axis:])]


def unpack(view: OpView) -> list[Answer]:
    """UNPACK: one output per entry of the axis, which vanishes."""
    shape, count = view.shape(0, least=1), view.option("num")
    axis = view.axis(view.option("axis"), len(shape))
    view.require(shape[axis] == count, "num", found=count, expected=shape[axis])
    _count_outputs(view, count)
    return [shape[:axis] + shape[axis + 1 :]] * count


def split(view: OpView) -> list[Answer]:
    """SPLIT: equal parts along the axis of input 0; the values are input 1."""
    shape, count = view.shape(1), view.at_least_one("num_splits")
    axis = view.axis(view.int_value(0), len(shape))
    size, rest = divmod(shape[axis], count)
    view.require(rest == 0, "size along the axis", found=shape[axis], expected=f"a multiple of {count}")
    _count_outputs(view, count)
    return [(*shape[:axis], size, *shape[axis + 1 :])] * count


def split_v(view: OpView) -> list[Answer]:
    """SPLIT_V: parts of the sizes in input 1 along the axis of input 2; one size may be -1."""
    shape, sizes = view.shape(0), list(view.ints(1))
    axis = view.axis(view.int_value(2), len(shape))
    count = view.at_least_one("num_splits")
    view.require(len(sizes) == count, "number of sizes", found=len(sizes), expected=count)
    view.require(min(sizes) >= -1 and sizes.count(-1) <= 1, "sizes of the parts", found=sizes)
    if -1 in sizes:
        sizes[sizes.index(-1)] = max(shape[axis] - sum(sizes) - 1, 0)
    view.require(sum(sizes) == shape[axis], "sum of the sizes", found=sum(sizes), expected=shape[axis])
    _count_outputs(view, count)
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _count_outputs(view: OpView, count: int) -> None:
    """Before a list of `count` shapes is made: the number comes from the file."""
    outputs = len(view.op.outputs)
    view.require(outputs == count, "number of outputs", found=outputs, expected=count)
