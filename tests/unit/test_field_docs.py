"""Docstrings of fields, read from the source only where they are shown."""

from __future__ import annotations

from pydantic import Field

from tinymlsec.field_docs import described, field_texts
from tinymlsec.records import Record


class Inner(Record):
    """Something inside."""

    width: int = 1
    """In pixels."""


class Outer(Inner):
    """Something that holds others."""

    parts: tuple[Inner, ...] = ()
    """In their order,
    the first one first."""
    silent: int = 0
    given: int = Field(0, description="Told otherwise.")
    """Not this."""


def test_texts_of_a_record_and_of_what_it_extends() -> None:
    assert field_texts(Outer) == {
        "width": "In pixels.", "parts": "In their order,\nthe first one first.", "given": "Told otherwise.",
    }  # fmt: skip


def test_schemas_carry_them_at_every_depth() -> None:
    plain = Outer.model_json_schema()
    assert "description" not in plain["properties"]["width"]
    schema = described(Outer).model_json_schema()
    assert schema["properties"]["parts"]["description"].startswith("In their order")
    assert schema["properties"]["given"]["description"] == "Told otherwise."
    assert "description" not in schema["properties"]["silent"]
    assert schema["$defs"]["Inner"]["properties"]["width"]["description"] == "In pixels."
    assert Outer(parts=(Inner(width=3),)).parts[0].width == 3


def test_a_record_without_source_has_none() -> None:
    made = type("Made", (Record,), {"__annotations__": {"size": int}, "__module__": "nowhere"})
    assert field_texts(made) == {}
