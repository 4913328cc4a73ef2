"""Shapes of resource variables: what the operators of a model assign to each name."""

from __future__ import annotations

from collections import defaultdict

from tinymlsec.target.tflite.graph import Model, Operator, Subgraph

VariableName = tuple[str, str]
"""Container and shared name, which together identify a variable in all subgraphs."""


def variable_name(op: Operator) -> VariableName:
    """The variable that a VAR_HANDLE stands for."""
    return str(op.options.get("container") or ""), str(op.options.get("shared_name") or "")


class VariableShapes:
    """Which shapes a model assigns to each variable. One pass over all operators, made when first asked."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._handles: list[dict[int, VariableName]] | None = None
        self._shapes: dict[VariableName, set[tuple[int, ...]]] = {}

    def name_of(self, graph: Subgraph, tensor: int) -> VariableName | None:
        """The variable whose handle lies in a tensor; None where no VAR_HANDLE of the subgraph wrote it."""
        handles = self._collect()
        return handles[graph.index].get(tensor) if graph.index < len(handles) else None

    def assigned(self, name: VariableName) -> set[tuple[int, ...]]:
        """Every shape assigned to the variable, anywhere in the model."""
        self._collect()
        return self._shapes.get(name, set())

    def _collect(self) -> list[dict[int, VariableName]]:
        if self._handles is None:
            self._handles = [_handles(graph) for graph in self._model.subgraphs]
            shapes: defaultdict[VariableName, set[tuple[int, ...]]] = defaultdict(set)
            for graph, handles in zip(self._model.subgraphs, self._handles, strict=True):
                for name, shape in _assignments(graph, handles):
                    shapes[name].add(shape)
            self._shapes = dict(shapes)
        return self._handles


def _handles(graph: Subgraph) -> dict[int, VariableName]:
    return {t: variable_name(op) for op in graph.operators if op.name == "VAR_HANDLE" for t in op.outputs}


def _assignments(graph: Subgraph, handles: dict[int, VariableName]) -> list[tuple[VariableName, tuple[int, ...]]]:
    found = []
    for op in graph.operators:
        if op.name == "ASSIGN_VARIABLE" and len(op.inputs) == 2 and op.inputs[0] in handles:
            value = op.inputs[1]
            if 0 <= value < len(graph.tensors):
                found.append((handles[op.inputs[0]], graph.tensors[value].shape))
    return found
