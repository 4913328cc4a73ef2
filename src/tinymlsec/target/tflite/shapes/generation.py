"""Operators whose output is made from shapes, sizes and scalars rather than from a tensor's elements."""

from __future__ import annotations

import math

from tinymlsec.target.tflite.shapes.core import MAX_ELEMENTS, Answer, OpView


def shape_of(view: OpView) -> list[Answer]:
    """SHAPE: one number per dimension."""
    return [(len(view.shape(0)),)]


def rank_of(view: OpView) -> list[Answer]:
    """RANK: a scalar."""
    view.shape(0)
    return [()]


def from_first_input(view: OpView) -> list[Answer]:
    """FILL, RANDOM_UNIFORM, RANDOM_STANDARD_NORMAL: the shape is input 0."""
    return [view.ints(0)]


def sparse_to_dense(view: OpView) -> list[Answer]:
    """SPARSE_TO_DENSE: the shape is input 1."""
    view.require(len(view.shape(0)) <= 2, "rank of the indices", found=view.shape(0), expected="at most 2")
    return [view.ints(1)]


def multinomial(view: OpView) -> list[Answer]:
    """MULTINOMIAL: as many draws for each row as input 1 says."""
    (batch, _), draws = view.shape(0, rank=2), view.int_value(1)
    view.require(draws >= 0, "number of draws", found=draws, expected="0 or more")
    return [(batch, draws)]


def one_hot(view: OpView) -> list[Answer]:
    """ONE_HOT: a dimension of the depth in input 1 appears at the axis (-1: last)."""
    shape, depth = view.shape(0), view.int_value(1)
    view.require(depth >= 0, "depth", found=depth, expected="0 or more")
    axis = view.axis(view.option("axis"), len(shape) + 1)
    return [(*shape[:axis], depth, *shape[axis:])]


def range_(view: OpView) -> list[Answer]:
    """RANGE: from input 0 up to, and without, input 1 in steps of input 2."""
    scalars = [view.values(position) for position in range(3)]
    view.require(all(s.size == 1 and s.dtype.kind in "iuf" for s in scalars), "start, limit and step are scalars")
    start, limit, step = (s.item() for s in scalars)
    finite = all(math.isfinite(value) for value in (start, limit, step))
    view.require(finite and step != 0, "start, limit and step", found=(start, limit, step), expected="step not 0")
    view.require(not (limit - start) * step < 0, "the step leads away from the limit", found=(start, limit, step))
    if all(isinstance(value, int) for value in (start, limit, step)):
        return [(-((start - limit) // step),)]
    steps = (limit - start) / step
    view.require(steps <= MAX_ELEMENTS, "number of steps", found=steps, expected=f"at most {MAX_ELEMENTS}")
    return [(math.ceil(steps),)]


def where(view: OpView) -> list[Answer]:
    """WHERE: one row per true element, so the number of rows is known at run time only."""
    view.shape(0)
    return [f"depends on run-time values of tensor {view.tensor(0).index}"]


def lsh_projection(view: OpView) -> list[Answer]:
    """LSH_PROJECTION: input 0 holds the hash functions; sparse gives one number each, dense one a bit."""
    hashes, bits = view.shape(0, rank=2)
    view.require(view.shape(1, least=1)[0] >= 1, "an input without elements", found=view.shape(1))
    kind = view.option("type")
    view.require(kind in (1, 2), "option type", found=kind, expected="1 (SPARSE) or 2 (DENSE)")
    return [(hashes,) if kind == 1 else (hashes * bits,)]
