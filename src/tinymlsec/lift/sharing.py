"""Which activations must have the same scale, and which scales may not change, by what the kernels insist on."""

from __future__ import annotations

from tinymlsec.lift.layers import CHANNEL_AXES
from tinymlsec.lift.op import CODE_TYPES
from tinymlsec.target.tflite.graph import Model, Operator

SHARE = (
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "TRANSPOSE",
    "PAD",
    "PADV2",
    "CONCATENATION",
    "SPLIT",
    "SPLIT_V",
    "STRIDED_SLICE",
    "PACK",
)
"""Operators that move, pool or join codes without rescaling them: inputs and outputs have one scale."""
KEEP = ("SOFTMAX", "LOGISTIC", "TANH")
"""Operators whose output has the scale that their kernel insists on."""


def kept_tensors(model: Model) -> set[int]:
    """Tensors of the main graph whose quantization is fixed by the kernel that writes them."""
    return {t for op in model.main.operators if op.name in KEEP for t in op.outputs}


def sharing_groups(model: Model) -> list[set[int]]:
    """Every quantized activation (and constant that is used as one) of the main graph, grouped by shared scale.

    Returns:
        Disjoint sets of tensor numbers; most have one member.
    """
    graph = model.main
    weights = {t for op in graph.operators if op.name in CHANNEL_AXES for t in op.inputs[1:]}
    groups = {t.index: {t.index} for t in graph.tensors if _is_code(model, t.index) and t.index not in weights}
    for op in graph.operators:
        if op.name in SHARE:
            _join(groups, op)
    return [group for index, group in groups.items() if index == min(group)]


def _join(groups: dict[int, set[int]], op: Operator) -> None:
    members = [t for t in (*op.inputs, *op.outputs) if t in groups]
    joined: set[int] = set().union(*(groups[t] for t in members))
    for t in joined:
        groups[t] = joined


def _is_code(model: Model, index: int) -> bool:
    tensor = model.main.tensors[index]
    return tensor.dtype in CODE_TYPES and tensor.quantization is not None and tensor.quantization.scale.size == 1
