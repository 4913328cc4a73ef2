"""Python values as C text. Names come from files of strangers and must not leave the comment they stand in."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_NAME = 60
"""Characters of a file's name for something that a comment shows."""
LINE = 112
"""Characters of a line of numbers."""
C_TYPES: dict[str, str] = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "bool": "uint8_t",
    "float32": "float",
}
"""C types of the elements of tensors; a bool is a byte of 0 or 1."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._/-]")


def safe(name: str) -> str:
    """A name from a file, fit for a comment: ASCII letters, digits, ``. _ / -``, at most `LONGEST_NAME` of them.

    A star or a slash after it would end a comment, a trigraph or a backslash change the next line: a slash stays only
    where no star can stand beside it, and stars never stay.
    """
    return _UNSAFE.sub("_", name[:LONGEST_NAME])


def c_int(value: int) -> str:
    """An integer of at most 32 bits as a C expression; the smallest one has no literal of its own."""
    value = int(value)
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def c_long(value: int) -> str:
    """An integer of at most 64 bits as a C expression of type int64_t."""
    value = int(value)
    return "INT64_MIN" if value == -(2**63) else f"INT64_C({value})" if value >= 0 else f"(-INT64_C({-value}))"


def c_float(value: float) -> str:
    """A float32, exactly: the shortest decimal that no other float32 is nearest to, or a quotient if not finite."""
    number = np.float32(value)
    if np.isnan(number):
        return "(0.0f / 0.0f)"
    if np.isinf(number):
        return "(1.0f / 0.0f)" if number > 0 else "(-1.0f / 0.0f)"
    if number == 0 or 1e-4 <= abs(number) < 1e7:
        return f"{np.format_float_positional(number, unique=True, trim='0')}f"
    return f"{np.format_float_scientific(number, unique=True, trim='0')}f"


def c_values(values: NDArray[Any]) -> str:
    """The initializer list of an array, without braces, in lines of bounded length."""
    flat = np.asarray(values).ravel()
    if flat.dtype == np.bool_:
        flat = flat.astype(np.uint8)
    if flat.dtype.kind == "f":
        words = [c_float(v) for v in flat]
    elif flat.dtype.itemsize > 4:
        words = [c_long(v) for v in flat.tolist()]
    elif flat.dtype == np.uint32:
        words = [f"{v}u" for v in flat.tolist()]
    else:
        words = [c_int(v) for v in flat.tolist()]
    per_line = max(LINE // (max(map(len, words), default=1) + 2), 1)
    lines = (", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line))
    return ",\n".join(f"    {line}" for line in lines)
