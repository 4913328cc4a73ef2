"""New values and new scales for tensors of a graph; topology, names, metadata and signatures stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import UsageError
from tinymlsec.lift.op import CODE_TYPES
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Buffer, Model, Quantization
from tinymlsec.target.tflite.schema import element_dtype


def replace_tensors(
    model: Model,
    values: Mapping[int, NDArray[np.generic]],
    quantizations: Mapping[int, Quantization] | None = None,
) -> Model:
    """A model with other constants and scales in its main graph.

    A tensor whose bytes other tensors use too gets a buffer of its own.

    Args:
        model: the model; it is not changed.
        values: new constants by tensor number, in the tensor's shape and type.
        quantizations: new scales and zero points by tensor number.

    Raises:
        UsageError: values of another shape or type than their tensor.
    """
    users = Counter(tensor.buffer for graph in model.subgraphs for tensor in graph.tensors)
    users.update(entry.buffer for entry in model.metadata)
    tensors, buffers = list(model.main.tensors), list(model.buffers)
    for index, quantization in (quantizations or {}).items():
        tensors[index] = replace(tensors[index], quantization=quantization)
    for index, value in values.items():
        data = _bytes(model, index, value)
        own = users[tensors[index].buffer] == 1
        number = tensors[index].buffer if own else len(buffers)
        buffers[number : number + 1] = [Buffer(number, data)]
        tensors[index] = replace(tensors[index], buffer=number)
    main = replace(model.main, tensors=tuple(tensors))
    return replace(model, subgraphs=(main, *model.subgraphs[1:]), buffers=tuple(buffers), size=0)


def _bytes(model: Model, index: int, value: NDArray[np.generic]) -> bytes:
    tensor = model.main.tensors[index]
    element = element_dtype(tensor.dtype)
    if element is None or value.dtype != element or value.shape != tensor.shape:
        raise UsageError(
            f"new values do not fit tensor {tensor.name[:80]}",
            found=f"{value.dtype}{list(value.shape)}",
            expected=f"{tensor.dtype}{list(tensor.shape)}",
        )
    return np.ascontiguousarray(value).tobytes()


@dataclass(frozen=True)
class Change:
    """How much of a model another one of the same topology changes: counts over the main graph."""

    weight_values: int
    weight_values_changed: int
    scales: int
    """All scales: of activations, of constants, and one for each channel where there are many."""
    scales_changed: int

    @property
    def weight_share(self) -> float:
        """Share of changed weights."""
        return self.weight_values_changed / max(self.weight_values, 1)

    @property
    def scale_share(self) -> float:
        """Share of changed scales."""
        return self.scales_changed / max(self.scales, 1)


def change_between(before: Model, after: Model) -> Change:
    """Counts what differs: weights element by element (biases, which are int32, left out), and all scales one by one.

    Raises:
        UsageError: the two models do not have the same tensors.
    """
    if [t.shape for t in before.main.tensors] != [t.shape for t in after.main.tensors]:
        raise UsageError("the models differ in their tensors", expected="the same topology")
    values = values_changed = scales = scales_changed = 0
    for old, new in zip(before.main.tensors, after.main.tensors, strict=True):
        if old.quantization is None or new.quantization is None or old.quantization.scale.size == 0:
            continue
        scales += old.quantization.scale.size
        scales_changed += int(np.sum(old.quantization.scale != new.quantization.scale))
        was, now = constant(before, old), constant(after, new)
        if old.dtype in CODE_TYPES and was is not None and now is not None:
            values += was.size
            values_changed += int(np.sum(was != now))
    return Change(values, values_changed, scales, scales_changed)
