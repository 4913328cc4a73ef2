"""Scalar types of the file format, and what a tensor's elements look like in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinymlsec.target.tflite.schema.names import enum_names


@dataclass(frozen=True, slots=True)
class Scalar:
    """A fixed-size number as it lies in the file, little-endian."""

    name: str
    code: str
    """Format character of :mod:`struct`; use it with ``<``."""
    size: int
    """Bytes."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The same type for NumPy, little-endian on every host."""
        return np.dtype(f"<{self.code}") if self.code != "?" else np.dtype(np.bool_)


SCALARS: dict[str, Scalar] = {
    name: Scalar(name, code, size)
    for name, code, size in (
        ("bool", "?", 1),
        ("i8", "b", 1),
        ("u8", "B", 1),
        ("i16", "h", 2),
        ("u16", "H", 2),
        ("i32", "i", 4),
        ("u32", "I", 4),
        ("i64", "q", 8),
        ("u64", "Q", 8),
        ("f32", "f", 4),
        ("f64", "d", 8),
    )
}

_ELEMENTS: dict[str, str] = {
    "float32": "<f4",
    "float16": "<f2",
    "float64": "<f8",
    "int8": "|i1",
    "uint8": "|u1",
    "int16": "<i2",
    "uint16": "<u2",
    "int32": "<i4",
    "uint32": "<u4",
    "int64": "<i8",
    "uint64": "<u8",
    "bool": "|b1",
    "complex64": "<c8",
    "complex128": "<c16",
}

BITS: dict[str, int] = {name: 8 * np.dtype(code).itemsize for name, code in _ELEMENTS.items()}
"""Bits of one element by tensor type; types without a fixed size (string, resource, variant) are missing."""
BITS |= {"int4": 4, "bfloat16": 16}

TENSOR_TYPES: tuple[str, ...] = tuple(name.lower() for name in enum_names("TensorType"))
"""Tensor types in the order of their numbers, in lower case as `Tensor.dtype` has them."""


def element_dtype(dtype: str) -> np.dtype[np.generic] | None:
    """NumPy type of one element, or None where NumPy has none (int4, bfloat16, string, resource, variant)."""
    code = _ELEMENTS.get(dtype)
    return None if code is None else np.dtype(code)


def byte_size(dtype: str, elements: int) -> int | None:
    """Bytes that `elements` values take in a buffer (int4: two a byte, rounded up); None for types of no fixed size."""
    bits = BITS.get(dtype)
    return None if bits is None else (elements * bits + 7) // 8


def tensor_type_name(number: int) -> str:
    """`Tensor.dtype` of a number in the file; ``unknown_<number>`` where the schema does not list it."""
    return TENSOR_TYPES[number] if 0 <= number < len(TENSOR_TYPES) else f"unknown_{number}"


def tensor_type_number(dtype: str) -> int:
    """Number of a `Tensor.dtype`.

    Raises:
        KeyError: no such tensor type.
    """
    if dtype in TENSOR_TYPES:
        return TENSOR_TYPES.index(dtype)
    if dtype.startswith("unknown_"):
        return int(dtype.removeprefix("unknown_"))
    raise KeyError(f"no tensor type {dtype}")
