"""Models of one operator, sound or not: what is given is written, nothing is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rules.corpus.base import graph
from tinymlsec.target.tflite.builder import TensorSpec


@dataclass(frozen=True)
class Feed:
    """An input of the model."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    scale: ArrayLike | None = None
    zero_point: ArrayLike = 0


@dataclass(frozen=True)
class Const:
    """A constant; `shape` declares another shape than its values have."""

    values: Any
    dtype: str | None = None
    scale: ArrayLike | None = None
    zero_point: ArrayLike = 0
    dimension: int = 0
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class State:
    """A tensor that keeps its value; with `variable` False it only should."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    variable: bool = True
    scale: ArrayLike | None = None


Part = Feed | Const | State | None


@dataclass(frozen=True)
class OneOp:
    """An operator with its inputs and outputs."""

    name: str
    inputs: tuple[Part, ...]
    outputs: tuple[TensorSpec, ...]
    options: Mapping[str, Any] | None = None
    version: int = 1
    custom: bytes | None = None

    def file(self) -> bytes:
        """The model's bytes."""
        builder = graph()
        indices = [_place(builder, part) for part in self.inputs]
        made = builder.op_many(
            self.name, indices, self.outputs, self.options, version=self.version, custom_options=self.custom
        )
        builder.output(*made)
        return builder.tobytes()

    def but(self, position: int | None = None, part: Part = None, *, output: TensorSpec | None = None,
            **options: Any) -> OneOp:  # fmt: skip
        """The same with another input, another first output, or other options."""
        inputs = list(self.inputs)
        if position is not None:
            inputs[position] = part
        outputs = self.outputs if output is None else (output, *self.outputs[1:])
        return replace(self, inputs=tuple(inputs), outputs=outputs, options={**(self.options or {}), **options} or None)


def _place(builder: Any, part: Part) -> int:
    if part is None:
        return -1
    if isinstance(part, Feed):
        return int(builder.input(part.shape, part.dtype, part.scale, part.zero_point))
    if isinstance(part, State):
        name = builder.variable if part.variable else builder.input
        return int(name(part.shape, part.dtype, part.scale))
    values = np.asarray(part.values)
    if part.dtype is None and values.dtype == np.int64:
        values = values.astype(np.int32)
    index = int(builder.constant(values, part.scale, part.zero_point, part.dimension, dtype=part.dtype))
    if part.shape is not None:
        builder._replace(index, shape=part.shape)
    return index


def out(shape: Sequence[int], dtype: str = "float32", scale: float | None = None, zero_point: int = 0) -> TensorSpec:
    """An output."""
    return TensorSpec(tuple(shape), dtype, scale, zero_point)


def weights(*shape: int, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """Constants that look like trained weights: normal, small, all different; the same in every run."""
    values = np.random.default_rng(7).normal(0, 0.5, shape)
    return (values * 60).round().clip(-127, 127).astype(np.int8) if dtype == "int8" else values.astype(np.float32)


CONV = OneOp(
    "CONV_2D", (Feed((1, 8, 8, 4)), Const(weights(4, 3, 3, 4)), Const(weights(4))), (out((1, 8, 8, 4)),),
    {"stride_h": 1, "stride_w": 1, "padding": "SAME"},
)  # fmt: skip
DEPTHWISE = OneOp(
    "DEPTHWISE_CONV_2D", (Feed((1, 8, 8, 4)), Const(weights(1, 3, 3, 4)), Const(weights(4))), (out((1, 8, 8, 4)),),
    {"stride_h": 1, "stride_w": 1, "padding": "SAME", "depth_multiplier": 1},
)  # fmt: skip
TRANSPOSE_CONV = OneOp(
    "TRANSPOSE_CONV", (Const([1, 8, 8, 4]), Const(weights(4, 2, 2, 3)), Feed((1, 4, 4, 3))), (out((1, 8, 8, 4)),),
    {"stride_h": 2, "stride_w": 2, "padding": "VALID"},
)  # fmt: skip
POOL = OneOp(
    "AVERAGE_POOL_2D", (Feed((1, 8, 8, 4)),), (out((1, 4, 4, 4)),),
    {"stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2, "padding": "VALID"},
)  # fmt: skip
DENSE = OneOp(
    "FULLY_CONNECTED", (Feed((1, 16)), Const(weights(8, 16)), Const(weights(8))), (out((1, 8)),), {}
)  # fmt: skip
SVDF = OneOp(
    "SVDF",
    (Feed((1, 8)), Const(weights(4, 8)), Const(weights(4, 6)), Const(weights(2)), State((1, 24))),
    (out((1, 2)),),
    {"rank": 2},
)
SPLIT = OneOp("SPLIT", (Const(1), Feed((1, 8))), (out((1, 4)), out((1, 4))), {"num_splits": 2})
SPLIT_V = OneOp(
    "SPLIT_V", (Feed((1, 8)), Const([3, 5]), Const(1)), (out((1, 3)), out((1, 5))), {"num_splits": 2}
)  # fmt: skip
GATHER = OneOp("GATHER", (Feed((5, 4)), Const([0, 4, 2])), (out((3, 4)),), {"axis": 0})
GATHER_ND = OneOp("GATHER_ND", (Feed((5, 4)), Const([[0, 1], [4, 3]])), (out((2,)),))
SEGMENT_SUM = OneOp("SEGMENT_SUM", (Feed((4, 3)), Const([0, 0, 1, 2])), (out((3, 3)),))
CONCAT = OneOp("CONCATENATION", (Feed((1, 4)), Feed((1, 4))), (out((1, 8)),), {"axis": 1})
STRIDED = OneOp(
    "STRIDED_SLICE", (Feed((4, 6)), Const([0, 1]), Const([4, 5]), Const([1, 1])), (out((4, 4)),), {}
)  # fmt: skip
BATCH_TO_SPACE = OneOp(
    "BATCH_TO_SPACE_ND", (Feed((4, 2, 2, 3)), Const([2, 2]), Const([[0, 0], [0, 0]])), (out((1, 4, 4, 3)),)
)
SPACE_TO_BATCH = OneOp(
    "SPACE_TO_BATCH_ND", (Feed((1, 4, 4, 3)), Const([2, 2]), Const([[0, 0], [0, 0]])), (out((4, 2, 2, 3)),)
)
SPACE_TO_DEPTH = OneOp("SPACE_TO_DEPTH", (Feed((1, 4, 4, 3)),), (out((1, 2, 2, 12)),), {"block_size": 2})
DEPTH_TO_SPACE = OneOp("DEPTH_TO_SPACE", (Feed((1, 2, 2, 12)),), (out((1, 4, 4, 3)),), {"block_size": 2})
ARG_MAX = OneOp("ARG_MAX", (Feed((2, 5)), Const([1])), (out((2,), "int32"),), {"output_type": "int32"})
MEAN = OneOp("MEAN", (Feed((2, 5)), Const([1])), (out((2,)),), {})
EXPAND_DIMS = OneOp("EXPAND_DIMS", (Feed((2, 5)), Const([1])), (out((2, 1, 5)),))
RESHAPE = OneOp("RESHAPE", (Feed((2, 6)), Const([3, 4])), (out((3, 4)),))
MAXIMUM = OneOp("MAXIMUM", (Feed((2, 3)), Feed((2, 3))), (out((2, 3)),))
ADD = OneOp("ADD", (Feed((2, 3)), Feed((2, 3))), (out((2, 3)),), {})
DIV = OneOp("DIV", (Feed((2, 3)), Const(np.float32([[1, 2, 3], [4, 5, 6]]))), (out((2, 3)),), {})
PAD = OneOp("PAD", (Feed((2, 3)), Const([[1, 1], [0, 2]])), (out((4, 5)),))

INT8_DENSE = OneOp(
    "FULLY_CONNECTED",
    (
        Feed((1, 16), "int8", 0.5, 3),
        Const(weights(8, 16, dtype="int8"), scale=0.25),
        Const(np.arange(8) * 3 - 11, "int32", 0.125),
    ),
    (out((1, 8), "int8", 0.75, -4),),
    {},
)
INT8_CONV = OneOp(
    "CONV_2D",
    (
        Feed((1, 8, 8, 4), "int8", 0.5, 3),
        Const(weights(4, 3, 3, 4, dtype="int8"), scale=[0.1, 0.2, 0.3, 0.4]),
        Const(np.arange(4) * 3 - 5, "int32", [0.05, 0.1, 0.15, 0.2]),
    ),
    (out((1, 8, 8, 4), "int8", 0.75, -4),),
    {"stride_h": 1, "stride_w": 1, "padding": "SAME"},
)
SOFTMAX = OneOp("SOFTMAX", (Feed((1, 10), "int8", 0.1),), (out((1, 10), "int8", 1 / 256, -128),), {"beta": 1.0})
