"""Our reader against the `tflite` package on hand-made models and, where they are, on every real model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.handmade import SEEDS, build, opcode, operator
from models.package_view import package_view
from tinymlsec.target.tflite.graph import Operator
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.schema import OPTION_UNIONS, enum_names, table

REAL = sorted((Path(__file__).resolve().parents[3] / "shared" / "data").glob("**/*.tflite"))


def differences(ours: Any, theirs: Any, path: str = "model") -> list[str]:
    """Where two graphs differ, by name; empty when they are equal."""
    if dataclasses.is_dataclass(ours) and not isinstance(ours, type):
        if type(ours) is not type(theirs):
            return [f"{path}: {ours!r} is not {theirs!r}"]
        names = [f.name for f in dataclasses.fields(ours)]
        return [d for n in names for d in differences(getattr(ours, n), getattr(theirs, n), f"{path}.{n}")]
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        return [d for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) for d in differences(a, b, f"{path}[{i}]")]
    if isinstance(ours, np.ndarray):
        equal = ours.dtype == theirs.dtype and np.array_equal(ours, theirs, equal_nan=True)
        return [] if equal else [f"{path}: {ours} is not {theirs}"]
    equal = bytes(ours) == theirs if isinstance(ours, memoryview) else ours == theirs
    return [] if equal else [f"{path}: {ours!r} is not {theirs!r}"]


@pytest.mark.parametrize("name", SEEDS)
def test_handmade_models(name: str) -> None:
    data = SEEDS[name]()
    assert differences(read_model(data), package_view(data)) == []


@pytest.mark.parametrize(
    "path", REAL or [pytest.param(None, marks=pytest.mark.skip("no ../shared/data here"))], ids=str
)
def test_real_models(path: Path) -> None:
    data = path.read_bytes()
    assert differences(read_model(data), package_view(data)) == []


def test_the_comparison_sees_a_difference() -> None:
    data = SEEDS["zoo"]()
    ours = read_model(data)
    main = dataclasses.replace(ours.main, name="other")
    changed = dataclasses.replace(ours, subgraphs=(main, *ours.subgraphs[1:]))
    assert differences(changed, package_view(data)) == ["model.subgraphs[0].name: 'other' is not ''"]


def filled(name: str) -> dict[str, Any]:
    """A value that is not the default for every field of an options table."""
    values: dict[str, Any] = {}
    for number, field in enumerate(table(name).fields, 1):
        camel = "".join(part[:1].upper() + part[1:] for part in field.name.split("_"))
        if field.kind == "string":
            values[camel] = f"text {number}"
        elif field.scalar is not None and field.kind == "vector":
            dtype = field.scalar.dtype
            values[camel] = bytes((number, 7)) if dtype == np.uint8 else np.array([number, 0, 1], dtype)
        else:
            values[camel] = not field.default if isinstance(field.default, bool) else type(field.default)(number + 3)
    return values


@pytest.mark.parametrize("name", [n for union in OPTION_UNIONS for n in enum_names(union)[1:]])
def test_every_options_table(name: str) -> None:
    tensors = [("Tensor", {}), ("Tensor", {})]
    operators = [operator(0, (0,), (1,), (name, fields)) for fields in ({}, filled(name))]
    graph = ("SubGraph", {"Tensors": tensors, "Operators": operators})
    data = build({"OperatorCodes": [opcode("ADD")], "Subgraphs": [graph], "Buffers": [("Buffer", {})]})
    ours = read_model(data)
    assert differences(ours, package_view(data)) == []
    empty, full = ours.main.operators
    assert empty.options == table(name).defaults
    assert isinstance(full, Operator)
    assert all(full.options[key] != value for key, value in table(name).defaults.items())
