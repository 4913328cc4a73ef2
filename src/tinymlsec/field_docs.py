"""What the docstrings below the fields of a record say, read only where it is shown.

pydantic can read them when a class is made (`use_attribute_docstrings`), but that parses the source of every record at
every start, a sixth of the time of a scan of one file.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

from tinymlsec.records import Record


def described(model: type[Record]) -> type[Record]:
    """The same record, with the docstrings of its fields and of all records in it as their descriptions.

    Args:
        model: a record; it is changed, which changes nothing but its JSON Schema.
    """
    for record in dict.fromkeys(_inner_first(model, set())):
        texts = field_texts(record)
        for name, info in record.model_fields.items():
            info.description = texts.get(name)
        record.model_rebuild(force=True)
    return model


def field_texts(record: type[Record]) -> dict[str, str]:
    """Field -> docstring, of a record and the records that it extends; a description given to `Field` goes first."""
    texts: dict[str, str] = {}
    for base in reversed(record.__mro__):
        if issubclass(base, Record):
            texts |= dict(_own_texts(base))
    return texts | {name: info.description for name, info in record.model_fields.items() if info.description}


def _own_texts(record: type[Record]) -> Iterator[tuple[str, str]]:
    try:
        source = textwrap.dedent(inspect.getsource(record))
    except (OSError, TypeError):  # made at run time, or shipped without source: there is nothing to show
        return
    body = ast.parse(source).body[0]
    lines = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in pairwise(lines):
        named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if named and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            yield field.target.id, inspect.cleandoc(str(text.value.value))  # type: ignore[attr-defined]


def _inner_first(model: type[Record], seen: set[type[Record]]) -> Iterator[type[Record]]:
    seen.add(model)
    for info in model.model_fields.values():
        for inner in _records_in(info.annotation):
            if inner not in seen:
                yield from _inner_first(inner, seen)
    yield model


def _records_in(annotation: Any) -> Iterator[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
    for part in get_args(annotation):
        yield from _records_in(part)
