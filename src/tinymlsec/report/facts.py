"""Nested facts as flat rows, for records whose shape the report does not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from tinymlsec.report.text import number

_DEPTH = 6


def _leaf(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return "none" if value is None else str(value)


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and depth < _DEPTH:
        for name, inner in value.items():
            yield from _walk(inner, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping | list | tuple) for v in value):
        if depth < _DEPTH:
            for index, inner in enumerate(value):
                yield from _walk(inner, f"{path}[{index}]", depth + 1)
        else:
            yield path, "(nested further; see report.json)"
    elif isinstance(value, list | tuple):
        yield path, ", ".join(_leaf(v) for v in value[:64]) + (" …" if len(value) > 64 else "")
    elif isinstance(value, Mapping):
        yield path, "(nested further; see report.json)"
    else:
        yield path, _leaf(value)


def flatten(facts: Mapping[str, Any], limit: int) -> Iterator[tuple[str, str]]:
    """The first `limit` facts as (dotted name, text), in the order of the record; lists of plain values in one row."""
    return islice(((name, text) for name, text in _walk(facts, "", 0) if text), limit)
