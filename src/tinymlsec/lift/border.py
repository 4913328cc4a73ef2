"""Where attacks take hold of a lifted graph: the integers it starts from, and the scores before they are squashed.

Attacks work on the codes of an `InputSpace`. In a model with float input whose first operator is QUANTIZE these are
that operator's outputs, so that is where codes are fed and where gradients arrive. A final SOFTMAX or LOGISTIC is left
out: in int8 it saturates, and no gradient comes back through a score that is stuck at 0 or 1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tinymlsec.lift.graph import LiftedGraph
from tinymlsec.lift.op import CODE_TYPES, State
from tinymlsec.target.space import InputSpace, scale_and_zero_point
from tinymlsec.target.tflite.graph import Model, Operator

SQUASHING = ("SOFTMAX", "LOGISTIC")
TRANSPARENT = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Operators that change how scores are written down and not what they say."""

Steps = Literal["max", "last"]


def core_entry(model: Model) -> int:
    """Tensor of the main graph that holds codes: the output of the first QUANTIZE where the input is float, else the
    input itself."""
    graph = model.main
    border = graph.inputs[0]
    readers = [op for op in graph.operators if border in op.inputs]
    if graph.tensors[border].dtype != "float32" or len(readers) != 1 or readers[0].name != "QUANTIZE":
        return border
    core = graph.tensors[readers[0].outputs[0]]
    return core.index if core.dtype in CODE_TYPES else border


def logits_tensor(model: Model) -> int:
    """Tensor of the main graph that holds the scores before the last SOFTMAX or LOGISTIC; the output where neither is
    last (QUANTIZE, DEQUANTIZE and changes of shape behind it do not count)."""
    graph = model.main
    makers: dict[int, Operator] = {tensor: op for op in graph.operators for tensor in op.outputs}
    at = graph.outputs[0]
    while at in makers and makers[at].name in TRANSPARENT:
        at = makers[at].inputs[0]
    return makers[at].inputs[0] if at in makers and makers[at].name in SQUASHING else graph.outputs[0]


def real_values(graph: LiftedGraph, tensor: int, values: Tensor) -> Tensor:
    """Codes of a tensor in real units; values that are real already stay as they are.

    Args:
        graph: the graph of the tensor.
        tensor: its number in the main graph.
        values: any shape.

    Returns:
        float32 of the same shape.
    """
    info = graph.model.main.tensors[tensor]
    scale, zero_point = scale_and_zero_point(info.quantization)
    if info.dtype not in CODE_TYPES or not scale:
        return values.to(torch.float32)
    return (values.to(torch.float32) - zero_point) * scale


def values_from_codes(graph: LiftedGraph, codes: Tensor, state: State, wanted: int) -> Tensor:
    """Value of one tensor of the main graph for codes, whatever the border is.

    Args:
        graph: the lifted graph.
        codes: (n, *sample shape), floating point; codes of the input space.
        state: resource variables; changed in place.
        wanted: tensor number.

    Returns:
        (n, *shape of the tensor).
    """
    entry = core_entry(graph.model)
    shape = graph.model.main.tensors[entry].shape
    return graph.main({entry: codes.reshape(codes.shape[0], *shape)}, state, (wanted,))[wanted]


def forward_from_codes(graph: LiftedGraph, codes: Tensor) -> Tensor:
    """Scores before the last SOFTMAX or LOGISTIC, in real units, of a model that starts from its initial state.

    Args:
        graph: the lifted graph.
        codes: (n, *sample shape), floating point, with or without gradients.

    Returns:
        (n, k) float32.
    """
    return _logits(graph, codes, graph.initial_state())


def _logits(graph: LiftedGraph, codes: Tensor, state: State) -> Tensor:
    wanted = logits_tensor(graph.model)
    values = values_from_codes(graph, codes, state, wanted)
    return real_values(graph, wanted, values).reshape(codes.shape[0], -1)


class LogitsView(nn.Module):
    """A lifted graph as a function from codes to scores, as attacks want it.

    Args:
        graph: the lifted graph.
        space: the input space that the codes are of.
        steps: how the scores of a stream become one: the largest or the last; by default the largest where there is
            one score (detection: the threshold is reached at some step), the last where there are more.
    """

    def __init__(self, graph: LiftedGraph, space: InputSpace, steps: Steps | None = None) -> None:
        super().__init__()
        self.graph, self.space, self.steps = graph, space, steps

    def forward(self, codes: Tensor) -> Tensor:
        """Scores in real units, with gradients for codes.

        Args:
            codes: (n, *sample shape), or (n, steps, *sample shape) for streams, floating point; the leading 1 of the
                model's input may be there as well.

        Returns:
            (n, k) float32.
        """
        if not self._is_stream(codes):
            return forward_from_codes(self.graph, codes)
        every = self.every_step(codes)
        largest = self.steps == "max" or (self.steps is None and every.shape[2] == 1)
        return every.amax(dim=1) if largest else every[:, -1]

    def every_step(self, codes: Tensor) -> Tensor:
        """Scores at every step of streams: (n, steps, *sample shape) gives (n, steps, k)."""
        state = self.graph.initial_state()
        return torch.stack([_logits(self.graph, codes[:, t], state) for t in range(codes.shape[1])], dim=1)

    def _is_stream(self, codes: Tensor) -> bool:
        """One axis more than a sample has; the tail must be a sample's shape, with or without its leading 1."""
        tail = tuple(codes.shape[2:])
        if tuple(codes.shape[1:]) in (self.space.shape, self.space.sample_shape):
            return False
        return tail in (self.space.shape, self.space.sample_shape)
