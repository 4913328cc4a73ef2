"""`tinymlsec scan --facts`: what a model file says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import typer


def print_facts(model: Path, output: str) -> None:
    """Read a model file without running it and print what it says.

    Args:
        model: the file.
        output: text or json.
    """
    from tinymlsec.errors import UsageError
    from tinymlsec.target.tflite.facts import file_facts
    from tinymlsec.target.tflite.reader import read_model_file

    if output not in ("text", "json"):
        raise UsageError("facts have two formats", found=output, expected="text or json")
    graph, data = read_model_file(model)
    found = file_facts(graph, data)
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
    else:
        for line in fact_lines(found):
            typer.echo(line)


def fact_lines(value: object, indent: int = 0) -> list[str]:
    """Nested facts as indented lines; short lists of plain values stay on one line."""
    from tinymlsec.cli.terminal import plain

    pad = "  " * indent
    if isinstance(value, dict):
        lines: list[str] = []
        for key, item in value.items():
            if isinstance(item, dict | list) and item and not _flat(item):
                lines += [f"{pad}{plain(str(key), 80)}:", *fact_lines(item, indent + 1)]
            else:
                lines.append(f"{pad}{plain(str(key), 80)}: {_inline(item)}")
        return lines
    if isinstance(value, list):
        return [f"{pad}- {_inline(item)}" for item in value]
    return [f"{pad}{plain(str(value), 400)}"]


def _flat(item: object) -> bool:
    return isinstance(item, list) and len(item) <= 8 and not any(isinstance(v, dict | list) for v in item)


def _inline(item: object) -> str:
    from tinymlsec.cli.terminal import plain

    if isinstance(item, dict):
        return ", ".join(f"{plain(str(k), 60)}={_inline(v)}" for k, v in item.items() if v not in ({}, [], None, ""))
    if isinstance(item, list):
        return "[" + ", ".join(_inline(v) for v in item) + "]"
    return plain(str(item), 400)
