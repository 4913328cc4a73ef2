"""What can be trained: the float twin, and the integer graph through latent real weights.

Both take codes and give scores in real units, so that one training loop serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinymlsec.lift.border import forward_from_codes
from tinymlsec.lift.float_twin import FloatTwin
from tinymlsec.lift.graph import LiftedGraph
from tinymlsec.lift.layers import layers
from tinymlsec.lift.rewrite import replace_tensors
from tinymlsec.target.space import scale_and_zero_point
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES


class Student(Protocol):
    """A function from codes to scores with real parameters that an optimizer can move."""

    parameters: list[Tensor]

    def scores(self, codes: Tensor) -> Tensor:
        """Scores (n, k) in real units of codes (n, ...)."""

    def collect(self) -> None:
        """Bring gradients to the parameters; after the backward pass."""

    def settle(self) -> None:
        """Take up changed parameters; after the optimizer's step."""

    def refresh(self) -> None:
        """Re-check what depends on the size of weights; after an epoch."""

    def probing(self) -> AbstractContextManager[None]:
        """A block in which the student is only asked and learns nothing."""


class TwinStudent:
    """The float twin.

    Args:
        twin: is trained in place.
    """

    def __init__(self, twin: FloatTwin) -> None:
        self.twin = twin.train()
        self.parameters: list[Tensor] = list(twin.parameters())
        self.scale, self.zero_point = scale_and_zero_point(twin.graph.tensors[twin.entry].quantization)

    def scores(self, codes: Tensor) -> Tensor:
        """See `Student`."""
        real = (codes - self.zero_point) * self.scale if self.scale else codes
        result: Tensor = self.twin(real)
        return result

    def collect(self) -> None:
        """Gradients are where they belong."""

    def settle(self) -> None:
        """Parameters are used as they are."""

    def refresh(self) -> None:
        """Nothing depends on the size of weights."""

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Running averages of batch normalization stay as they are."""
        self.twin.eval()
        try:
            yield
        finally:
            self.twin.train()


class GraphStudent:
    """The integer graph with its scales: latent weights in real units stand behind the integers.

    In real units one step of the optimizer means the same for every channel, however fine its scale is.

    Args:
        graph: is trained in place; its parameters then hold fractions that the forward pass rounds.
    """

    def __init__(self, graph: LiftedGraph) -> None:
        self.graph = graph
        self.held = _parameters(graph)
        self.units = {t: _unit(graph.model, t, p) for t, p in self.held.items()}
        self.bounds = {t: INTEGER_RANGES[graph.model.main.tensors[t].dtype] for t in self.held}
        self.latent = {t: (p.detach() * self.units[t]).clone() for t, p in self.held.items()}
        self.parameters: list[Tensor] = list(self.latent.values())

    def scores(self, codes: Tensor) -> Tensor:
        """See `Student`."""
        return forward_from_codes(self.graph, codes)

    def collect(self) -> None:
        """Gradients for integers become gradients for real weights."""
        for t, p in self.held.items():
            self.latent[t].grad = None if p.grad is None else p.grad / self.units[t]
            p.grad = None

    @torch.no_grad()
    def settle(self) -> None:
        """The graph's parameters follow the latent weights, within what their type can hold."""
        for t, p in self.held.items():
            low, high = self.bounds[t]
            p.copy_((self.latent[t] / self.units[t]).clamp_(low, high))
            self.latent[t].copy_(p * self.units[t])

    def refresh(self) -> None:
        """The number types in which sums are exact are chosen anew."""
        self.graph.refresh()

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Nothing in the graph learns by being asked."""
        yield

    @torch.no_grad()
    def model(self) -> Model:
        """The graph's file with the rounded weights, all scales as they were."""
        return replace_tensors(self.graph.model, {t: self._codes(t) for t in self.held})

    def _codes(self, tensor: int) -> NDArray[np.generic]:
        info = self.graph.model.main.tensors[tensor]
        values = self.held[tensor].detach().round().clamp(*self.bounds[tensor]).numpy()
        return values.astype(info.dtype).reshape(info.shape)


def _parameters(graph: LiftedGraph) -> dict[int, nn.Parameter]:
    """Weights and biases of the main graph by tensor number."""
    named = [(name.rpartition("."), p) for name, p in graph.named_parameters() if name.startswith("programs.0.")]
    wanted = {t for layer in layers(graph.model) for t in (layer.weight, layer.bias)}
    found = {int(name[2].rpartition("_")[2]): p for name, p in named}
    return {t: p for t, p in sorted(found.items()) if t in wanted}


def _unit(model: Model, tensor: int, parameter: Tensor) -> Tensor:
    """What one integer step of each element is worth, to be broadcast against the parameter."""
    q = model.main.tensors[tensor].quantization
    if q is None or q.scale.size == 0:
        return torch.ones(1, dtype=parameter.dtype)
    shape = [1] * parameter.ndim
    if q.scale.size > 1:
        shape[q.dimension] = q.scale.size
    return torch.from_numpy(q.scale.astype(np.float64)).to(parameter.dtype).reshape(shape)
