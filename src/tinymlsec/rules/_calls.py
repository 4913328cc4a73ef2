"""Which operators run which subgraphs."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.target.tflite.graph import Model, Operator, Subgraph

CALLS: dict[str, tuple[str, ...]] = {
    "CALL": ("subgraph",),
    "CALL_ONCE": ("init_subgraph_index",),
    "IF": ("then_subgraph_index", "else_subgraph_index"),
    "WHILE": ("cond_subgraph_index", "body_subgraph_index"),
    "STABLEHLO_COMPOSITE": ("decomposition_subgraph_index",),
    "STABLEHLO_REDUCE": ("body_subgraph_index",),
    "STABLEHLO_REDUCE_WINDOW": ("body_subgraph_index",),
    "STABLEHLO_SCATTER": ("update_computation_subgraph_index",),
    "STABLEHLO_SORT": ("comparator_subgraph_index",),
    "STABLEHLO_WHILE": ("cond_subgraph_index", "body_subgraph_index"),
}
"""Options that name a subgraph, by operator. Source: TensorFlow Lite schema 2.18."""


def callees(op: Operator) -> Iterator[tuple[str, int]]:
    """(option, subgraph) of all that an operator runs; without an options table the numbers are 0, as in runtimes."""
    for option in CALLS.get(op.name, ()):
        value = op.options.get(option, 0)
        yield option, int(value) if isinstance(value, int) else 0


def edges(model: Model) -> Iterator[tuple[Subgraph, Operator, int]]:
    """(caller, operator, subgraph that is run), of subgraphs that exist."""
    for graph in model.subgraphs:
        for op in graph.operators:
            for _, callee in callees(op):
                if 0 <= callee < len(model.subgraphs):
                    yield graph, op, callee
