"""What a model needs of a device at least: memory for tensors that live together, multiplications, unpacked bytes."""

from __future__ import annotations

from math import prod

import numpy as np

from tinymlsec.target.tflite.graph import Model, Operator, Subgraph, Tensor
from tinymlsec.target.tflite.schema import byte_size

MAX_BYTES = 2**31 - 1


def tensor_size(tensor: Tensor) -> int:
    """Bytes by shape and type; 0 where the type has no size, or where the size is itself a fault (SHAPE-05)."""
    size = byte_size(tensor.dtype, prod(tensor.shape)) or 0
    return size if size <= MAX_BYTES else 0


def arena_lower_bound(model: Model) -> tuple[int, int]:
    """(bytes, operator): the most that computed tensors of the main subgraph need at one operator.

    A lower bound of any memory plan: at an operator its inputs and outputs are there, and every tensor that was written
    before and is read later. Scratch memory and the runtime's own structures come on top. Tensors that no operator
    reads or writes do not count.
    """
    graph = model.main
    count = len(graph.operators)
    if count == 0:
        return 0, 0
    change = np.zeros(count + 1, np.int64)
    for index, (first, last) in _lives(graph, count).items():
        tensor = graph.tensors[index]
        if len(model.buffers[tensor.buffer].data) == 0 or tensor.is_variable:
            size = tensor_size(tensor)
            change[first] += size
            change[last + 1] -= size
    live = np.cumsum(change)
    place = int(np.argmax(live))
    return int(live[place]), min(place, count - 1)


def _lives(graph: Subgraph, count: int) -> dict[int, tuple[int, int]]:
    lives: dict[int, tuple[int, int]] = {}
    for place, op in enumerate(graph.operators):
        for index in (*op.inputs, *op.outputs):
            if index >= 0:
                first, _ = lives.get(index, (place, place))
                lives[index] = (first, place)
    for index in graph.inputs:
        lives[index] = (0, lives.get(index, (0, 0))[1])
    for index in graph.outputs:
        lives[index] = (lives.get(index, (0, 0))[0], count - 1)
    for index, (_, _) in lives.items():
        if graph.tensors[index].is_variable:
            lives[index] = (0, count - 1)
    return lives


_WEIGHTED = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "TRANSPOSE_CONV": 1,
    "CONV_3D": 1,
    "CONV_3D_TRANSPOSE": 1,
}


def multiplications(graph: Subgraph, op: Operator) -> int:
    """Multiply-accumulates of an operator with weights, by declared shapes; 0 for others."""
    place = _WEIGHTED.get(op.name)
    if place is None or len(op.inputs) <= place or not op.outputs or op.inputs[place] < 0:
        return 0
    weights, output = graph.tensors[op.inputs[place]].shape, graph.tensors[op.outputs[0]].shape
    if not weights:
        return 0
    channels = weights[-1] if op.name == "DEPTHWISE_CONV_2D" else weights[0]
    if op.name == "CONV_3D":
        channels = weights[-1]
    if op.name in ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"):
        data = graph.tensors[op.inputs[2]].shape if len(op.inputs) > 2 and op.inputs[2] >= 0 else ()
        return prod(weights) * prod(data[:-1]) if data else 0
    return prod(output) * (prod(weights) // max(channels, 1))
