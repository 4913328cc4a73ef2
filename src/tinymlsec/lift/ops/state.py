"""State that outlives an inference: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE and CALL_ONCE.

Which variable an operator means is fixed by the file, so handles carry nothing at run time and the variables live in
the `State` that is handed from operator to operator, under their shared names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tinymlsec.lift.op import CODE_TYPES, LiftedOp, Site, State, Support
from tinymlsec.target.tflite.graph import Model, Operator, Subgraph
from tinymlsec.target.tflite.graph import Tensor as TensorInfo


class VarHandle(LiftedOp):
    """A handle; what it stands for is read from the file by the operators that use it."""

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Nothing to an empty tensor."""
        return [torch.empty(0)]


class ReadVariable(LiftedOp):
    """The variable's value; before any assignment, what the runtime fills it with."""

    initial: Tensor

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.name = variable_of(site)
        self.register_buffer("initial", _fill(site, self.name, site.output()), persistent=False)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """A handle to (n, *shape), or (1, *shape) as long as all samples agree."""
        return [state.get(self.name, self.initial)]


class AssignVariable(LiftedOp):
    """Replaces the variable's value."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.name = variable_of(site)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """A handle and (n, *shape) to nothing."""
        state[self.name] = inputs[1]
        return []


class CallOnce(LiftedOp):
    """Nothing by itself: `LiftedGraph.initial_state` has run the initialization before the first inference."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        number = int(site.option("init_subgraph_index"))
        before = site.graph.operators[: site.op.index]
        if site.graph.index != 0 or not 0 < number < len(site.model.subgraphs):
            raise site.unsupported(f"subgraph {number} called from subgraph {site.graph.index}")
        if any(op.name in ("READ_VARIABLE", "ASSIGN_VARIABLE") for op in before):
            raise site.unsupported("variables are used before they are initialized")

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Nothing to nothing."""
        return []


def variable_of(site: Site) -> str:
    """Shared name of the variable that an operator reads or assigns.

    Raises:
        UnsupportedModelError: the handle comes from elsewhere than a VAR_HANDLE of the same subgraph, or two containers
            hold a variable of that name.
    """
    name = _handles(site.graph).get(site.op.inputs[0])
    if name is None:
        raise site.unsupported("its handle does not come from a VAR_HANDLE of the same subgraph")
    makers = (op for graph in site.model.subgraphs for op in graph.operators if op.name == "VAR_HANDLE")
    if len({op.options.get("container") for op in makers if op.options.get("shared_name") == name}) > 1:
        raise site.unsupported(f"variable {name[:80]} is in several containers")
    return name


def _handles(graph: Subgraph) -> dict[int, str]:
    """Shared names by the tensors that hold handles."""
    return {
        op.outputs[0]: str(op.options.get("shared_name") or "") for op in graph.operators if op.name == "VAR_HANDLE"
    }


def _assignments(model: Model, name: str) -> Iterator[tuple[Operator, TensorInfo]]:
    """Operators that assign a variable and what they assign, in the order in which the runtime prepares them."""
    for graph in model.subgraphs:
        handles = _handles(graph)
        for op in graph.operators:
            if op.name == "ASSIGN_VARIABLE" and handles.get(op.inputs[0]) == name:
                yield op, graph.tensors[op.inputs[1]]


def _fill(site: Site, name: str, output: TensorInfo) -> Tensor:
    """What a variable holds before it is assigned, (1, *shape): every byte is the zero point of the first tensor that
    the file assigns to it."""
    source = next((tensor for _, tensor in _assignments(site.model, name)), None)
    if source is None or source.shape != output.shape or source.dtype != output.dtype:
        raise site.unsupported(f"variable {name[:80]} is never assigned a tensor of the type and shape that is read")
    zeros = source.quantization.zero_point if source.quantization is not None else np.zeros(0, np.int64)
    byte = np.array([zeros[0] if zeros.size else 0]).astype(np.int8)
    element = np.repeat(byte, np.dtype(output.dtype).itemsize).view(output.dtype)[0]
    kind = torch.float32 if output.dtype in (*CODE_TYPES, "float32") else torch.int64
    return torch.full((1, *output.shape), float(element) if kind == torch.float32 else int(element), dtype=kind)


TYPES = ("int8", "int16", "int32", "float32")


def _typed(op: str, kind: str, build: type[ReadVariable] | type[AssignVariable]) -> Support:
    def accepts(site: Site) -> bool:
        value = site.output() if op == "READ_VARIABLE" else site.input(1)
        return value.dtype == kind

    return Support(op, kind, build, accepts, "handles from a VAR_HANDLE of the same subgraph")


SUPPORT = (
    Support(
        "VAR_HANDLE", "resource", lambda site: VarHandle(), lambda site: True, "shared names in one container each"
    ),
    *(_typed("READ_VARIABLE", kind, ReadVariable) for kind in TYPES),
    *(_typed("ASSIGN_VARIABLE", kind, AssignVariable) for kind in TYPES),
    Support("CALL_ONCE", "none", CallOnce, lambda site: True, "before any variable is used"),
)
