"""Control flow, calls, resource variables and hash tables."""

from __future__ import annotations

from tinymlsec.target.tflite.graph import Subgraph
from tinymlsec.target.tflite.shapes.core import Answer, OpView, Shape


def nothing(view: OpView) -> list[Answer]:
    """ASSIGN_VARIABLE, HASHTABLE_IMPORT: no output."""
    view.shape(0)
    return []


def _subgraph(view: OpView, option: str) -> Subgraph:
    index, count = view.option(option), len(view.model.subgraphs)
    view.require(0 <= index < count, f"option {option} is no subgraph", found=index, expected=f"less than {count}")
    return view.model.subgraphs[index]


def _shapes(view: OpView, graph: Subgraph, tensors: tuple[int, ...]) -> list[Shape]:
    inside = all(0 <= index < len(graph.tensors) for index in tensors)
    view.require(inside, f"inputs or outputs of subgraph {graph.index} are no tensors", found=tensors[:8])
    return [graph.tensors[index].shape for index in tensors]


def _output_shapes(view: OpView, graph: Subgraph) -> list[Shape]:
    view.require(
        len(graph.outputs) == len(view.op.outputs),
        f"outputs of subgraph {graph.index}",
        found=len(graph.outputs),
        expected=len(view.op.outputs),
    )
    return _shapes(view, graph, graph.outputs)


def call(view: OpView) -> list[Answer]:
    """CALL: the outputs of the subgraph."""
    return list(_output_shapes(view, _subgraph(view, "subgraph")))


def call_once(view: OpView) -> list[Answer]:
    """CALL_ONCE: runs a subgraph without inputs or outputs."""
    graph = _subgraph(view, "init_subgraph_index")
    view.require(not graph.inputs and not graph.outputs, "the initializer takes and gives nothing", found=graph.outputs)
    return []


def composite(view: OpView) -> list[Answer]:
    """STABLEHLO_COMPOSITE: the outputs of its decomposition."""
    return list(_output_shapes(view, _subgraph(view, "decomposition_subgraph_index")))


def if_(view: OpView) -> list[Answer]:
    """IF: the outputs of both branches, where they agree."""
    then = _output_shapes(view, _subgraph(view, "then_subgraph_index"))
    other = _output_shapes(view, _subgraph(view, "else_subgraph_index"))
    return [a if a == b else f"the branches give {a} and {b}" for a, b in zip(then, other, strict=True)]


def while_(view: OpView) -> list[Answer]:
    """WHILE: the inputs, where the body leaves their shapes alone; the condition gives one truth value."""
    condition, body = _subgraph(view, "cond_subgraph_index"), _subgraph(view, "body_subgraph_index")
    view.require(len(condition.outputs) == 1, "outputs of the condition", found=len(condition.outputs), expected=1)
    inputs = [view.shape(position) for position in range(len(view.op.inputs))]
    after = _output_shapes(view, body)
    view.require(len(inputs) == len(after), "inputs of the loop", found=len(inputs), expected=len(after))
    return [a if a == b else f"the body turns {a} into {b}" for a, b in zip(inputs, after, strict=True)]


def scalar(view: OpView) -> list[Answer]:
    """VAR_HANDLE: a handle is a scalar."""
    return [()]


def one_element(view: OpView) -> list[Answer]:
    """HASHTABLE, HASHTABLE_SIZE: one element."""
    return [(1,)]


def read_variable(view: OpView) -> list[Answer]:
    """READ_VARIABLE: what the model assigns to the variable behind the handle."""
    handle = view.tensor(0).index
    name = view.variables.name_of(view.graph, handle)
    if name is None:
        return [f"depends on the variable handle in tensor {handle}"]
    shapes = view.variables.assigned(name)
    if len(shapes) == 1:
        return [next(iter(shapes))]
    return [f"{len(shapes)} different shapes are assigned to variable {name[1]!r}"]


def hashtable_find(view: OpView) -> list[Answer]:
    """HASHTABLE_FIND: one value per key."""
    return [view.shape(1)]
