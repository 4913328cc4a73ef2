"""From a model to a `Program`: checks, lowering of every operator, the plan of the arena, then text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.codegen import emit
from tinymlsec.emulate.codegen.graph_memory import GraphMemory, plan_graph
from tinymlsec.emulate.codegen.lowering import Place, Table, Variable, tensor_name
from tinymlsec.emulate.codegen.ops import lower
from tinymlsec.emulate.codegen.parts import Part, Whole, describe, layer_symbol, named_tensors
from tinymlsec.emulate.codegen.program import ArenaPlan, Layer, Port, Program, Span
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.codegen.text import C_TYPES
from tinymlsec.emulate.codegen.variables import Key, handles, variables
from tinymlsec.errors import UnsupportedModelError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Subgraph
from tinymlsec.target.tflite.schema import byte_size
from tinymlsec.target.tflite.shapes import check_shapes

MOST_OPERATORS = 4096
MOST_TABLE_BYTES = 16 << 20
"""Constant tables; the largest flash of any device that is listed is smaller."""
MOST_ARENA_BYTES = 64 << 20
MOST_GRAPHS = 16
_STILL_WORKS = "attacks that only ask the runtime still work; those on generated firmware do not"


def generate(model: Model, style: Style = Style.PLAIN, *, profile: object = None) -> Program:
    """A model as C that computes the integers of the TensorFlow Lite Micro reference kernels.

    Args:
        model: the file, read.
        style: how inner loops of layers with weights are written.
        profile: not used: generated code always rounds as the device's runtime.

    Returns:
        files, layers and memory.

    Raises:
        UnsupportedModelError: an operator, type or option for which no C is generated, by name; a model beyond the
            bounds of this module.
    """
    _check(model)
    known = variables(model)
    parts = tuple(_part(model, graph, style, known) for graph in _graphs(model))
    arena = max(part.memory.bytes for part in parts)
    whole = Whole(model, parts, tuple(known.values()), arena, _tables(model, parts), style)
    _check_sizes(whole)
    main = parts[0]
    return Program(
        files=emit.files(whole),
        layers=tuple(_layer(main, number) for number in range(len(main.places))),
        arena=ArenaPlan(arena, main.memory.offsets, main.memory.bound),
        weights_bytes=sum(table.values.nbytes for table in whole.tables),
        variables_bytes=sum(variable.bytes for variable in known.values()),
        inputs=tuple(port(main, index) for index in model.main.inputs),
        outputs=tuple(port(main, index) for index in model.main.outputs),
        style=style,
    )


def _check(model: Model) -> None:
    if not model.subgraphs or not model.main.outputs:
        raise UnsupportedModelError("no C is generated for a model without output", next_step=_STILL_WORKS)
    operators = sum(len(graph.operators) for graph in model.subgraphs)
    if operators > MOST_OPERATORS:
        raise UnsupportedModelError(
            "no C is generated for so many operators",
            found=str(operators), expected=f"at most {MOST_OPERATORS}", next_step=_STILL_WORKS,
        )  # fmt: skip
    for wrong in check_shapes(model):
        if wrong.declared != wrong.inferred and _count(wrong.declared) != _count(wrong.inferred):
            raise UnsupportedModelError(
                f"the declared shape of output {wrong.output} of operator {wrong.op} is not the one it computes",
                offset=wrong.offset, found=str(list(wrong.declared)), expected=str(list(wrong.inferred)),
                next_step="convert the model again; " + _STILL_WORKS,
            )  # fmt: skip
    for index in (*model.main.inputs, *model.main.outputs):
        _check_port(model, index)


def _check_port(model: Model, index: int) -> None:
    tensor = model.main.tensors[index]
    made = index in model.main.inputs or any(index in op.outputs for op in model.main.operators)
    if tensor.dtype not in C_TYPES or min(tensor.shape, default=1) < 1 or not (made or _value(model, tensor.index)):
        raise UnsupportedModelError(
            f"no C is generated for input or output tensor {index}",
            offset=tensor.offset, found=f"{tensor.dtype}{list(tensor.shape)}, {'made' if made else 'never made'}",
            expected="a tensor of fixed size of " + ", ".join(C_TYPES), next_step=_STILL_WORKS,
        )  # fmt: skip


def _value(model: Model, index: int) -> bool:
    return constant(model, model.main.tensors[index]) is not None


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(np.array(shape, dtype=object))) if len(shape) else 1


def _check_sizes(whole: Whole) -> None:
    tables = sum(table.values.nbytes for table in whole.tables)
    memory = whole.arena + sum(variable.bytes for variable in whole.variables)
    for what, found, most in (("tables", tables, MOST_TABLE_BYTES), ("arena", memory, MOST_ARENA_BYTES)):
        if found > most:
            raise UnsupportedModelError(
                f"no C is generated for a model with so large {what}",
                found=f"{found} bytes", expected=f"at most {most} bytes", next_step=_STILL_WORKS,
            )  # fmt: skip


def _graphs(model: Model) -> Iterator[Subgraph]:
    """The main graph and those that it initializes its variables with."""
    yield model.main
    seen = {0}
    for op in model.main.operators:
        if op.name == "CALL_ONCE":
            number = int(op.options.get("init_subgraph_index") or 0)  # type: ignore[arg-type]
            if not 0 < number < len(model.subgraphs) or len(seen) > MOST_GRAPHS:
                raise UnsupportedModelError(
                    f"no C is generated for operator {op.index} (CALL_ONCE)",
                    offset=op.offset, found=f"subgraph {number}", next_step=_STILL_WORKS,
                )  # fmt: skip
            if number not in seen:
                seen.add(number)
                yield model.subgraphs[number]


def _part(model: Model, graph: Subgraph, style: Style, known: dict[Key, Variable]) -> Part:
    bound = {tensor: known[key] for tensor, key in handles(graph).items() if key in known}
    places = tuple(Place(model, graph, op, style, bound) for op in graph.operators)
    for where in places:
        _check_tensors(where)
    lowered = tuple(lower(where) for where in places)
    memory = plan_graph(model, graph, list(zip(places, lowered, strict=True)))
    return Part(graph, places, lowered, memory)


def _check_tensors(where: Place) -> None:
    """Shapes that can be, and no state but in variables with a handle."""
    for index in (*where.op.inputs, *where.op.outputs):
        if index < 0:
            continue
        tensor = where.graph.tensors[index]
        if min(tensor.shape, default=0) < 0:
            raise where.unsupported(f"tensor {index} has no fixed shape")
        if tensor.is_variable:
            raise where.unsupported(f"tensor {index} keeps its value from one inference to the next")
        if tensor.sparse:
            raise where.unsupported(f"tensor {index} is sparse")


@dataclass(frozen=True)
class _Constant:
    graph: Subgraph
    index: int
    values: NDArray[Any]


def _tables(model: Model, parts: Sequence[Part]) -> tuple[Table, ...]:
    """Tables of the operators, then constants that layers read from memory or that are outputs."""
    tables = [table for part in parts for lowered in part.lowered for table in lowered.tables]
    return (*tables, *(_constant_table(found) for part in parts for found in _constants(model, part)))


def _constants(model: Model, part: Part) -> Iterator[_Constant]:
    outputs = part.graph.outputs if part.graph.index == 0 else ()
    for index in sorted(named_tensors(part) | set(outputs)):
        if index in part.memory.offsets:
            continue
        values = constant(model, part.graph.tensors[index])
        if values is not None and values.size:
            yield _Constant(part.graph, index, values)


def _constant_table(found: _Constant) -> Table:
    tensor = found.graph.tensors[found.index]
    return Table(tensor_name(found.graph, found.index), C_TYPES[tensor.dtype], found.values, describe(tensor))


def port(part: Part, index: int) -> Port:
    """Record of an input or output of the model."""
    tensor = part.graph.tensors[index]
    size = byte_size(tensor.dtype, _count(tensor.shape)) or 0
    return Port(index, size, tensor.dtype, tensor.shape, part.memory.offsets.get(index))


def _layer(part: Part, number: int) -> Layer:
    where, lowered = part.places[number], part.lowered[number]
    return Layer(
        where.op.index,
        where.op.label[:80],
        layer_symbol(where),
        where.symbol("pix") if lowered.pixel else "",
        lowered.pixels,
        tuple(_span(part.memory, where, index) for index in where.op.inputs if index >= 0),
        tuple(_span(part.memory, where, index) for index in where.op.outputs),
    )


def _span(memory: GraphMemory, where: Place, index: int) -> Span:
    tensor = where.graph.tensors[index]
    return Span(index, byte_size(tensor.dtype, _count(tensor.shape)) or 0, memory.offsets.get(index))
