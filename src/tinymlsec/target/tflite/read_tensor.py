"""Tensor tables of a subgraph into the typed graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.tflite.flatbuffer import View, malformed
from tinymlsec.target.tflite.graph import Quantization, Tensor
from tinymlsec.target.tflite.limits import MAX_RANK
from tinymlsec.target.tflite.schema import table, tensor_type_name

_QUANTIZATION = table("QuantizationParameters")
_SPARSITY = table("SparsityParameters")
_CONVERT_AGAIN = "convert the model again; do not deploy this file"


def read_tensor(view: View, index: int, buffers: int) -> Tensor:
    """One tensor.

    Args:
        view: its table.
        index: its place in the subgraph.
        buffers: how many buffers the model has.

    Raises:
        ModelFileError: the table is damaged, the rank is too high, a dimension is negative or there is no such buffer.
    """
    buffer = view.value("buffer")
    if buffer >= buffers:
        malformed(
            f"tensor {index} refers to a buffer that does not exist",
            view.at,
            rule="IDX-02",
            found=f"buffer {buffer}",
            expected=f"below {buffers}",
            next_step=_CONVERT_AGAIN,
        )
    return Tensor(
        index=index,
        name=view.text("name"),
        shape=_shape(view, "shape", index, lowest=0),
        dtype=tensor_type_name(view.value("type")),
        buffer=buffer,
        quantization=_quantization(view),
        is_variable=view.value("is_variable"),
        shape_signature=_shape(view, "shape_signature", index, lowest=-1),
        has_rank=view.value("has_rank"),
        sparse=view.follow("sparsity", _SPARSITY) is not None,
        offset=view.at,
    )


def _shape(view: View, field: str, index: int, lowest: int) -> tuple[int, ...]:
    span = view.raw(field)
    if span is None:
        return ()
    start, rank = span
    if rank > MAX_RANK:
        malformed(
            f"tensor {index} has too many dimensions",
            start - 4,
            rule="STRUCT-06",
            found=f"rank {rank}",
            expected=f"at most {MAX_RANK}",
            next_step=_CONVERT_AGAIN,
        )
    shape = view.values(field) or ()
    for axis, dimension in enumerate(shape):
        if dimension < lowest:
            malformed(
                f"tensor {index} has an impossible dimension",
                start + 4 * axis,
                rule="STRUCT-07",
                found=f"{field} = {list(shape)}",
                expected=f"dimensions from {lowest}",
                next_step=_CONVERT_AGAIN,
            )
    return shape


def _quantization(view: View) -> Quantization | None:
    quantization = view.follow("quantization", _QUANTIZATION)
    if quantization is None:
        return None
    scale = _array(quantization, "scale", np.float32)
    zero_point = quantization.array("zero_point")
    return Quantization(
        scale=scale,
        zero_point=np.zeros(scale.size, np.int64) if zero_point is None else zero_point.astype(np.int64, copy=False),
        dimension=quantization.value("quantized_dimension"),
        minimum=quantization.array("min"),
        maximum=quantization.array("max"),
    )


def _array(view: View, name: str, dtype: type[Any]) -> NDArray[Any]:
    array = view.array(name)
    return np.empty(0, dtype) if array is None else array
