"""The lifted graph: a .tflite file as a PyTorch module on integer codes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinymlsec.errors import UnsupportedModelError
from tinymlsec.lift.op import CODE_TYPES, LiftedOp, Site, State
from tinymlsec.lift.ops import build
from tinymlsec.lift.profiles import Profile, profile_named
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Subgraph
from tinymlsec.target.tflite.graph import Tensor as TensorInfo
from tinymlsec.target.tflite.shapes import check_shapes

STATE_OPERATORS = ("ASSIGN_VARIABLE", "CALL_ONCE")
CACHED_VALUES = 1 << 19
"""Values of a tensor, over all samples of a batch, that stay in the cache of common processors (2 MiB of float32)."""


class LiftedGraph(nn.Module):
    """A model whose forward pass gives the runtime's integers, with straight-through gradients.

    Args:
        model: the file, read. One input and one output of the main graph.
        profile: whose arithmetic: tflm, ruy or xnnpack.

    Raises:
        UnsupportedModelError: an operator, type or option that is not lifted, by name, with what still works.
    """

    def __init__(self, model: Model, profile: str | Profile = "tflm") -> None:
        super().__init__()
        self.model = model
        self.profile = profile_named(profile) if isinstance(profile, str) else profile
        main = model.main
        if len(main.inputs) != 1 or len(main.outputs) != 1:
            raise UnsupportedModelError(
                "only models with one input and one output are lifted",
                found=f"{len(main.inputs)} inputs, {len(main.outputs)} outputs",
                next_step="attacks that only ask the runtime still work",
            )
        self.input, self.output = main.tensors[main.inputs[0]], main.tensors[main.outputs[0]]
        if not _is_made(main, self.output):
            raise UnsupportedModelError(
                "no operator makes the output, so there is nothing to lift", found=f"tensor {self.output.index}"
            )
        self.programs = nn.ModuleList(_Program(model, graph, self.profile) for graph in model.subgraphs)
        _check_declared_shapes(model)

    def forward(self, codes: Tensor, *, keep: Iterable[int] = ()) -> Tensor | tuple[Tensor, dict[int, Tensor]]:
        """Output codes for input codes; models with state start from their initial state.

        Args:
            codes: (n, *input shape) or (n, *input shape without its leading 1), float32 holding the device's integers
                (real values where the model's border is float).
            keep: tensor numbers of the main graph whose values are wanted as well (logits before SOFTMAX, ...).

        Returns:
            (n, *output shape) as float32 codes; with `keep`, also a dictionary of values by tensor number.
        """
        output, kept = self.run(codes, self.initial_state(), tuple(keep))
        return (output, kept) if keep else output

    def run(self, codes: Tensor, state: State, keep: tuple[int, ...] = ()) -> tuple[Tensor, dict[int, Tensor]]:
        """One inference from a given state; `state` is changed in place."""
        x = codes.reshape((codes.shape[0], *self.input.shape))
        values = self.main({self.input.index: x}, state, {self.output.index, *keep})
        output = values[self.output.index]
        output = output.expand(len(x), *output.shape[1:])  # one row for all where no sample has a say
        return output, {index: values[index] for index in keep}

    def sequence(self, codes: Tensor) -> Tensor:
        """Output codes of every step of streams.

        Args:
            codes: (n, steps, *input shape) or without its leading 1.

        Returns:
            (n, steps, *output shape).
        """
        state = self.initial_state()
        return torch.stack([self.run(codes[:, t], state)[0] for t in range(codes.shape[1])], dim=1)

    @property
    def main(self) -> _Program:
        """The program of the main subgraph."""
        program = self.programs[0]
        assert isinstance(program, _Program)
        return program

    def initial_state(self) -> State:
        """Resource variables as the initialization subgraphs leave them."""
        state: State = {}
        for operator in self.model.main.operators:
            if operator.name == "CALL_ONCE":
                number = int(operator.options.get("init_subgraph_index") or 0)  # type: ignore[arg-type]
                self.programs[number]({}, state)
        return state

    def refresh(self) -> None:
        """Take up changed weights; call it after weights were written and before results are trusted."""
        for module in self.modules():
            if isinstance(module, LiftedOp):
                module.refresh()

    @torch.no_grad()
    def predict(self, codes: NDArray[np.generic], batch: int | None = None) -> NDArray[np.generic]:
        """Outputs as the device gives them, without gradients.

        Args:
            codes: (n, ...) in the input's type.
            batch: samples at a time; None for `batch`.

        Returns:
            (n, *output shape) in the output's type.
        """
        batch = batch or self.batch
        parts = [self.forward(self.as_input(codes[i : i + batch])) for i in range(0, len(codes), batch)]
        whole = torch.cat([part for part in parts if isinstance(part, Tensor)])
        return whole.numpy().astype(self.output.dtype)

    def as_input(self, codes: NDArray[np.generic]) -> Tensor:
        """Inputs of the device in the type in which values travel; the shape stays."""
        return as_value(codes, self.input)

    @cached_property
    def batch(self) -> int:
        """Samples at a time with which the largest tensor of the main graph stays in the processor's cache."""
        tensors, buffers = self.model.main.tensors, self.model.buffers
        largest = max((math.prod(t.shape) for t in tensors if not len(buffers[t.buffer].data)), default=1)
        return min(max(CACHED_VALUES // max(largest, 1), 16), 512)

    def weights(self) -> Mapping[int, nn.Parameter]:
        """Parameters by tensor number of the main graph: weights as the file holds them, in the file's shape."""
        return {
            int(name.rpartition("weight_")[2]): parameter
            for name, parameter in self.named_parameters()
            if "weight_" in name and name.startswith("programs.0.")
        }


class _Program(nn.Module):
    """The operators of one subgraph in order."""

    def __init__(self, model: Model, graph: Subgraph, profile: Profile) -> None:
        super().__init__()
        self.graph = graph
        self.constants: dict[int, str] = {}
        for tensor in graph.tensors:
            value = constant(model, tensor) if _is_read(graph, tensor) else None
            if value is not None:
                self.constants[tensor.index] = f"constant_{tensor.index}"
                self.register_buffer(f"constant_{tensor.index}", as_value(value, tensor)[None], persistent=False)
        self.dying = _dying(graph)
        sites = [Site(model, graph, operator, profile) for operator in graph.operators]
        self.ops = nn.ModuleList(build(site) for site in sites)

    def __call__(
        self, values: dict[int, Tensor], state: State, wanted: Iterable[int] | None = None
    ) -> dict[int, Tensor]:
        """Run the operators, but those whose outputs are given.

        Args:
            values: values of inputs, or of any tensors, by number.
            state: resource variables; changed in place.
            wanted: tensors whose values are needed; the others are dropped as soon as no operator reads them any more,
                and without state operators the run ends with the last one that is needed. None keeps everything.

        Returns:
            values by tensor number.
        """
        given, kept = frozenset(values), None if wanted is None else frozenset(wanted)
        values = {**{index: getattr(self, name) for index, name in self.constants.items()}, **values}
        empty = torch.empty(0)
        for place in range(self._end(kept)):
            operator, op = self.graph.operators[place], self.ops[place]
            if operator.outputs and given.issuperset(operator.outputs):
                continue
            inputs = [values.get(index, empty) for index in operator.inputs]
            values.update(zip(operator.outputs, op(inputs, state), strict=True))
            if kept is not None:
                for index in self.dying[place] - kept:
                    values.pop(index, None)
        return values

    def _end(self, wanted: frozenset[int] | None) -> int:
        """Number of operators to run."""
        operators = self.graph.operators
        if wanted is None or any(op.name in STATE_OPERATORS for op in operators):
            return len(operators)
        return max((op.index + 1 for op in operators if wanted.intersection(op.outputs)), default=0)


def _dying(graph: Subgraph) -> list[frozenset[int]]:
    """Per operator, the tensors that no later one reads."""
    last = {tensor: op.index for op in graph.operators for tensor in (*op.outputs, *op.inputs)}
    dying: list[set[int]] = [set() for _ in graph.operators]
    for tensor, place in last.items():
        dying[place].add(tensor)
    return [frozenset(tensors) for tensors in dying]


def _check_declared_shapes(model: Model) -> None:
    """Values take the sizes that operators compute; a file that declares others would not run as it says."""
    for wrong in check_shapes(model):
        if min(wrong.declared, default=0) >= 0 and math.prod(wrong.declared) != math.prod(wrong.inferred):
            raise UnsupportedModelError(
                f"the declared shape of output {wrong.output} of operator {wrong.op} is not the one it computes",
                offset=wrong.offset,
                found=str(list(wrong.declared)),
                expected=str(list(wrong.inferred)),
                next_step="convert the model again; attacks that only ask the runtime still work",
            )


def _is_made(graph: Subgraph, output: TensorInfo) -> bool:
    return output.index in graph.inputs or any(output.index in op.outputs for op in graph.operators)


def as_value(array: NDArray[np.generic], tensor: TensorInfo) -> Tensor:
    """A constant in the type in which values travel."""
    target = np.float32 if tensor.dtype in (*CODE_TYPES, "float32") else np.int64
    return torch.from_numpy(np.array(array, dtype=target))


def _is_read(graph: Subgraph, tensor: TensorInfo) -> bool:
    return any(tensor.index in op.inputs for op in graph.operators) or tensor.index in graph.outputs
