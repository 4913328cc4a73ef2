"""What a shape function sees of its operator, how it answers, and how it objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.graph import Model, Operator, OptionValue, Subgraph, Tensor
from tinymlsec.target.tflite.limits import MAX_RANK
from tinymlsec.target.tflite.shapes.state import VariableShapes

Shape = tuple[int, ...]
Constant = Callable[[Model, Tensor], NDArray[np.generic] | None]
"""Gives the values of a constant tensor, or None for a computed one."""

MAX_ELEMENTS = 2**31 - 1
"""Runtimes count elements in 32 signed bits."""
MAX_CONSTANT = 1024
"""Elements that a constant which steers a shape (axes, paddings, sizes) may have."""


class ShapeError(ModelFileError):
    """An operator whose inputs, constants or options admit no output shape; carries the operator's file offset."""


class RunTimeShape(Exception):
    """Not an error: ends an inference whose shape depends on values that the file does not hold."""


@dataclass(frozen=True)
class InferredShape:
    """Shape of one output, or why it cannot be known from the file."""

    shape: Shape | None
    reason: str = ""
    """Empty where the shape is known."""


InferredShapes = tuple[InferredShape, ...]
"""One entry per output of the operator, in order."""

Answer = Shape | str
"""What a shape function says of one output: the shape, or the reason why it is not in the file."""


class OpView:
    """One operator with look-ups that check before they answer.

    Args:
        model: the whole file.
        graph: the subgraph of the operator.
        op: the operator.
        constant: gives the values of constant tensors.
        variables: shapes that the model assigns to its resource variables.
    """

    def __init__(
        self, model: Model, graph: Subgraph, op: Operator, constant: Constant, variables: VariableShapes
    ) -> None:
        self.model = model
        self.graph = graph
        self.op = op
        self.variables = variables
        self._constant = constant

    def fail(self, message: str, *, found: object = None, expected: object = None) -> NoReturn:
        """Raises ShapeError for this operator."""
        op = self.op
        raise ShapeError(
            f"operator {op.index} ({op.label[:80]}) of subgraph {self.graph.index} has no output shape: {message}",
            offset=op.offset,
            found=None if found is None else str(found)[:200],
            expected=None if expected is None else str(expected)[:200],
            next_step="convert the model again; do not deploy this file",
        )

    def require(self, condition: bool, message: str, *, found: object = None, expected: object = None) -> None:
        """Raises ShapeError unless the condition holds."""
        if not condition:
            self.fail(message, found=found, expected=expected)

    def has(self, position: int) -> bool:
        """True where the operator has an input at this position."""
        return position < len(self.op.inputs) and self.op.inputs[position] >= 0

    def tensor(self, position: int) -> Tensor:
        """The input tensor at this position."""
        if not self.has(position):
            self.fail(f"input {position} is missing", found=f"inputs {self.op.inputs}")
        index = self.op.inputs[position]
        if index >= len(self.graph.tensors):
            self.fail(f"input {position} is no tensor", found=index, expected=f"less than {len(self.graph.tensors)}")
        return self.graph.tensors[index]

    def shape(self, position: int, rank: int | None = None, least: int = 0) -> Shape:
        """Shape of an input as declared; its rank must be `rank`, or at least `least`."""
        shape = self.checked(self.tensor(position).shape, f"input {position}")
        if rank is not None:
            self.require(len(shape) == rank, f"wrong rank of input {position}", found=shape, expected=f"rank {rank}")
        self.require(len(shape) >= least, f"rank of input {position}", found=shape, expected=f"at least {least}")
        return shape

    def checked(self, shape: Sequence[int], what: str) -> Shape:
        """The shape, if its dimensions are not negative and rank and element count are within bounds."""
        if len(shape) > MAX_RANK:
            self.fail(f"too many dimensions of {what}", found=len(shape), expected=f"at most {MAX_RANK}")
        if any(d < 0 for d in shape):
            self.fail(f"negative dimension of {what}", found=tuple(shape), expected="dimensions of 0 or more")
        # Zeros must not hide a huge dimension beside them: runtimes multiply in any order.
        if prod(max(d, 1) for d in shape) > MAX_ELEMENTS:
            self.fail(f"too many elements in {what}", found=tuple(shape), expected=f"at most {MAX_ELEMENTS}")
        return tuple(shape)

    def values(self, position: int) -> NDArray[np.generic]:
        """Values of a constant input; ends the inference where the input is computed at run time."""
        tensor = self.tensor(position)
        if prod(self.shape(position)) > MAX_CONSTANT:
            self.fail(f"input {position} is too long", found=tensor.shape, expected=f"at most {MAX_CONSTANT} values")
        try:
            array = self._constant(self.model, tensor)
        except ModelFileError as error:
            self.fail(f"input {position} cannot be read: {error.message}", found=error.found, expected=error.expected)
        if array is None:
            raise RunTimeShape(f"depends on run-time values of tensor {tensor.index}")
        return array.reshape(-1)

    def ints(self, position: int, count: int | None = None) -> Shape:
        """Integer values of a constant input as Python integers, `count` of them if given."""
        array = self.values(position)
        if array.dtype.kind not in "iu":
            self.fail(f"input {position} holds no integers", found=array.dtype)
        if count is not None:
            self.require(array.size == count, f"length of input {position}", found=array.size, expected=count)
        return tuple(int(value) for value in array.tolist())

    def known_ints(self, position: int) -> Shape | None:
        """As `ints`, but None where the input is computed at run time: for checks the shape does not depend on."""
        try:
            return self.ints(position)
        except RunTimeShape:
            return None

    def int_value(self, position: int) -> int:
        """The one integer of a constant input."""
        return self.ints(position, 1)[0]

    def option(self, name: str) -> int:
        """An integer or boolean option; 0 where the file has no options table."""
        value: OptionValue = self.op.options.get(name, 0)
        if value is None:
            return 0
        if not isinstance(value, int):
            self.fail(f"option {name} is no number", found=repr(value))
        return int(value)

    def option_ints(self, name: str) -> Shape | None:
        """An option that is a list of integers; None where it is absent."""
        value = self.op.options.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple) or not all(isinstance(v, int) for v in value):
            self.fail(f"option {name} is no list of integers", found=repr(value))
        return tuple(int(v) for v in value)

    def at_least_one(self, name: str) -> int:
        """An option that kernels divide by or count with: strides, dilations, windows, blocks, ranks."""
        value = self.option(name)
        self.require(value >= 1, f"option {name}", found=value, expected="1 or more")
        return value

    def axis(self, axis: int, rank: int, what: str = "axis") -> int:
        """An axis counted from the end where negative, brought into ``[0, rank)``."""
        self.require(-rank <= axis < rank, f"{what} is outside of the tensor", found=axis, expected=f"rank {rank}")
        return axis + rank if axis < 0 else axis

    def broadcast(self, *shapes: Shape) -> Shape:
        """The common shape of tensors combined element by element: aligned at the end, ones stretch."""
        rank = max(len(shape) for shape in shapes)
        padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
        result = []
        for column in zip(*padded, strict=True):
            sizes = {size for size in column if size != 1}
            self.require(len(sizes) <= 1, "shapes cannot be broadcast", found=" and ".join(map(str, shapes)))
            result.append(sizes.pop() if sizes else 1)
        return tuple(result)
