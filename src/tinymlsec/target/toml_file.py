"""Reads TOML that people write by hand (device files, deployment profiles) and says exactly what is wrong with it."""

from __future__ import annotations

import difflib
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tinymlsec.errors import InputError

MAX_BYTES = 64 * 1024
"""Largest file that is read; ours are below 8 KB."""

MAX_LINE = 1500
"""Longest line in characters; tomllib's time grows with the square of the length of a dotted key."""

ModelT = TypeVar("ModelT", bound=BaseModel)

_HEADER = re.compile(r"^\s*\[{1,2}\s*([A-Za-z0-9_.-]+)\s*\]{1,2}")
_KEY = re.compile(r"^\s*\"?([A-Za-z0-9_-]+)\"?\s*[.=]")


def read_text(path: Path, error: type[InputError], next_step: str) -> str:
    """The text of a small regular file.

    Args:
        path: the file.
        error: raised where it is missing, not a regular file, larger than `MAX_BYTES` or not UTF-8.
        next_step: what the user can do about it.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{path} is not a file", expected="a TOML file", next_step=next_step)
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise error(f"cannot read {path}", found=reason, expected="a TOML file", next_step=next_step) from None
    if len(data) > MAX_BYTES:
        raise error(f"{path} is too large", found=f"more than {MAX_BYTES} bytes", expected=f"at most {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{path} is not text", found=f"byte {problem.start} is not UTF-8", expected="UTF-8") from None


def parse(text: str, path: Path, error: type[InputError]) -> dict[str, Any]:
    """The table in a TOML text; a syntax error is reported with its line."""
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > MAX_LINE:
            raise error(f"{path}, line {number} is too long", expected=f"at most {MAX_LINE} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise error(f"{path} nests too deeply", expected="tables and short lists") from None
    except ValueError as problem:  # TOMLDecodeError, and integers too long to convert
        reason = str(problem).partition(";")[0][:300]
        raise error(f"{path} is not valid TOML", found=reason, expected="TOML 1.0") from None


def validate(model: type[ModelT], data: dict[str, Any], path: Path, text: str, error: type[InputError]) -> ModelT:
    """The data as a model; the first thing wrong with it becomes one error with key, line, found and expected."""
    try:
        return model.model_validate(data)
    except ValidationError as problem:
        raise explain(problem, model, str(path), text, error) from None


def explain(
    problem: ValidationError, model: type[BaseModel], where: str, text: str, error: type[InputError]
) -> InputError:
    """The first of Pydantic's errors in our words.

    Args:
        problem: what Pydantic raised.
        model: the model that was validated against; its keys give the closest match.
        where: the file, or what else the values came from.
        text: the file's text, searched for the line of the key; may be empty.
        error: class of the result.
    """
    errors = problem.errors(include_url=False, include_context=True)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])  # a typing mistake explains the rest
    steps = tuple(step for step in first["loc"] if not str(step).startswith("function-"))
    key = ".".join(str(step) for step in steps)[:100] or "the file"
    place = where + (f", line {line}" if (line := line_of(text, steps)) else "")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = known_keys(model, steps[:-1])
        close = difflib.get_close_matches(str(steps[-1]), known, n=1)
        step = f"did you mean {close[0]!r}?" if close else "remove it, or move it to the table where it belongs"
        return error(f"{place}: unknown key {key!r}{more}", expected=", ".join(known), next_step=step)
    if first["type"] == "missing":
        return error(f"{place}: key {key!r} is missing{more}", expected=f"a value for {key!r}")
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    plain = {"model_type": "a table", "tuple_type": "a list", "string_type": "a text"}
    expected = plain.get(first["type"]) or str(first.get("ctx", {}).get("expected", message))
    return error(f"{place}: key {key!r} has a wrong value{more}", found=repr(first["input"])[:200], expected=expected)


def known_keys(model: type[BaseModel], steps: tuple[int | str, ...]) -> list[str]:
    """The keys that a table of the model takes, the table being reached by the given steps."""
    for step in steps:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        inner = _models_in(field.annotation) if field is not None else []
        if not inner:
            return []
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models named by an annotation such as ``tuple[Core, ...]`` or ``dict[str, Feature]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def line_of(text: str, steps: tuple[int | str, ...]) -> int | None:
    """The line (from 1) that most likely holds a key: tomllib keeps no positions, so the text is searched."""
    names = [str(step) for step in steps if not isinstance(step, int)]
    section, best = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = header.group(1)
            if section == ".".join(names):
                best = best or number
        elif (key := _KEY.match(line)) and names and key.group(1) in names:
            inside = section.split(".") if section else []
            if inside == names[: len(inside)] and key.group(1) == names[len(inside) : len(inside) + 1][0]:
                return number
    return best
