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


Call = tuple[Subgraph, Operator, int]
"""Caller, operator, and the subgraph that it runs."""


def edges(model: Model) -> Iterator[Call]:
    """All calls of subgraphs that exist, in file order."""
    for graph in model.subgraphs:
        for op in graph.operators:
            for _, callee in callees(op):
                if 0 <= callee < len(model.subgraphs):
                    yield graph, op, callee


def _calls_of(model: Model) -> list[list[Call]]:
    """Calls by calling subgraph."""
    calls: list[list[Call]] = [[] for _ in model.subgraphs]
    for edge in edges(model):
        calls[edge[0].index].append(edge)
    return calls


def _walk(calls: list[list[Call]]) -> Iterator[tuple[int, Call | None]]:
    """Depth first over all subgraphs: (subgraph, call that closes a circle) as met, (subgraph, None) when done."""
    unseen, open_, done = 0, 1, 2
    state = [unseen] * len(calls)
    for start in range(len(calls)):
        if state[start] != unseen:
            continue
        state[start] = open_
        waiting = [(start, iter(calls[start]))]
        while waiting:
            here, rest = waiting[-1]
            call = next(rest, None)
            if call is None:
                state[here] = done
                waiting.pop()
                yield here, None
            elif state[call[2]] == open_:
                yield here, call
            elif state[call[2]] == unseen:
                state[call[2]] = open_
                waiting.append((call[2], iter(calls[call[2]])))


def closing_calls(model: Model) -> list[Call]:
    """Calls that lead back to a subgraph that is running; none of them, no circle."""
    return [call for _, call in _walk(_calls_of(model)) if call is not None]


def longest_chain(model: Model) -> tuple[int, Call | None]:
    """Length of the longest chain of calls and the call that begins it; 0 and None where calls run in circles."""
    calls = _calls_of(model)
    steps = list(_walk(calls))
    if any(call is not None for _, call in steps):
        return 0, None
    length = [0] * len(calls)
    first: Call | None = None
    deepest = 0
    for here, _ in steps:  # a subgraph is done after all that it runs
        for call in calls[here]:
            length[here] = max(length[here], length[call[2]] + 1)
            if length[call[2]] + 1 > deepest:
                deepest, first = length[call[2]] + 1, call
    return deepest, first
