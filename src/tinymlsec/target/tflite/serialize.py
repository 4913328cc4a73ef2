"""Lays out tables of the schema as a flatbuffer, from the front to the back of the file.

Every object is placed after the one that refers to it, so all references point forward, as the format asks. The walk is
a queue, not a recursion. Alignment counts from the start of the file: scalars lie on multiples of their size, constant
buffers on multiples of 16 as the schema asks, so a runtime can use them in place.

Format: the FlatBuffers internals document (Google, 2014).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.schema import FILE_IDENTIFIER, Field, Scalar, Table, table

Values = Mapping[str, Any]
"""Content of a table by field name: numbers, text, bytes, sequences of numbers, other such mappings or lists of them.
A union's value is a mapping too, and the table it follows stands beside it under the field's name with ``_table``."""

MAX_FILE_SIZE = 2**31 - 1
"""References are 32 bits wide; runtimes count with a sign."""
ALIGNMENT = {"Buffer.data": 16, "CustomQuantization.custom": 16}
"""Vectors that the schema asks to align beyond the size of their elements."""


def serialize(root: str, values: Values) -> bytes:
    """Turns a table and all that it refers to into a file.

    Args:
        root: name of the root table.
        values: its content.

    Raises:
        ModelFileError: a value that its field cannot hold, or a file of 2 GiB or more.
    """
    writer = _Writer()
    writer.start(table(root), values)
    while writer.waiting:
        writer.place_next()
    writer.align(16)
    return bytes(writer.out)


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()
        self.vtables: dict[bytes, int] = {}
        self.waiting: deque[tuple[int, str, Field | None, Table | None, Any]] = deque()

    def start(self, root: Table, values: Values) -> None:
        self.out += bytes(4) + FILE_IDENTIFIER
        self.waiting.append((0, root.name, None, root, values))

    def align(self, size: int, ahead: int = 0) -> None:
        """Pads so that the position `ahead` bytes from here is a multiple of `size`."""
        self.out += bytes(-(len(self.out) + ahead) % size)

    def place_next(self) -> None:
        """Places one waiting object and makes the reference to it point there."""
        reference, owner, field, target, value = self.waiting.popleft()
        if target is not None and (field is None or field.kind != "tables"):
            position = self._table(target, value)
        elif target is not None:
            position = self._references(owner, target, value)
        elif field is not None and field.kind == "string":
            position = self._string(owner, value)
        else:
            assert field is not None
            assert field.scalar is not None
            position = self._vector(owner, field.scalar, value)
        if len(self.out) > MAX_FILE_SIZE:
            raise ModelFileError("the model is too large for a file", expected=f"at most {MAX_FILE_SIZE} bytes")
        struct.pack_into("<I", self.out, reference, position - reference)

    def _table(self, target: Table, values: Values) -> int:
        present = [field for field in target.fields if _is_present(field, values)]
        present.sort(key=lambda field: -_inline_size(field))  # the widest first: nothing but the start needs padding
        places, size = [0] * target.slots, 4
        for field in present:
            places[field.slot] = size
            size += _inline_size(field)
        vtable = self._vtable(places, size)
        self.align(8, ahead=4)
        start = len(self.out)
        self.out += struct.pack("<i", start - vtable) + bytes(size - 4)
        for field in present:
            self._inline(target, field, start + places[field.slot], values)
        return start

    def _vtable(self, places: list[int], size: int) -> int:
        while places and places[-1] == 0:
            places.pop()
        words = struct.pack(f"<{len(places) + 2}H", 4 + 2 * len(places), size, *places)
        if words not in self.vtables:
            self.align(2)
            self.vtables[words] = len(self.out)
            self.out += words
        return self.vtables[words]

    def _inline(self, owner: Table, field: Field, position: int, values: Values) -> None:
        value, name = values[field.name], f"{owner.name}.{field.name}"
        if field.kind == "scalar":
            assert field.scalar is not None
            self.out[position : position + field.scalar.size] = _pack(name, field.scalar, value)
            return
        target = values[f"{field.name}_table"] if field.kind == "union" else field.table
        self.waiting.append((position, name, field, None if target is None else table(target), value))

    def _references(self, owner: str, target: Table, items: Sequence[Values]) -> int:
        self.align(4)
        start = len(self.out)
        self.out += struct.pack("<I", len(items)) + bytes(4 * len(items))
        self.waiting.extend((start + 4 + 4 * i, owner, None, target, item) for i, item in enumerate(items))
        return start

    def _string(self, owner: str, text: str) -> int:
        try:
            content = text.encode()
        except UnicodeEncodeError:
            _refuse(owner, text, "text that UTF-8 can hold")
        self.align(4)
        start = len(self.out)
        self.out += struct.pack("<I", len(content)) + content + b"\0"
        return start

    def _vector(self, owner: str, scalar: Scalar, items: Any) -> int:
        content = bytes(items) if isinstance(items, bytes | bytearray | memoryview) else _elements(owner, scalar, items)
        self.align(max(4, scalar.size, ALIGNMENT.get(owner, 4)), ahead=4)
        start = len(self.out)
        self.out += struct.pack("<I", len(content) // scalar.size) + content
        return start


def _is_present(field: Field, values: Values) -> bool:
    """Scalars at their default are left out, as are references to nothing. Empty vectors stay: runtimes read them."""
    value = values.get(field.name)
    return value is not None and not (field.kind == "scalar" and value == field.default)


def _inline_size(field: Field) -> int:
    return field.scalar.size if field.kind == "scalar" and field.scalar is not None else 4


def _pack(owner: str, scalar: Scalar, value: Any) -> bytes:
    try:
        return struct.pack(f"<{scalar.code}", value)
    except (struct.error, OverflowError):
        _refuse(owner, value, f"a value of type {scalar.name}")


def _elements(owner: str, scalar: Scalar, items: Any) -> bytes:
    array = np.asarray(items)
    if array.size == 0:
        return b""
    if scalar.name == "bool" or scalar.code == "f":
        return array.astype(scalar.dtype).tobytes()
    limits = np.iinfo(scalar.dtype.str)
    if array.dtype.kind not in "iu" or int(array.min()) < limits.min or int(array.max()) > limits.max:
        _refuse(owner, array.ravel()[:8].tolist(), f"integers of type {scalar.name}")
    return array.astype(scalar.dtype).tobytes()


def _refuse(owner: str, found: object, expected: str) -> NoReturn:
    raise ModelFileError(f"{owner} cannot be written", found=repr(found)[:200], expected=expected)
