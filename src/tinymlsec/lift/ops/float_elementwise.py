"""Operators on float32, element by element or along the last axis. What needs no arithmetic is with the shape rows.

What sums or takes exponentials is rounded in another order than in the runtime; such rows are equal up to the tolerance
that they state, and not bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tinymlsec.lift.code_tables import with_rank
from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.ops.common import only

TOLERANCE = 1e-5
"""Largest difference to the runtime, as a share of the largest value that the operator computes."""
EQUAL = f"equal within {TOLERANCE:g} of the largest value"
EXACT = "equal"
FLOAT = only(("float32",), "float32")
FLOATS = only(("float32", "float32"), "float32")

Function = Callable[[Tensor], Tensor]
MOST_DIMENSIONS = 4
"""To which the runtime broadcasts."""
LOW_LOGISTIC = -9.0
"""Below it the runtime takes the exponential itself for the logistic function."""

ACTIVATIONS: dict[int, Function] = {
    0: lambda x: x,
    1: functional.relu,
    2: lambda x: x.clamp(-1.0, 1.0),
    3: lambda x: x.clamp(0.0, 6.0),
}
"""Fused activations by their number in the schema."""


def fused_activation(site: Site) -> Function:
    """The activation that an operator ends with.

    Raises:
        UnsupportedModelError: one that the runtime does not compute here.
    """
    number = int(site.option("fused_activation_function"))
    if number not in ACTIVATIONS:
        raise site.unsupported(f"fused activation {number}")
    return ACTIVATIONS[number]


class Elementwise(LiftedOp):
    """A function of one value."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to (n, *shape)."""
        return [self.function(inputs[0])]


class Arithmetic(LiftedOp):
    """A function of two values with broadcasting, then an activation."""

    def __init__(self, site: Site, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.activation = function, fused_activation(site)
        self.rank = len(site.output().shape)
        if self.rank > MOST_DIMENSIONS and site.input(0).shape != site.input(1).shape:
            raise site.unsupported(f"broadcasting over {self.rank} dimensions")

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) and (n, *shape) to (n, *common shape)."""
        first, second = (with_rank(value, self.rank) for value in inputs)
        return [self.activation(self.function(first, second))]


def logistic(x: Tensor) -> Tensor:
    """The runtime's logistic function: exact exponentials far out, where 1 + exp(-x) would lose digits."""
    return torch.where(x < LOW_LOGISTIC, torch.exp(x.clamp_max(LOW_LOGISTIC)), torch.sigmoid(x))


def _leaky(site: Site) -> LiftedOp:
    alpha = float(site.option("alpha", 0.0))
    return Elementwise(lambda x: torch.where(x > 0, x, x * alpha))


def _softmax(site: Site) -> LiftedOp:
    beta = float(site.option("beta", 0.0))
    return Elementwise(lambda x: torch.softmax(x * beta, dim=-1))


def _arithmetic(name: str, function: Callable[[Tensor, Tensor], Tensor]) -> Support:
    options = f"broadcasting up to 4 dimensions, constants, fused activation; {EXACT}"
    return Support(name, "float32", lambda site: Arithmetic(site, function), FLOATS, options)


def _elementwise(name: str, function: Function, equal: str) -> Support:
    return Support(name, "float32", lambda site: Elementwise(function), FLOAT, equal)


SUPPORT = (
    _arithmetic("ADD", torch.add),
    _arithmetic("SUB", torch.sub),
    _arithmetic("MUL", torch.mul),
    _elementwise("RELU", ACTIVATIONS[1], EXACT),
    _elementwise("RELU6", ACTIVATIONS[3], EXACT),
    _elementwise("LOGISTIC", logistic, EQUAL),
    _elementwise("TANH", torch.tanh, EQUAL),
    Support("LEAKY_RELU", "float32", _leaky, FLOAT, f"any slope; {EXACT}"),
    Support("SOFTMAX", "float32", _softmax, FLOAT, f"last axis, any beta; {EQUAL}"),
)
