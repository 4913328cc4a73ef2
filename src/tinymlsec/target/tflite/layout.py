"""Where everything lies in a .tflite file: every table, vtable, field, vector and string the schema can reach.

The reader follows what it needs; this walk follows all that is there, so it can say which bytes nothing refers to, and
it tells mutation tests where each field lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tinymlsec.target.tflite.flatbuffer import Flatbuffer, View
from tinymlsec.target.tflite.limits import MAX_TABLES
from tinymlsec.target.tflite.reader import open_flatbuffer
from tinymlsec.target.tflite.schema import Field, Table, enum_names, table

SpanKind = Literal["root", "vtable", "table", "scalar", "reference", "vector", "references", "string", "outside"]

_UNION_ENUMS = {
    "builtin_options": "BuiltinOptions",
    "builtin_options_2": "BuiltinOptions2",
    "details": "QuantizationDetails",
    "array_segments": "SparseIndexVector",
    "array_indices": "SparseIndexVector",
}
_UNKNOWN = Table("unknown", (), 0)


class Span(NamedTuple):  # a model has thousands of them, and tuples are quick to make
    """Bytes of the file with a meaning."""

    start: int
    end: int
    """One past the last byte."""
    kind: SpanKind
    """vector, references and string include the four bytes of their length; references are vectors of tables."""
    owner: str
    """``Table.field``, or the table's name for table and vtable."""
    width: int = 1
    """Bytes of one element of a scalar or vector."""


def layout(data: bytes | bytearray | memoryview) -> Iterator[Span]:
    """All spans of a file in the order in which a walk from the root meets them; each table once for each type that
    something takes it for.

    They are yielded one by one, since a hostile file can have millions.

    Raises:
        ModelFileError: a structure is damaged, or the file holds too many of them.
    """
    buffer = open_flatbuffer(data)
    root = buffer.root(table("Model"))
    yield Span(0, 4, "root", "Model")
    waiting = [root]
    seen: set[tuple[int, str]] = set()
    while waiting:
        view = waiting.pop()
        key = (view.at, view.table.name)
        if key in seen:
            continue
        seen.add(key)
        yield Span(view.vtable, view.vtable + view.vtable_bytes, "vtable", view.table.name, 2)
        yield Span(view.at, view.at + view.inline, "table", view.table.name)
        entries = view.entries
        for field in view.table.fields:
            if field.slot < len(entries) and entries[field.slot]:  # most fields are absent
                yield from _field_spans(view, field)
                if field.kind in ("tables", "table", "union"):
                    waiting += _children(buffer, view, field)
        yield from _outside(view)


def used_bytes(data: bytes | bytearray | memoryview) -> int:
    """Position after the last byte that anything in the file refers to; what follows is padding or was appended."""
    return max(span.end for span in layout(data))


def _field_spans(view: View, field: Field) -> Iterator[Span]:
    place = view.locate(field)
    if place is None:
        return
    owner = f"{view.table.name}.{field.name}"
    if field.kind == "scalar":
        width = field.scalar.size if field.scalar else 1
        yield Span(place, place + width, "scalar", owner, width)
        return
    yield Span(place, place + 4, "reference", owner, 4)
    if field.kind == "vector" and field.scalar is not None:
        start, length = view.buffer.vector(place, field.scalar.size, owner)
        yield Span(start - 4, start + length * field.scalar.size, "vector", owner, field.scalar.size)
    elif field.kind == "string":
        start, length = view.buffer.vector(place, 1, owner)
        yield Span(start - 4, min(start + length + 1, view.buffer.size), "string", owner)  # with its closing zero
    elif field.kind == "tables":
        start, length = view.buffer.vector(place, 4, owner)
        yield Span(start - 4, start + 4 * length, "references", owner, 4)


def _children(buffer: Flatbuffer, view: View, field: Field) -> list[View]:
    if field.kind == "tables" and field.table is not None:
        return [View(buffer, at, table(field.table)) for at in view.positions(field.name, MAX_TABLES)]
    child = view.follow(field.name, table(field.table) if field.table else _union_table(view, field))
    return [] if child is None else [child]


def _union_table(view: View, field: Field) -> Table:
    names = enum_names(_UNION_ENUMS[field.name])
    number = view.value(f"{field.name}_type")
    return table(names[number]) if 0 < number < len(names) else _UNKNOWN


def _outside(view: View) -> Iterator[Span]:
    """Bytes kept after the flatbuffer: constants and options of custom operators."""
    for name, prefix in (("Buffer", ""), ("Operator", "large_custom_options_")):
        if view.table.name == name:
            offset, size = view.value(f"{prefix}offset"), view.value(f"{prefix}size")
            if offset > 1 and size and offset + size <= view.buffer.size:
                yield Span(offset, offset + size, "outside", f"{name}.{prefix}offset")
