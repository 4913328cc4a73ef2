"""What the generator hands over: C files, and what each layer, tensor and byte of memory is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinymlsec.emulate.codegen.style import Style


@dataclass(frozen=True)
class Span:
    """A tensor that a layer reads or writes."""

    tensor: int
    bytes: int
    offset: int | None
    """In the arena; None for constants, handles and tensors of no size."""


@dataclass(frozen=True)
class Port:
    """An input or output of the model."""

    tensor: int
    bytes: int
    dtype: str
    shape: tuple[int, ...]
    offset: int | None
    """In the arena; None where an output is a constant of the file."""


@dataclass(frozen=True)
class Layer:
    """An operator of the main graph."""

    index: int
    op: str
    symbol: str
    """tms_op_<nnn>_<name>: a function without arguments."""
    pixel_symbol: str
    """tms_pix_<nnn>(y, x, c0, c1), or empty."""
    pixels: tuple[int, int, int]
    """How many y, x and channels the pixel function takes; zeros where there is none."""
    inputs: tuple[Span, ...]
    """Absent optional inputs are left out."""
    outputs: tuple[Span, ...]


@dataclass(frozen=True)
class ArenaPlan:
    """The activation arena."""

    bytes: int
    offsets: Mapping[int, int]
    """By tensor of the main graph."""
    bound: int
    """Bytes of the tensors that are alive at the busiest operator, as if each had memory of its own there: no plan
    without shared memory (RESHAPE, results written over their input) needs fewer."""

    @property
    def ratio(self) -> float:
        """Arena over bound; below 1 where operators work in place."""
        return self.bytes / max(self.bound, 1)


@dataclass(frozen=True)
class Program:
    """A model as C."""

    files: Mapping[str, str]
    """Text by relative path."""
    layers: tuple[Layer, ...]
    arena: ArenaPlan
    weights_bytes: int
    """All constant tables."""
    variables_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    style: Style
