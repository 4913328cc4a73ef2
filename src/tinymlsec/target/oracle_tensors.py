"""Inputs and outputs of a model as the runtime reports them, and the arrays that fit them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import InputError, OracleRejected
from tinymlsec.target.oracle_protocol import DTYPES, MAX_RANK, MAX_TENSORS, ProtocolError, clean


@dataclass(frozen=True)
class TensorDetail:
    """One input or output of a model. The runtime knows no names."""

    shape: tuple[int, ...]
    dtype: str
    """NumPy name: int8, uint8, int16, float32, ..."""
    scale: tuple[float, ...]
    """One value for a tensor quantized as a whole, none without quantization."""
    zero_point: tuple[int, ...]

    @property
    def sample_bytes(self) -> int:
        """Bytes of this tensor for one inference."""
        return math.prod(self.shape) * DTYPES[self.dtype]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape without its leading batch dimension of 1, where there is one; vectors are kept whole."""
        return self.shape[1:] if len(self.shape) > 1 and self.shape[0] == 1 else self.shape


def parse_details(value: object, sample_bytes: int) -> tuple[TensorDetail, ...]:
    """Checks the details that a worker sent.

    Raises:
        ProtocolError: not what a worker of ours sends.
        OracleRejected: a tensor of more than ``sample_bytes`` bytes, or of a type that we do not exchange.
    """
    if not isinstance(value, list) or len(value) > MAX_TENSORS:
        raise ProtocolError("details are not a list of bounded length")
    return tuple(_detail(item, sample_bytes) for item in value)


def _detail(item: object, sample_bytes: int) -> TensorDetail:
    if not isinstance(item, Mapping):
        raise ProtocolError("a tensor's details are not an object")
    shape, scale, zero = (_numbers(item.get(k), t) for k, t in (("shape", int), ("scale", float), ("zero_point", int)))
    if len(shape) > MAX_RANK or any(not 0 <= d < 2**31 for d in shape):
        raise ProtocolError(f"shape {shape[:MAX_RANK]} of a tensor cannot be")
    dtype = item.get("dtype")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise OracleRejected("an input or output has a type that cannot be exchanged", found=clean(dtype, 40))
    detail = TensorDetail(shape, dtype, scale, zero)
    if detail.sample_bytes > sample_bytes:
        raise OracleRejected(
            "an input or output of the model is too large",
            found=f"{detail.sample_bytes} bytes",
            expected=f"at most {sample_bytes}",
        )
    return detail


def _numbers(value: object, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list) or any(type(v) not in (int, kind) for v in value):
        raise ProtocolError("a list of numbers is missing in a tensor's details")
    return tuple(kind(v) for v in value)


def as_rows(x: NDArray[Any], detail: TensorDetail, lead: int = 1) -> NDArray[Any]:
    """Checks an array against an input and lays it out for the worker.

    Args:
        x: ``lead`` leading dimensions (samples; or sequences and steps), then the input's shape, with or without its
            leading 1; of exactly the input's type.
        detail: the input.
        lead: 1 for samples, 2 for sequences of steps.

    Returns:
        A C-contiguous array (*lead, *detail.shape).

    Raises:
        InputError: another shape or type.
    """
    x = np.asarray(x)
    if x.dtype != np.dtype(detail.dtype):
        raise InputError(
            "the inputs are not of the type that the model takes",
            found=str(x.dtype),
            expected=detail.dtype,
            next_step="quantize them with the input's scale and zero point",
        )
    shapes = [detail.shape] + ([detail.shape[1:]] if detail.shape[:1] == (1,) else [])
    if x.ndim < lead or x.shape[lead:] not in shapes:
        names = ["n", "t"][:lead]
        expected = " or ".join(f"({', '.join([*names, *map(str, shape)])})" for shape in shapes)
        raise InputError("the inputs do not have the shape that the model takes", found=str(x.shape), expected=expected)
    return np.ascontiguousarray(x.reshape(*x.shape[:lead], *detail.shape))


def raw(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array, without copying."""
    return array.reshape(-1).view(np.uint8).data


def unpack(payload: bytearray, rows: int, outputs: Sequence[TensorDetail]) -> list[NDArray[Any]]:
    """One array (rows, *shape) per output; views of the payload, whose size has been checked."""
    arrays, offset = [], 0
    for detail in outputs:
        flat = np.frombuffer(payload, detail.dtype, rows * math.prod(detail.shape), offset)
        arrays.append(flat.reshape(rows, *detail.shape))
        offset += flat.nbytes
    return arrays
