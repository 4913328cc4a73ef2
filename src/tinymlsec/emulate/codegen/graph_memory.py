"""From a subgraph's operators to places in the arena: lifetimes, shared memory, scratch memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinymlsec.emulate.codegen.arena import Block, Placement, lower_bound, place
from tinymlsec.emulate.codegen.lowering import Lowered, Place
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Subgraph
from tinymlsec.target.tflite.schema import byte_size

SCRATCH = 1 << 32
"""Blocks from this number on are the scratch memory of operators."""


@dataclass(frozen=True)
class GraphMemory:
    """Where everything of one subgraph lies."""

    bytes: int
    offsets: dict[int, int]
    """By tensor."""
    scratch: dict[int, int]
    """By operator."""
    bound: int
    """See `ArenaPlan.bound`."""
    shared: frozenset[int]
    """Operators whose output 0 is their input: nothing is left to do."""


def plan_graph(model: Model, graph: Subgraph, operators: Sequence[tuple[Place, Lowered]]) -> GraphMemory:
    """Plans the arena of one subgraph: with results written over their inputs, and without; the smaller one counts.

    Raises:
        UnsupportedModelError: an operator reads what nothing makes, or writes what is not its own.
    """
    lives = _Lives(model, graph, operators)
    plain = _planned(lives, operators, in_place=False)
    better = _planned(lives, operators, in_place=True)
    return better if better.bytes < plain.bytes else plain


class _Lives:
    """First and last operator of every tensor that lies in the arena."""

    def __init__(self, model: Model, graph: Subgraph, operators: Sequence[tuple[Place, Lowered]]) -> None:
        self.bytes: dict[int, int] = {}
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.model, self.graph = model, graph
        for index in graph.inputs:
            self._begin(index, -1)
        for number, (where, _) in enumerate(operators):
            for index in where.op.inputs:
                self._read(where, index, number)
            for index in where.op.outputs:
                if index in self.first or constant(model, graph.tensors[index]) is not None:
                    raise where.unsupported(f"it writes tensor {index}, which is a constant or made elsewhere")
                self._begin(index, number)
        for index in graph.outputs:
            if index in self.first:
                self.last[index] = len(operators)

    def _begin(self, index: int, number: int) -> None:
        tensor = self.graph.tensors[index]
        elements = 1
        for dimension in tensor.shape:
            elements *= max(dimension, 0)
        self.bytes[index] = byte_size(tensor.dtype, elements) or 0
        self.first[index] = self.last[index] = number

    def _read(self, where: Place, index: int, number: int) -> None:
        if index in self.first:
            self.last[index] = number
        elif index >= 0 and constant(self.model, self.graph.tensors[index]) is None:
            raise where.unsupported(f"it reads tensor {index}, which nothing has made before")


class _Groups:
    """Tensors that share memory, by the tensor that stands for all."""

    def __init__(self, lives: _Lives) -> None:
        self.lives = lives
        self.head = {index: index for index, size in lives.bytes.items() if size > 0}
        self.first, self.last = dict(lives.first), dict(lives.last)

    def join(self, source: int, target: int, number: int, *, overwrite: bool) -> bool:
        """Let a tensor take the memory of another one; False where they differ in size or one lies elsewhere.

        What is overwritten must have been read for the last time, under whatever name.
        """
        if source not in self.head or target not in self.head or self.lives.bytes[source] != self.lives.bytes[target]:
            return False
        head = self.head[source]
        if overwrite and self.last[head] != number:
            return False
        self.head[target] = head
        self.last[head] = max(self.last[head], self.lives.last[target])
        return True

    def blocks(self) -> list[Block]:
        heads = sorted(set(self.head.values()))
        return [Block(h, self.lives.bytes[h], self.first[h], self.last[h]) for h in heads]


def _planned(lives: _Lives, operators: Sequence[tuple[Place, Lowered]], *, in_place: bool) -> GraphMemory:
    groups, shared = _Groups(lives), set()
    for number, (where, lowered) in enumerate(operators):
        if not where.op.outputs:
            continue
        target = where.op.outputs[0]
        if lowered.alias is not None and groups.join(where.op.inputs[lowered.alias], target, number, overwrite=False):
            shared.add(number)
        elif in_place:
            any(groups.join(where.op.inputs[k], target, number, overwrite=True) for k in lowered.in_place)
    extra = [
        Block(SCRATCH + number, lowered.scratch_bytes, number, number)
        for number, (_, lowered) in enumerate(operators)
        if lowered.scratch_bytes > 0
    ]
    placed = place([*groups.blocks(), *extra])
    return _memory(lives, groups, placed, extra, frozenset(shared))


def _memory(
    lives: _Lives, groups: _Groups, placed: Placement, extra: Sequence[Block], shared: frozenset[int]
) -> GraphMemory:
    alone = [Block(i, size, lives.first[i], lives.last[i]) for i, size in lives.bytes.items() if size > 0]
    return GraphMemory(
        placed.bytes,
        {index: placed.offsets[head] for index, head in groups.head.items()},
        {number - SCRATCH: offset for number, offset in placed.offsets.items() if number >= SCRATCH},
        lower_bound([*alone, *extra]),
        shared,
    )
