"""Bounds-checked reading of a flatbuffer, driven by the schema tables.

Every read is checked against the end of the file first and every failure is a ModelFileError with the file offset.
Nothing is followed twice for free: each table, vector and string is charged to a budget that grows with the size of the
file, so overlapping or self-referring structures end in an error and not in a hang.

Format (flatbuffers.dev, "Internals"): a table starts with a signed offset back to its vtable; the vtable holds its own
size, the table's size and one 16-bit entry a field, 0 for an absent field; references are unsigned 32-bit and point
forwards. Misaligned structures are accepted here: reading bytes needs no alignment.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.limits import work_budget
from tinymlsec.target.tflite.schema import SCALARS, Field, Table

NEXT_STEP = "compare its size and checksum with the original; copy it again or convert the model again"

_U16X2 = struct.Struct("<HH").unpack_from
_U32 = struct.Struct("<I").unpack_from
_I32 = struct.Struct("<i").unpack_from
_READ: dict[str, Callable[[memoryview, int], tuple[Any, ...]]] = {
    name: struct.Struct(f"<{scalar.code}").unpack_from for name, scalar in SCALARS.items()
}
_REFERENCE_BYTES = 4
_TABLE_COST = 8


def malformed(
    message: str, offset: int, *, rule: str, found: str, expected: str, next_step: str = NEXT_STEP
) -> NoReturn:
    """Raise the error for a damaged file; `rule` is the id of the scanner's rule that it breaks."""
    raise ModelFileError(message, offset=offset, rule=rule, found=found, expected=expected, next_step=next_step)


class Flatbuffer:
    """The bytes of a file, their length and what may still be spent on them."""

    __slots__ = ("budget", "data", "size")

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.size = len(data)
        self.budget = work_budget(self.size)

    def spend(self, units: int, offset: int) -> None:
        """Charge work to the budget.

        Raises:
            ModelFileError: the budget is used up.
        """
        self.budget -= units
        if self.budget < 0:
            malformed(
                "the file asks for more work than its size explains",
                offset,
                rule="STRUCT-06",
                found="structures that overlap, refer to each other in a circle, or are far too many",
                expected=f"at most {work_budget(self.size)} units of work for {self.size} bytes",
                next_step="do not deploy this file; convert the model again from its source",
            )

    def root(self, table: Table) -> View:
        """View of the root table."""
        if self.size < _REFERENCE_BYTES:
            malformed(
                "the file is too short", 0, rule="STRUCT-01", found=f"{self.size} bytes", expected="at least 8 bytes"
            )
        return View(self, self.target(0, f"the root table {table.name}"), table)

    def target(self, at: int, what: str) -> int:
        """Position that the reference at `at` (already known to be inside the file) points to."""
        position: int = at + _U32(self.data, at)[0]
        if position + _REFERENCE_BYTES > self.size or position == at:
            malformed(
                f"the reference to {what} leads nowhere",
                at,
                rule="STRUCT-02",
                found=f"position 0x{position:x}",
                expected=f"a position after 0x{at:x} and before the end of the file at 0x{self.size:x}",
            )
        return position

    def vector(self, at: int, item_bytes: int, what: str) -> tuple[int, int]:
        """(start, length) of the vector whose reference lies at `at`; its bytes are known to be inside the file."""
        head = self.target(at, what)
        length: int = _U32(self.data, head)[0]
        start = head + _REFERENCE_BYTES
        if start + length * item_bytes > self.size:
            malformed(
                f"{what} runs past the end of the file",
                head,
                rule="STRUCT-04",
                found=f"{length} elements of {item_bytes} bytes from 0x{start:x}",
                expected=f"an end at or before 0x{self.size:x}",
            )
        return start, length


class View:
    """One table: its position and where each of its fields lies.

    Accessors take the field's name and return None where an optional field is absent.
    """

    __slots__ = ("at", "buffer", "entries", "inline", "table", "vtable", "vtable_bytes")

    def __init__(self, buffer: Flatbuffer, at: int, table: Table) -> None:
        self.buffer = buffer
        self.at = at
        self.table = table
        buffer.spend(_TABLE_COST, at)
        vtable = at - _I32(buffer.data, at)[0]
        if not 0 <= vtable <= buffer.size - 4:
            self._bad_vtable(at, f"vtable at {vtable}", f"a position from 0 to {buffer.size - 4}")
        bytes_of_vtable, inline = _U16X2(buffer.data, vtable)
        if bytes_of_vtable < 4 or bytes_of_vtable % 2 or vtable + bytes_of_vtable > buffer.size:
            self._bad_vtable(vtable, f"a vtable of {bytes_of_vtable} bytes", "an even size from 4, inside the file")
        if inline < 4 or at + inline > buffer.size:
            self._bad_vtable(vtable + 2, f"a table of {inline} bytes", "at least 4, inside the file")
        slots = min((bytes_of_vtable - 4) // 2, table.slots)
        self.vtable = vtable
        self.vtable_bytes = bytes_of_vtable
        self.inline = inline
        self.entries: tuple[int, ...] = struct.unpack_from(f"<{slots}H", buffer.data, vtable + 4)

    def _bad_vtable(self, offset: int, found: str, expected: str) -> NoReturn:
        what = f"the layout of a {self.table.name} table is damaged"
        malformed(what, offset, rule="STRUCT-03", found=found, expected=expected)

    def locate(self, field: Field) -> int | None:
        """File position of a field's inline part, or None where it is absent."""
        entry = self.entries[field.slot] if field.slot < len(self.entries) else 0
        if entry == 0:
            return None
        width = field.scalar.size if field.kind == "scalar" and field.scalar else _REFERENCE_BYTES
        if entry < 4 or entry + width > self.inline:
            malformed(
                f"{self.table.name}.{field.name} lies outside its table",
                self.vtable + 4 + 2 * field.slot,
                rule="STRUCT-03",
                found=f"{width} bytes at {entry}",
                expected=f"a place from 4 to {self.inline - width}",
            )
        return self.at + entry

    def _label(self, field: Field) -> str:
        return f"{self.table.name}.{field.name}"

    def value(self, name: str) -> Any:
        """A scalar, or the schema's default where it is not stored: bool, int or float."""
        field = self.table.by_name[name]
        place = self.locate(field)
        if place is None or field.scalar is None:
            return field.default
        return _READ[field.scalar.name](self.buffer.data, place)[0]

    def raw(self, name: str) -> tuple[int, int] | None:
        """(start, length) of a vector of scalars without touching its content."""
        field = self.table.by_name[name]
        place = self.locate(field)
        if place is None or field.scalar is None:
            return None
        return self.buffer.vector(place, field.scalar.size, self._label(field))

    def array(self, name: str) -> NDArray[Any] | None:
        """A vector of scalars as a read-only view on the file (bool as uint8, whatever the bytes are)."""
        span = self.raw(name)
        scalar = self.table.by_name[name].scalar
        if span is None or scalar is None:
            return None
        start, length = span
        dtype = np.uint8 if scalar.name == "bool" else scalar.dtype
        return np.frombuffer(self.buffer.data[start : start + length * scalar.size], dtype=dtype)

    def values(self, name: str) -> tuple[Any, ...] | None:
        """A vector of scalars as Python numbers, charged to the budget."""
        span = self.raw(name)
        scalar = self.table.by_name[name].scalar
        if span is None or scalar is None:
            return None
        start, length = span
        self.buffer.spend(max(length * scalar.size, 4), start)
        return struct.unpack_from(f"<{length}{scalar.code}", self.buffer.data, start)

    def content(self, name: str) -> bytes | None:
        """The bytes of a string or of a vector of bytes, copied and charged to the budget."""
        field = self.table.by_name[name]
        place = self.locate(field)
        if place is None:
            return None
        start, length = self.buffer.vector(place, 1, self._label(field))
        self.buffer.spend(max(length, 4), start)
        return bytes(self.buffer.data[start : start + length])

    def text(self, name: str) -> str:
        """A string; empty where it is absent. Bytes that are not UTF-8 come out as ``\\xNN``."""
        return (self.content(name) or b"").decode("utf-8", "backslashreplace")

    def follow(self, name: str, table: Table) -> View | None:
        """The table that a table or union field refers to."""
        field = self.table.by_name[name]
        place = self.locate(field)
        if place is None:
            return None
        return View(self.buffer, self.buffer.target(place, self._label(field)), table)

    def positions(self, name: str, limit: int) -> list[int]:
        """Positions of the tables in a vector of tables, none where it is absent.

        Args:
            name: the field.
            limit: most entries that are accepted.
        """
        field = self.table.by_name[name]
        place = self.locate(field)
        if place is None:
            return []
        start, length = self.buffer.vector(place, _REFERENCE_BYTES, self._label(field))
        if length > limit:
            malformed(
                f"{self._label(field)} has too many entries",
                start - _REFERENCE_BYTES,
                rule="STRUCT-06",
                found=str(length),
                expected=f"at most {limit}",
                next_step="this is no model for a microcontroller; check where the file comes from",
            )
        self.buffer.spend(_REFERENCE_BYTES * max(length, 1), start)
        return self._targets(start, length, self._label(field))

    def _targets(self, start: int, length: int, what: str) -> list[int]:
        references = np.frombuffer(self.buffer.data, "<u4", length, start) if length else np.empty(0, "<u4")
        places = start + _REFERENCE_BYTES * np.arange(length, dtype=np.int64)
        targets = places + references
        bad = np.flatnonzero((targets + _REFERENCE_BYTES > self.buffer.size) | (references == 0))
        if bad.size:
            first = int(bad[0])
            self.buffer.target(int(places[first]), f"{what}[{first}]")
        return [int(target) for target in targets.tolist()]

    def views(self, name: str, table: Table, limit: int) -> list[View]:
        """The tables in a vector of tables."""
        return [View(self.buffer, at, table) for at in self.positions(name, limit)]
