"""Random one-operator models for the operators that move values without computing: shapes, joins, slices.

Each generator makes a model with one input for a type of the row, with everything else drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lift.conformance.drawing import Rng, codes, scale, zero_point
from lift.conformance.harness import Setting, setting
from tinymlsec.lift.ops import support_table
from tinymlsec.target.tflite.builder import GraphBuilder, TensorSpec
from tinymlsec.target.tflite.graph import Subgraph

CODES = ("int8", "uint8", "int16")


def some_shape(rng: Rng, rank: int, low: int = 1, high: int = 5) -> tuple[int, ...]:
    """Sizes of that many dimensions, the first one 1 in half of the cases as in real files."""
    sizes = rng.integers(low, high + 1, rank).tolist()
    return (1, *sizes[1:]) if rank and low <= 1 and rng.integers(2) else tuple(sizes)


def quantization(rng: Rng, kind: str) -> dict[str, Any]:
    """Scale and zero point that suit a type; none for real numbers and int32."""
    if kind not in CODES:
        return {}
    return {"scale": scale(rng), "zero_point": 0 if kind == "int16" else zero_point(rng, kind)}


def start(rng: Rng, kind: str, shape: tuple[int, ...]) -> tuple[GraphBuilder, int]:
    """A builder with its input."""
    builder = GraphBuilder()
    return builder, builder.input(shape, kind, **quantization(rng, kind))


def finish(builder: GraphBuilder, output: int, **more: Any) -> Setting:
    """A setting with this output, described by its operators and shapes."""
    builder.output(output)
    graph = builder.snapshot()
    note = "; ".join(f"{op.name} {dict(op.options)} to {_shapes(graph, op.outputs)}" for op in graph.operators)
    return setting(builder, f"{graph.tensors[graph.inputs[0]].shape}: {note}", **more)


def _shapes(graph: Subgraph, tensors: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [graph.tensors[index].shape for index in tensors]


def constant_like(rng: Rng, builder: GraphBuilder, tensor: int, shape: tuple[int, ...]) -> int:
    """A constant of a tensor's type and quantization."""
    like = builder.snapshot().tensors[tensor]
    values = values_of(rng, like.dtype, shape)
    q = like.quantization
    return builder.constant(values) if q is None else builder.constant(values, q.scale, q.zero_point)


def values_of(rng: Rng, kind: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Random values of a type."""
    if kind in CODES:
        return codes(rng, shape, kind)
    return rng.normal(0, 3, shape).astype(kind) if kind == "float32" else rng.integers(-(2**31), 2**31, shape, np.int32)


def reshape(rng: Rng, kind: str) -> Setting:
    """New shape as a constant, as an option, with -1, or computed from the shape of the input."""
    shape = some_shape(rng, int(rng.integers(1, 6)))
    builder, x = start(rng, kind, shape)
    rows = int(rng.choice([d for d in range(1, 7) if int(np.prod(shape)) % d == 0]))
    target = (rows, int(np.prod(shape)) // rows)
    way = rng.integers(4)
    if way == 0:
        return finish(builder, builder.op("RESHAPE", [x, builder.ints(*target)]))
    if way == 1:
        return finish(builder, builder.op("RESHAPE", [x], target, options={"new_shape": target}))
    if way == 2:
        return finish(builder, builder.op("RESHAPE", [x, builder.ints(rows, -1)], target))
    sizes = builder.op("SHAPE", [x], dtype="int32", options={"out_type": "int32"})
    first = builder.op(
        "STRIDED_SLICE",
        [sizes, builder.ints(0), builder.ints(1), builder.ints(1)],
        options={"shrink_axis_mask": 1},
    )
    both = builder.op("PACK", [first, builder.int_scalar(-1)], options={"values_count": 2, "axis": 0})
    return finish(builder, builder.op("RESHAPE", [x, both], (shape[0], int(np.prod(shape[1:])))))


def squeeze(rng: Rng, kind: str) -> Setting:
    shape = list(some_shape(rng, int(rng.integers(1, 4)), 2))
    ones = int(rng.integers(1, 3))
    for _ in range(ones):
        shape.insert(int(rng.integers(len(shape) + 1)), 1)
    builder, x = start(rng, kind, tuple(shape))
    places = [k for k, size in enumerate(shape) if size == 1]
    chosen = [k if rng.integers(2) else k - len(shape) for k in places[: int(rng.integers(len(places) + 1))]]
    return finish(builder, builder.op("SQUEEZE", [x], options={"squeeze_dims": tuple(chosen)}))


def expand_dims(rng: Rng, kind: str) -> Setting:
    rank = int(rng.integers(1, 5))
    builder, x = start(rng, kind, some_shape(rng, rank))
    axis = int(rng.integers(-rank - 1, rank + 1))
    return finish(builder, builder.op("EXPAND_DIMS", [x, builder.int_scalar(axis)]))


def transpose(rng: Rng, kind: str) -> Setting:
    rank = int(rng.integers(1, 6))
    builder, x = start(rng, kind, some_shape(rng, rank))
    return finish(builder, builder.op("TRANSPOSE", [x, builder.ints(*rng.permutation(rank).tolist())]))


def concatenation(rng: Rng, kind: str) -> Setting:
    """The input, constants and the input again along any axis."""
    rank = int(rng.integers(1, 5))
    shape = some_shape(rng, rank)
    builder, x = start(rng, kind, shape)
    axis = int(rng.integers(-rank, rank))
    parts = [x]
    for _ in range(int(rng.integers(0, 3))):
        size = list(shape)
        size[axis] = int(rng.integers(1, 4))
        parts.append(x if rng.integers(3) == 0 else constant_like(rng, builder, x, tuple(size)))
    order = [parts[k] for k in rng.permutation(len(parts))]
    return finish(builder, builder.op("CONCATENATION", order, options={"axis": axis}))


def pack(rng: Rng, kind: str) -> Setting:
    rank = int(rng.integers(1, 4))
    shape = some_shape(rng, rank)
    builder, x = start(rng, kind, shape)
    others = [constant_like(rng, builder, x, shape) for _ in range(int(rng.integers(0, 3)))]
    parts = [([x, *others])[k] for k in rng.permutation(len(others) + 1)]
    axis = int(rng.integers(-rank - 1, rank + 1))
    return finish(builder, builder.op("PACK", parts, options={"values_count": len(parts), "axis": axis}))


def split(rng: Rng, kind: str) -> Setting:
    """Equal parts; the model's output joins them in another order, so that every part counts."""
    rank, count = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    shape = list(some_shape(rng, rank))
    axis = int(rng.integers(-rank, rank))
    shape[axis] *= count
    builder, x = start(rng, kind, tuple(shape))
    part = list(shape)
    part[axis] //= count
    outputs = builder.op_many(
        "SPLIT", [builder.int_scalar(axis), x], [TensorSpec(tuple(part))] * count, {"num_splits": count}
    )
    return finish(builder, builder.op("CONCATENATION", outputs[::-1], options={"axis": axis}))


def split_v(rng: Rng, kind: str) -> Setting:
    """Parts of any sizes, joined in another order."""
    rank = int(rng.integers(1, 5))
    sizes = rng.integers(1, 4, int(rng.integers(1, 4))).tolist()
    shape = list(some_shape(rng, rank))
    axis = int(rng.integers(-rank, rank))
    shape[axis] = sum(sizes)
    builder, x = start(rng, kind, tuple(shape))
    parts = [TensorSpec(tuple(size if k == axis % rank else d for k, d in enumerate(shape))) for size in sizes]
    inputs = [x, builder.ints(*sizes), builder.int_scalar(axis)]
    outputs = builder.op_many("SPLIT_V", inputs, parts, {"num_splits": len(sizes)})
    return finish(builder, builder.op("CONCATENATION", outputs[::-1], options={"axis": axis}))


def strided_slice(rng: Rng, kind: str) -> Setting:
    """Bounds inside and outside of the tensor, from either end, with strides of either sign and all masks."""
    rank = int(rng.integers(1, 5))
    shape = some_shape(rng, rank, 1, 6)
    rows = [_bounds(rng, size) for size in shape]
    masks = [sum(int(row[3 + which]) << axis for axis, row in enumerate(rows)) for which in range(3)]
    builder, x = start(rng, kind, shape)
    begin, end, strides = (builder.ints(*(row[k] for row in rows)) for k in range(3))
    options = {"begin_mask": masks[0], "end_mask": masks[1], "shrink_axis_mask": masks[2]}
    return finish(builder, builder.op("STRIDED_SLICE", [x, begin, end, strides], options=options))


def _bounds(rng: Rng, size: int) -> tuple[int, int, int, bool, bool, bool]:
    """(begin, end, stride, begin masked, end masked, shrunk) that take one element or more."""
    while True:
        stride = int(rng.choice([1, 1, 2, 3, -1, -2]))
        begin, end = (int(v) for v in rng.integers(-size - 2, size + 3, 2))
        free_begin, free_end = (bool(v) for v in rng.integers(4, size=2) == 0)
        shrunk = stride > 0 and not free_begin and -size <= begin < size and int(rng.integers(4)) == 0
        taken = range(size)[slice(None if free_begin else begin, None if free_end else end, stride)]
        if shrunk or len(taken):
            return begin, end, stride, free_begin, free_end, shrunk


def shape_of(rng: Rng, kind: str) -> Setting:
    builder, x = start(rng, kind, some_shape(rng, int(rng.integers(1, 6))))
    return finish(builder, builder.op("SHAPE", [x], dtype="int32", options={"out_type": "int32"}))


MAKERS: dict[str, Callable[[Rng, str], Setting]] = {
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "EXPAND_DIMS": expand_dims,
    "TRANSPOSE": transpose,
    "CONCATENATION": concatenation,
    "PACK": pack,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "STRIDED_SLICE": strided_slice,
    "SHAPE": shape_of,
}


def made(name: str, types: str, rng: Rng) -> Setting:
    """A setting of a row."""
    return MAKERS[name](rng, types.partition(" ")[0])


CASES = {(name, row.types): partial(made, name, row.types) for name in MAKERS for row in support_table()[name]}
