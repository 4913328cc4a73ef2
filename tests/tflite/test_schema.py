"""The schema tables against the `tflite` package: every name, slot, type and default, found by asking its own code."""

# ruff: noqa: N802
from __future__ import annotations

import importlib
import pkgutil
import types
from typing import Any

import flatbuffers
import pytest

import tflite
from tinymlsec.target.tflite import schema
from tinymlsec.target.tflite.schema import options as option_lines
from tinymlsec.target.tflite.schema import structure

MODULES = {m.name: importlib.import_module(f"tflite.{m.name}") for m in pkgutil.iter_modules(tflite.__path__)}
TABLES = sorted(n for n, m in MODULES.items() if hasattr(m, f"{n}Start"))
ENUMS = sorted(n for n, m in MODULES.items() if hasattr(m, n) and n not in TABLES)
FLAG_NAMES = {
    "Bool": "bool",
    "Int8": "i8",
    "Uint8": "u8",
    "Uint16": "u16",
    "Int32": "i32",
    "Uint32": "u32",
    "Int64": "i64",
    "Uint64": "u64",
    "Float32": "f32",
}


class RecordingBuilder:
    """Stands in for a flatbuffers Builder and remembers what a generated function asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, args))


class RecordingTable:
    """Stands in for flatbuffers' Table: every field is present, and reading it says what type it has."""

    Bytes = b""
    Pos = 0

    def __init__(self) -> None:
        self.seen: list[str] = []

    def Offset(self, _: int) -> int:
        return 4

    def Vector(self, _: int) -> int:
        return 0

    def Indirect(self, _: int) -> int:
        return 0

    def Get(self, flags: Any, _: int) -> int:
        self.seen.append(flags.__name__.removesuffix("Flags"))
        return 0

    def String(self, _: int) -> bytes:
        self.seen.append("str")
        return b""

    def Union(self, *_: int) -> None:
        self.seen.append("union")


def camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def package_fields(name: str) -> dict[str, tuple[int, Any]]:
    """CamelCase field -> (slot, default) as the package's builder functions use them."""
    module, fields = MODULES[name], {}
    for attribute in dir(module):
        if not attribute.startswith(f"{name}Add"):
            continue
        builder = RecordingBuilder()
        getattr(module, attribute)(builder, 0)
        ((_, (slot, _, default)),) = builder.calls
        fields[attribute.removeprefix(f"{name}Add")] = (slot, default)
    return fields


def package_type(name: str, field: str) -> str:
    """The type of a field in our notation, found by reading it from a recording table."""
    cls = getattr(MODULES[name], name)
    instance, recorder = cls(), RecordingTable()
    instance._tab = recorder
    method = getattr(instance, field)
    is_vector = hasattr(cls, f"{field}Length")
    value = method(0) if is_vector else method()
    found = recorder.seen[0] if recorder.seen else type(value).__name__
    found = FLAG_NAMES.get(found, found)
    return f"[{found}]" if is_vector else found


def our_type(field: schema.Field) -> str:
    if field.kind == "scalar":
        return field.scalar.name if field.scalar else "?"
    if field.kind == "vector":
        return f"[{field.scalar.name}]" if field.scalar else "?"
    if field.kind == "table":
        return str(field.table)
    if field.kind == "tables":
        return f"[{field.table}]"
    return {"string": "str", "union": "union"}[field.kind]


@pytest.mark.parametrize("name", TABLES)
def test_table_equals_the_package(name: str) -> None:
    table = schema.table(name)
    builder = RecordingBuilder()
    getattr(MODULES[name], f"{name}Start")(builder)
    assert builder.calls == [("StartObject", (table.slots,))]
    ours = {camel(f.name): (f.slot, f.default) for f in table.fields}
    assert ours == package_fields(name)
    assert {camel(f.name): our_type(f) for f in table.fields} == {c: package_type(name, c) for c in ours}


@pytest.mark.parametrize("name", ENUMS)
def test_enum_equals_the_package(name: str) -> None:
    cls = getattr(MODULES[name], name)
    theirs = {k: v for k, v in vars(cls).items() if not k.startswith("_")}
    assert {n: schema.enum_number(name, n) for n in schema.enum_names(name)} == theirs


def test_nothing_is_missing_or_made_up() -> None:
    listed = {*structure.STRUCTURE, *option_lines.OPTIONS, *option_lines.OPTIONS_2}
    unions = {n for union in schema.OPTION_UNIONS for n in schema.enum_names(union)[1:]}
    assert listed | unions == set(TABLES)
    assert set(schema.ENUMS) == set(ENUMS)
    assert len(schema.enum_names("BuiltinOperator")) > 200


def test_every_options_table_knows_its_union() -> None:
    assert schema.options_union("Conv2DOptions") == ("BuiltinOptions", 1)
    assert schema.options_union("ReduceWindowOptions") == ("BuiltinOptions2", 20)
    assert schema.options_union("Tensor") is None
    assert schema.options_union("NONE") is None


def test_unknown_numbers_survive_a_round_trip() -> None:
    assert schema.enum_name("BuiltinOperator", 999) == "UNKNOWN_999"
    assert schema.enum_number("BuiltinOperator", "UNKNOWN_999") == 999
    assert schema.tensor_type_number(schema.tensor_type_name(77)) == 77
    assert schema.tensor_type_number(schema.tensor_type_name(-3)) == -3
    for call in (lambda: schema.table("NoSuchTable"), lambda: schema.enum_number("Padding", "WRONG")):
        with pytest.raises(KeyError):
            call()


def test_scalars_agree_with_flatbuffers() -> None:
    flags = {v: getattr(flatbuffers.number_types, f"{k}Flags") for k, v in FLAG_NAMES.items()}
    assert {n: f.bytewidth for n, f in flags.items()} == {n: schema.SCALARS[n].size for n in flags}
    assert all(schema.SCALARS[n].dtype.itemsize == f.bytewidth for n, f in flags.items())


@pytest.mark.parametrize(
    ("dtype", "elements", "size"),
    [("int8", 3, 3), ("float32", 3, 12), ("int4", 3, 2), ("int4", 4, 2), ("string", 1, None)],
)
def test_byte_size(dtype: str, elements: int, size: int | None) -> None:
    assert schema.byte_size(dtype, elements) == size


def test_package_modules_were_found() -> None:
    assert isinstance(MODULES["Model"], types.ModuleType)
    assert len(TABLES) > 150
    assert len(ENUMS) > 15
