"""The typed graph of a .tflite file: plain frozen data, no behaviour beyond look-ups.

The reader makes it from bytes, the writer makes bytes from it, and everything else (shape inference, facts, attacks)
only reads it. Arrays are read-only views or copies; nothing here keeps a file open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

OptionValue = bool | int | float | str | bytes | tuple[int, ...] | tuple[float, ...] | tuple[bool, ...] | None


@dataclass(frozen=True)
class Quantization:
    """Quantisation of a tensor: real = scale * (integer - zero_point), per tensor or per slice of one dimension."""

    scale: NDArray[np.float32]
    """shape (channels,) or (1,); empty where the file gives none."""
    zero_point: NDArray[np.int64]
    """same length as scale."""
    dimension: int = 0
    """The dimension that per-channel scales run along (quantized_dimension)."""
    minimum: NDArray[np.float32] | None = None
    maximum: NDArray[np.float32] | None = None

    @property
    def per_channel(self) -> bool:
        """True with more than one scale."""
        return self.scale.size > 1


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    """Name of the schema's TensorType in lower case: int8, uint8, int16, int32, float32, resource, ..."""
    buffer: int
    """Index into Model.buffers; 0 is the empty buffer by convention."""
    quantization: Quantization | None = None
    is_variable: bool = False
    shape_signature: tuple[int, ...] = ()
    has_rank: bool = False
    sparse: bool = False
    """The tensor carries sparsity parameters (kept as a fact; the values are not expanded)."""
    offset: int | None = None
    """File offset of the tensor's table; None in a graph that was built."""


@dataclass(frozen=True)
class Operator:
    """One operator of a subgraph."""

    index: int
    opcode: int
    """Index into Model.opcodes."""
    name: str
    """Builtin name such as CONV_2D; for custom operators CUSTOM."""
    inputs: tuple[int, ...]
    """Tensor indices; -1 for an optional input that is absent."""
    outputs: tuple[int, ...]
    options_type: str = "NONE"
    """Name of the options table (Conv2DOptions), or NONE."""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    """Every field of the options table in snake case, defaults filled in. Enumerations are integers."""
    custom_code: str = ""
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()
    mutating_variable_inputs: tuple[bool, ...] = ()
    version: int = 1
    offset: int | None = None

    @property
    def label(self) -> str:
        """The builtin name, or the custom code of a custom operator."""
        return self.custom_code if self.name == "CUSTOM" else self.name


@dataclass(frozen=True)
class Subgraph:
    """One subgraph: tensors, operators and its inputs and outputs by tensor index."""

    index: int
    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    offset: int | None = None


@dataclass(frozen=True)
class Opcode:
    """An entry of the operator code table."""

    builtin: int
    """Number of the builtin operator, already resolved from the old and the new field."""
    name: str
    custom_code: str = ""
    version: int = 1
    deprecated_builtin: int = 0


@dataclass(frozen=True)
class Buffer:
    """A constant buffer: its bytes and where they lie in the file."""

    index: int
    data: bytes | memoryview
    """Empty for tensors that are computed."""
    offset: int | None = None
    """File offset of the first byte; None for an empty buffer or a built graph."""


@dataclass(frozen=True)
class Signature:
    """A named entry point with named inputs and outputs."""

    key: str
    subgraph: int
    inputs: tuple[tuple[str, int], ...]
    """(name, tensor index) pairs."""
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Metadata:
    """A named metadata entry and the buffer that holds it."""

    name: str
    buffer: int


@dataclass(frozen=True)
class Model:
    """A whole .tflite file."""

    version: int
    description: str
    opcodes: tuple[Opcode, ...]
    subgraphs: tuple[Subgraph, ...]
    buffers: tuple[Buffer, ...]
    metadata: tuple[Metadata, ...] = ()
    signatures: tuple[Signature, ...] = ()
    size: int = 0
    """Bytes of the file it was read from; 0 in a built graph."""

    @property
    def main(self) -> Subgraph:
        """The subgraph a runtime invokes."""
        return self.subgraphs[0]

    @cached_property
    def state_tensors(self) -> tuple[tuple[int, int], ...]:
        """(subgraph, tensor) of every tensor that keeps its value from one invocation to the next: variables, and
        resource handles of VAR_HANDLE."""
        return tuple(
            (g.index, t.index) for g in self.subgraphs for t in g.tensors if t.is_variable or t.dtype == "resource"
        )
