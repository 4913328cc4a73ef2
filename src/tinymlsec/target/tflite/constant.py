"""The values of a constant tensor as an array, checked against its shape and type."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.graph import Model, Tensor
from tinymlsec.target.tflite.schema import byte_size, element_dtype

_MOST_ELEMENTS = 1 << 59
"""NumPy refuses shapes whose dimensions, zeros left out, multiply to more bytes than an address can count."""


def constant(model: Model, tensor: Tensor) -> NDArray[Any] | None:
    """The values of a tensor whose bytes are in the file.

    int4 comes out as int8 and bfloat16 as float32. A tensor without elements is a constant without bytes.

    Args:
        model: the model that the tensor belongs to.
        tensor: one of its tensors.

    Returns:
        A read-only array of the tensor's shape, a view on the file where alignment and type allow it. None for a tensor
        that is computed or is state, for sparse tensors (their values are not expanded), and for types that are not
        numbers (string, resource, variant).

    Raises:
        ModelFileError: the buffer does not hold as many bytes as shape and type ask for, or the shape is impossible.
    """
    buffer = model.buffers[tensor.buffer]
    elements = math.prod(tensor.shape)
    expected = byte_size(tensor.dtype, elements)
    if expected is None or tensor.sparse or tensor.is_variable or (len(buffer.data) == 0 and elements > 0):
        return None
    offset = tensor.offset if buffer.offset is None else buffer.offset
    if len(buffer.data) != expected:
        _refuse(tensor, offset, "the wrong number of bytes", f"{len(buffer.data)} bytes", f"{expected} bytes")
    if math.prod(dimension or 1 for dimension in tensor.shape) >= _MOST_ELEMENTS:
        _refuse(tensor, offset, "impossible dimensions", f"{list(tensor.shape)}", "dimensions that fit in memory")
    array = _decode(buffer.data, tensor.dtype, elements).reshape(tensor.shape)
    array.flags.writeable = False
    return array


def _refuse(tensor: Tensor, offset: int | None, what: str, found: str, expected: str) -> NoReturn:
    raise ModelFileError(
        f"constant tensor {tensor.index} ({tensor.name[:80]}) has {what}",
        offset=offset,
        found=f"{found}, buffer {tensor.buffer}",
        expected=f"{expected} for {tensor.dtype}{list(tensor.shape)}",
        next_step="convert the model again; do not deploy this file",
    )


def _decode(data: bytes | memoryview, dtype: str, elements: int) -> NDArray[Any]:
    """The elements in a row."""
    raw = np.frombuffer(data, np.uint8) if elements else np.empty(0, np.uint8)
    element = element_dtype(dtype)
    if dtype == "bool":
        flags: NDArray[np.bool_] = raw != 0
        return flags
    if dtype == "int4":
        return _unpack_int4(raw, elements)
    if element is None:  # bfloat16: the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    array: NDArray[Any] = raw.view(element)
    return array if array.flags.aligned else array.copy()


def _unpack_int4(raw: NDArray[np.uint8], elements: int) -> NDArray[np.int8]:
    """Two values a byte, the first in the low half, each sign-extended."""
    halves = np.stack([raw << 4, raw & 0xF0], axis=1).reshape(-1)[:elements]
    values: NDArray[np.int8] = halves.view(np.int8) >> np.int8(4)
    return values
