"""The contract between the generator and its families of operators.

A module ``ops/<family>.py`` has ``LOWER``: for each operator name a function from a `Place` to a `Lowered`. Text that a
family returns refers to memory by names only (`Place.source`, `Place.target`, `Place.scratch`, `Place.variable`), since
where a tensor lies is decided after all operators have been lowered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.codegen.text import C_TYPES
from tinymlsec.errors import ModelFileError, UnsupportedModelError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph, Tensor
from tinymlsec.target.tflite.requant_ops import activation_range
from tinymlsec.target.tflite.schema import byte_size


@dataclass(frozen=True)
class Variable:
    """State that outlives an inference; lies in static memory, not in the arena."""

    pointer: str
    """C expression of type uint8_t pointer, such as ``tms_v0``."""
    bytes: int
    fill: int
    """Byte that the whole variable holds before it is first assigned (0 to 255)."""
    name: str
    """Shared name in the file; goes through `safe` before it is printed."""


@dataclass(frozen=True)
class Table:
    """A constant array."""

    name: str
    """C identifier: `Place.symbol`."""
    ctype: str
    """int8_t, int32_t, ..."""
    values: NDArray[Any]
    comment: str = ""
    """Our words; anything from the file in it has gone through `safe`."""


@dataclass(frozen=True)
class Lowered:
    """What an operator becomes."""

    body: str
    """Statements of the layer's function, without indentation beyond their own. Empty where there is nothing to do."""
    kernels: tuple[str, ...] = ()
    """Families of kernels by stem: kernels/<stem>.h (and .c where there is one) come along and are included."""
    tables: tuple[Table, ...] = ()
    statics: str = ""
    """File-scope C ahead of the layer's function, such as a ``static const`` parameter record."""
    pixel: str = ""
    """Body of ``tms_pix_<nnn>(int32_t y, int32_t x, int32_t c0, int32_t c1)``: one output pixel, channels c0 to c1 - 1.
    Empty for operators without one."""
    pixels: tuple[int, int, int] = (0, 0, 0)
    """How many y, x and channels ``tms_pix_<nnn>`` takes. The layer's loops are made from it: `body` stays empty."""
    alias: int | None = None
    """Input whose memory output 0 shares where that is possible (RESHAPE): `body`, a copy, is then left out."""
    in_place: tuple[int, ...] = ()
    """Inputs whose memory output 0 may take over if they are not read later: element k of the output is written after
    element k of the input is read and no later element is before it. Sizes are compared by the planner."""
    scratch_bytes: int = 0
    """Memory in the arena for the time of this operator, at `Place.scratch`, aligned to 16 bytes."""


@dataclass(frozen=True)
class Place:
    """Where an operator stands: its graph, its tensors, its options, and the C names of its memory."""

    model: Model
    graph: Subgraph
    op: Operator
    style: Style = Style.PLAIN
    variables: Mapping[int, Variable] = field(default_factory=dict)
    """By the tensor of this graph that holds the handle."""

    @property
    def tag(self) -> str:
        """Number of the operator in names: 003, and g1_003 in subgraph 1."""
        return f"{self.op.index:03d}" if self.graph.index == 0 else f"g{self.graph.index}_{self.op.index:03d}"

    def symbol(self, kind: str) -> str:
        """Name of something that belongs to this operator: symbol("w") is ``tms_w_003``, its weights."""
        return f"tms_{kind}_{self.tag}"

    def input(self, position: int) -> Tensor:
        """The tensor record of an input."""
        return self.graph.tensors[self.op.inputs[position]]

    def output(self, position: int = 0) -> Tensor:
        """The tensor record of an output."""
        return self.graph.tensors[self.op.outputs[position]]

    def has(self, position: int) -> bool:
        """True where an (optional) input is given."""
        return position < len(self.op.inputs) and self.op.inputs[position] >= 0

    def source(self, position: int) -> str:
        """C expression of an input: a pointer to elements of its type. Constants get a table by themselves.

        Raises:
            UnsupportedModelError: C has no such type.
        """
        tensor = self.input(position)
        self.ctype(tensor)
        return tensor_name(self.graph, tensor.index)

    def target(self, position: int = 0) -> str:
        """C expression of an output: a pointer to elements of its type.

        Raises:
            UnsupportedModelError: C has no such type.
        """
        tensor = self.output(position)
        self.ctype(tensor)
        return tensor_name(self.graph, tensor.index)

    @property
    def scratch(self) -> str:
        """C expression of the operator's own memory, a uint8_t pointer; ask for it by `Lowered.scratch_bytes`."""
        return self.symbol("scratch")

    def variable(self, position: int = 0) -> Variable:
        """The variable that the handle at an input stands for.

        Raises:
            UnsupportedModelError: the handle does not come from a VAR_HANDLE of the same subgraph, or the file does not
                say what the variable holds.
        """
        found = self.variables.get(self.op.inputs[position])
        if found is None:
            raise self.unsupported("its handle does not come from a VAR_HANDLE of the same subgraph")
        return found

    def ctype(self, tensor: Tensor) -> str:
        """C type of a tensor's elements.

        Raises:
            UnsupportedModelError: C has none (int4, string, ...).
        """
        if tensor.dtype not in C_TYPES:
            raise self.unsupported(f"type {tensor.dtype}")
        return C_TYPES[tensor.dtype]

    def elements(self, tensor: Tensor) -> int:
        """Number of elements of a tensor."""
        return math.prod(tensor.shape)

    def bytes(self, tensor: Tensor) -> int:
        """Bytes of a tensor."""
        size = byte_size(tensor.dtype, self.elements(tensor))
        if size is None:
            raise self.unsupported(f"type {tensor.dtype}")
        return size

    def constant(self, position: int) -> NDArray[Any] | None:
        """Value of a constant input, None where it is computed or absent."""
        return constant(self.model, self.input(position)) if self.has(position) else None

    def require(self, position: int, what: str) -> NDArray[Any]:
        """Value of an input that must be constant.

        Raises:
            UnsupportedModelError: it is computed at run time.
        """
        value = self.constant(position)
        if value is None:
            raise self.unsupported(f"its {what} is computed at run time")
        return value

    def option(self, name: str, default: Any = 0) -> Any:
        """An option of the operator."""
        value = self.op.options.get(name, default)
        return default if value is None else value

    def scale(self, tensor: Tensor) -> tuple[float, int]:
        """Per-tensor scale and zero point.

        Raises:
            UnsupportedModelError: the tensor has none.
        """
        q = tensor.quantization
        if q is None or q.scale.size != 1:
            raise self.unsupported(f"tensor {tensor.index} has no per-tensor scale")
        return float(np.float32(q.scale[0])), int(q.zero_point[0]) if q.zero_point.size else 0

    def scales(self, tensor: Tensor) -> NDArray[np.float32]:
        """All scales of a tensor: one, or one per channel.

        Raises:
            UnsupportedModelError: the tensor has none.
        """
        q = tensor.quantization
        if q is None or q.scale.size == 0:
            raise self.unsupported(f"tensor {tensor.index} has no scale")
        return q.scale

    def types(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Types of the inputs ("" where one is absent) and of the outputs."""
        tensors = self.graph.tensors
        inputs = tuple(tensors[t].dtype if t >= 0 else "" for t in self.op.inputs)
        return inputs, tuple(tensors[t].dtype for t in self.op.outputs)

    def activation_bounds(self) -> tuple[int, int]:
        """Codes that output 0 is clamped to: its type's, and those of the fused activation.

        Raises:
            UnsupportedModelError: an activation that the integer kernels do not know.
        """
        scale, zero_point = self.scale(self.output())
        activation = int(self.option("fused_activation_function"))
        try:
            low, high = activation_range(activation, self.output().dtype, scale, zero_point)
        except ModelFileError as error:
            raise self.unsupported(str(error)) from None
        if low > high:
            raise self.unsupported(f"its activation leaves no code between {low} and {high}")
        return low, high

    def unsupported(self, why: str) -> UnsupportedModelError:
        """The error for an operator that no C is generated for, by name, with what still works."""
        return UnsupportedModelError(
            f"no C is generated for operator {self.op.index} ({self.op.label[:80]}): {why}",
            offset=self.op.offset,
            expected="an operator that `tinymlsec list ops` shows",
            next_step="attacks that only ask the runtime still work; those on generated firmware do not",
        )


def tensor_name(graph: Subgraph, index: int) -> str:
    """C name of a tensor's memory: ``tms_t12``, and ``tms_g1_t12`` in subgraph 1."""
    return f"tms_t{index}" if graph.index == 0 else f"tms_g{graph.index}_t{index}"


Lower = Callable[[Place], Lowered]
