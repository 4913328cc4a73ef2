"""Operator codes and operator tables into the typed graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinymlsec.target.tflite.flatbuffer import View, malformed
from tinymlsec.target.tflite.graph import Opcode, Operator, OptionValue
from tinymlsec.target.tflite.schema import OPTION_UNIONS, Field, Table, enum_name, enum_names, table

_CONVERT_AGAIN = "convert the model again; do not deploy this file"
_EMPTY_TABLE = Table("unknown options", (), 0)


def read_opcode(view: View) -> Opcode:
    """One entry of the operator code table.

    The number moved from a byte to an integer when the byte was full; the larger of the two fields counts, as in the
    runtime's own schema helpers.
    """
    deprecated = view.value("deprecated_builtin_code")
    builtin = max(deprecated, view.value("builtin_code"))
    return Opcode(
        builtin=builtin,
        name=enum_name("BuiltinOperator", builtin),
        custom_code=view.text("custom_code"),
        version=view.value("version"),
        deprecated_builtin=deprecated,
    )


def read_operator(view: View, index: int, opcodes: Sequence[Opcode], tensors: int) -> Operator:
    """One operator with its options decoded.

    Args:
        view: its table.
        index: its place in the subgraph.
        opcodes: the model's operator codes.
        tensors: how many tensors the subgraph has.

    Raises:
        ModelFileError: the table is damaged, or an opcode or tensor index is out of range.
    """
    number = view.value("opcode_index")
    if number >= len(opcodes):
        malformed(
            f"operator {index} refers to an operator code that does not exist",
            view.locate(view.table.by_name["opcode_index"]) or view.at,
            rule="IDX-01",
            found=f"operator code {number}",
            expected=f"below {len(opcodes)}",
            next_step=_CONVERT_AGAIN,
        )
    opcode = opcodes[number]
    options_type, options = read_options(view)
    return Operator(
        index=index,
        opcode=number,
        name=opcode.name,
        inputs=tensor_indices(view, "inputs", tensors, lowest=-1, what=f"operator {index}"),
        outputs=tensor_indices(view, "outputs", tensors, lowest=0, what=f"operator {index}"),
        options_type=options_type,
        options=options,
        custom_code=opcode.custom_code,
        custom_options=_custom_options(view),
        intermediates=tensor_indices(view, "intermediates", tensors, lowest=-1, what=f"operator {index}"),
        mutating_variable_inputs=view.values("mutating_variable_inputs") or (),
        version=opcode.version,
        offset=view.at,
    )


def tensor_indices(view: View, field: str, tensors: int, *, lowest: int, what: str) -> tuple[int, ...]:
    """A vector of tensor indices, each of them checked.

    Args:
        view: the table that holds it.
        field: its name.
        tensors: how many tensors there are.
        lowest: -1 where an absent tensor is allowed, else 0.
        what: words for the error.

    Raises:
        ModelFileError: an index is out of range.
    """
    indices: tuple[int, ...] = view.values(field) or ()
    if indices and (min(indices) < lowest or max(indices) >= tensors):
        place = next(i for i, index in enumerate(indices) if not lowest <= index < tensors)
        start, _ = view.raw(field) or (view.at, 0)
        malformed(
            f"{what} refers to a tensor that does not exist",
            start + 4 * place,
            rule="IDX-06" if indices[place] == -1 else "IDX-03",
            found=f"{field}[{place}] = {indices[place]}",
            expected=f"from {lowest} to {tensors - 1}",
            next_step=_CONVERT_AGAIN,
        )
    return indices


def read_options(view: View) -> tuple[str, dict[str, OptionValue]]:
    """(name of the options table, its fields) of an operator; ``("NONE", {})`` without options.

    A union number that the schema does not know gives ``UNKNOWN_<n>`` and no fields. A known type whose table is absent
    gives the defaults, which is what a runtime assumes.
    """
    for union, field in OPTION_UNIONS.items():
        number = view.value(f"{field}_type")
        if number:
            known = number < len(enum_names(union))
            name = enum_name(union, number)
            options = view.follow(field, table(name) if known else _EMPTY_TABLE)
            if not known:
                return name, {}
            return name, dict(table(name).defaults) if options is None else _decode(options)
    return "NONE", {}


def _decode(view: View) -> dict[str, OptionValue]:
    return {field.name: _option(view, field) for field in view.table.fields}


def _option(view: View, field: Field) -> Any:
    if field.kind == "scalar":
        return view.value(field.name)
    if field.kind == "string":
        return None if view.locate(field) is None else view.text(field.name)
    if field.scalar is not None and field.scalar.name == "u8":
        return view.content(field.name)
    return view.values(field.name)


def _custom_options(view: View) -> bytes:
    """Options of a custom operator: beside it, or after the flatbuffer where they are large."""
    inside = view.content("custom_options")
    offset, size = view.value("large_custom_options_offset"), view.value("large_custom_options_size")
    if inside is not None or offset <= 1 or size == 0:  # offset 1 is what a converter leaves as a placeholder
        return inside or b""
    start, end = outside(view, offset, size, "the custom options")
    view.buffer.spend(size, start)
    return bytes(view.buffer.data[start:end])


def outside(view: View, offset: int, size: int, what: str) -> tuple[int, int]:
    """(start, end) of bytes kept after the flatbuffer, checked against the end of the file.

    Raises:
        ModelFileError: they do not lie inside the file.
    """
    if offset + size > view.buffer.size:
        malformed(
            f"{what} lie outside the file",
            view.at,
            rule="STRUCT-05",
            found=f"{size} bytes at 0x{offset:x}",
            expected=f"an end at or before 0x{view.buffer.size:x}",
        )
    return offset, offset + size
