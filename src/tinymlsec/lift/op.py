"""The contract between the lifted graph and its operators.

A value is a tensor of shape (n, *declared): n samples, then the shape that the file declares, its own leading 1
included. So no operator has to know which axis is the batch, and axes of the file are moved up by one. Integer codes
(int8, uint8, int16) travel as float32, which holds them exactly and carries gradients; int32, int64 and bool travel as
int64; float32 as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tinymlsec.errors import UnsupportedModelError
from tinymlsec.lift.profiles import Profile
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph
from tinymlsec.target.tflite.graph import Tensor as TensorInfo

State = dict[str, Tensor]
"""Resource variables by name: (n, *shape) each, or (1, *shape) before the first sample."""

CODE_TYPES = ("int8", "uint8", "int16")
"""Types that travel as float32 codes."""


class LiftedOp(nn.Module):
    """One operator. Subclasses hold its constants as buffers and its weights as parameters."""

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Compute the outputs.

        Args:
            inputs: a value for each input of the operator, (n, *declared) or (1, *declared) for constants; an absent
                optional input is an empty tensor.
            state: resource variables; state operators read and replace entries.

        Returns:
            a value for each output.
        """
        raise TypeError(f"{type(self).__name__} does not compute anything")

    def refresh(self) -> None:
        """Take up changed weights: re-check the bounds within which arithmetic is exact."""


@dataclass(frozen=True)
class Site:
    """Where an operator stands: its graph, its tensors, its options."""

    model: Model
    graph: Subgraph
    op: Operator
    profile: Profile

    def input(self, position: int) -> TensorInfo:
        """The tensor record of an input."""
        return self.graph.tensors[self.op.inputs[position]]

    def output(self, position: int = 0) -> TensorInfo:
        """The tensor record of an output."""
        return self.graph.tensors[self.op.outputs[position]]

    def has(self, position: int) -> bool:
        """True where an (optional) input is given."""
        return position < len(self.op.inputs) and self.op.inputs[position] >= 0

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

    def scale(self, tensor: TensorInfo) -> tuple[float, int]:
        """Per-tensor scale and zero point.

        Raises:
            UnsupportedModelError: the tensor has none.
        """
        q = tensor.quantization
        if q is None or q.scale.size != 1:
            raise self.unsupported(f"tensor {tensor.index} has no per-tensor scale")
        return float(np.float32(q.scale[0])), int(q.zero_point[0]) if q.zero_point.size else 0

    def scales(self, tensor: TensorInfo) -> NDArray[np.float32]:
        """All scales of a tensor: one, or one per channel.

        Raises:
            UnsupportedModelError: the tensor has none.
        """
        q = tensor.quantization
        if q is None or q.scale.size == 0:
            raise self.unsupported(f"tensor {tensor.index} has no scale")
        return q.scale

    def unsupported(self, why: str) -> UnsupportedModelError:
        """The error for an operator that is not lifted, by name, with what still works."""
        return UnsupportedModelError(
            f"operator {self.op.index} ({self.op.label[:80]}) is not lifted: {why}",
            offset=self.op.offset,
            expected="an operator that `tinymlsec list ops` shows",
            next_step="attacks that only ask the runtime still work; white-box attacks and training do not",
        )


@dataclass(frozen=True)
class Support:
    """One operator in one combination of types that is lifted; a row of `tinymlsec list ops`."""

    op: str
    types: str
    """Input and output types, such as "int8" or "int8 -> uint8"."""
    build: Callable[[Site], LiftedOp]
    accepts: Callable[[Site], bool]
    """True where this row is the one for a site, by types only; `build` refuses options it does not know."""
    options: str = ""
    """Which options are covered, in words."""


SupportTable = Mapping[str, Sequence[Support]]
