"""What a model with variables starts from."""

from __future__ import annotations

import numpy as np

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Subgraph, Tensor


def starts_elsewhere(model: Model) -> bool:
    """True where the initialization (CALL_ONCE) gives a variable another value than its zero point.

    TensorFlow Lite Micro's reset fills variables with the zero point and does not run the initialization again, so such
    a model is only set back by a new interpreter.
    """
    numbers = {op.options.get("init_subgraph_index") for op in model.main.operators if op.name == "CALL_ONCE"}
    graphs = [g for g in model.subgraphs if g.index in numbers]
    return any(_assigns_else(model, graph) for graph in graphs)


def _assigns_else(model: Model, graph: Subgraph) -> bool:
    assigned = [op.inputs[1] for op in graph.operators if op.name == "ASSIGN_VARIABLE" and len(op.inputs) > 1]
    return any(index < 0 or not _is_zero(model, graph.tensors[index]) for index in assigned)


def _is_zero(model: Model, tensor: Tensor) -> bool:
    try:
        values = constant(model, tensor)
    except ModelFileError:
        return False
    if values is None:
        return False
    q = tensor.quantization
    zero = int(q.zero_point[0]) if q is not None and q.zero_point.size else 0
    return bool(np.all(values == zero))
