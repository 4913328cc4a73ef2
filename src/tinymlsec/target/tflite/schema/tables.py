"""Tables of the schema as objects, parsed from one-line descriptions when they are first asked for.

The notation, one word a slot, in slot order:

- ``stride_w:i32`` a scalar; ``version:i32=1`` one with a default that is not zero;
- ``padding:Padding`` an enumeration, stored as :func:`~tinymlsec.target.tflite.schema.names.enum_storage` says;
- ``shape:[i32]`` a vector of scalars or of an enumeration; ``name:str`` a string;
- ``quantization:QuantizationParameters`` a table; ``tensors:[Tensor]`` a vector of tables;
- ``details:union`` a table whose type stands in the field of the same name with ``_type`` (always the slot before);
- ``-`` a slot that is no longer used.

Reader and writer use the same objects, so what one writes the other reads.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from tinymlsec.target.tflite.schema.names import ENUMS, enum_names, enum_storage
from tinymlsec.target.tflite.schema.options import OPTIONS, OPTIONS_2
from tinymlsec.target.tflite.schema.scalars import SCALARS, Scalar
from tinymlsec.target.tflite.schema.structure import STRUCTURE

Kind = Literal["scalar", "vector", "string", "table", "tables", "union"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table."""

    slot: int
    """Place in the vtable, from zero; its entry lies 4 + 2 * slot bytes into it."""
    name: str
    kind: Kind
    scalar: Scalar | None = None
    """Type of a scalar or of a vector's elements."""
    enum: str | None = None
    """Enumeration that gives the numbers of a scalar or vector their names."""
    table: str | None = None
    """Table that a table field or the elements of a vector refer to."""
    default: bool | int | float = 0
    """Value of a scalar that is not stored."""


@dataclass(frozen=True)
class Table:
    """A table of the schema: its fields in slot order, without the unused slots."""

    name: str
    fields: tuple[Field, ...]
    slots: int
    """Slots in all, unused ones included."""

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by name."""
        return {field.name: field for field in self.fields}

    @property
    def defaults(self) -> dict[str, bool | int | float | None]:
        """What a reader sees in an empty table: the scalars' defaults, None for all that is referred to."""
        return {f.name: f.default if f.kind == "scalar" else None for f in self.fields}


OPTION_UNIONS: dict[str, str] = {"BuiltinOptions": "builtin_options", "BuiltinOptions2": "builtin_options_2"}
"""Field of Operator that holds a union's table, by union."""


@cache
def table(name: str) -> Table:
    """The table of that name.

    Raises:
        KeyError: the schema has no such table.
    """
    line = STRUCTURE.get(name) or OPTIONS.get(name) or OPTIONS_2.get(name)
    if line is None and options_union(name) is None:
        raise KeyError(f"the schema has no table {name}")
    return parse_table(name, line or "", STRUCTURE)


def parse_table(name: str, line: str, family: Container[str] = ()) -> Table:
    """A table from its line in the notation above, for this schema and for the smaller ones inside metadata buffers.

    Args:
        name: of the table.
        line: its slots.
        family: names that the line may use for other tables.
    """
    words = line.split()
    fields = tuple(_field(slot, word, family) for slot, word in enumerate(words) if word != "-")
    return Table(name, fields, len(words))


@cache
def options_union(name: str) -> tuple[str, int] | None:
    """Union and number of an options table, such as ``("BuiltinOptions", 1)`` for Conv2DOptions; None for others."""
    for union in OPTION_UNIONS:
        names = enum_names(union)
        if name in names[1:]:
            return union, names.index(name)
    return None


def _field(slot: int, word: str, family: Container[str]) -> Field:
    name, _, rest = word.partition(":")
    kind_word, _, default_word = rest.partition("=")
    inner = kind_word.strip("[]")
    many = inner != kind_word
    if inner == "str":
        return Field(slot, name, "string")
    if inner == "union":
        return Field(slot, name, "union")
    if inner in family:
        return Field(slot, name, "tables" if many else "table", table=inner)
    enum = inner if inner in ENUMS else None
    scalar = SCALARS[enum_storage(inner) if enum else inner]
    return Field(slot, name, "vector" if many else "scalar", scalar, enum, default=_default(scalar, default_word))


def _default(scalar: Scalar, word: str) -> bool | int | float:
    number = float(word or 0)
    if scalar.name == "bool":
        return bool(number)
    return number if scalar.name in ("f32", "f64") else int(number)
