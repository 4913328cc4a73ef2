"""Writes deployment profiles for `tinymlsec init`, and their reference table.

All comments come from the docstrings of the model, so the words in a profile cannot drift from what is checked.
"""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import ValidationError

from tinymlsec.errors import DeploymentError
from tinymlsec.field_docs import field_texts
from tinymlsec.records import Record
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.toml_file import explain

_HEAD = (
    "Deployment profile for tinymlsec: what is true of the product as shipped. All keys may be left out. "
    '"unknown" (and a key that is commented out) counts neither as protection nor as weakness.'
)


class FieldInfo(NamedTuple):
    """One key of the profile, for people."""

    name: str
    """Dotted name, such as ``debug.port``."""
    meaning: str
    """The docstring of the field, on one line."""
    allowed: tuple[str, ...]
    """The words it takes; empty for free text and numbers."""
    kind: str
    """``word``, ``list``, ``text``, ``integer`` or ``number``."""
    default: Any
    """The value of a key that is left out; None for a number that is then not known."""

    @property
    def values(self) -> str:
        """What may be written, in one phrase."""
        words = " | ".join(self.allowed)
        return {"word": words, "list": f"any of: {', '.join(self.allowed)}"}.get(self.kind, self.kind)


def describe() -> Iterator[FieldInfo]:
    """Every key of a profile, in order."""
    for section, model in _sections():
        texts = field_texts(model)
        for key, field in model.model_fields.items():
            allowed = tuple(_words_in(field.annotation))
            meaning = " ".join(texts.get(key, "").split())
            yield FieldInfo(f"{section}.{key}", meaning, allowed, _kind(field.annotation, allowed), field.default)


def deployment_from_flags(**flags: Any) -> Deployment:
    """A deployment from command-line flags.

    Args:
        flags: values by dotted name (``**{"debug.port": "open"}``), by name with two underscores (``debug__port``),
            or by the key alone where only one table has it (``port``). Numbers and lists may come as strings; None
            counts as not given.

    Raises:
        DeploymentError: no such key, or a value it does not take.
    """
    fields = {info.name: info for info in describe()}
    data: dict[str, dict[str, Any]] = {}
    for flag, value in flags.items():
        if value is None:
            continue
        info = fields[_full_name(flag, fields)]
        section, _, key = info.name.partition(".")
        data.setdefault(section, {})[key] = _from_text(info, value) if isinstance(value, str) else value
    try:
        return Deployment.model_validate(data)
    except ValidationError as problem:
        raise explain(problem, Deployment, "flags", "", DeploymentError) from None


def profile_text(**flags: Any) -> str:
    """A commented profile in TOML with the given values, every other key at its default; flags as in
    `deployment_from_flags`."""
    deployment = deployment_from_flags(**flags)
    lines = _comment(_HEAD)
    previous = ""
    for info in describe():
        section, _, key = info.name.partition(".")
        if section != previous:
            lines += ["", "", f"[{section}]", *_comment(_section_meaning(section))]
            previous = section
        lines += ["", *_comment(info.meaning), *_comment(info.values, "#   ")]
        value = deployment.fact(info.name)
        lines.append(f"# {key} =" if value is None else f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def reference_table() -> str:
    """All keys as Markdown tables, one for each section of the profile."""
    lines: list[str] = []
    previous = ""
    for info in describe():
        section, _, key = info.name.partition(".")
        if section != previous:
            lines += ["", f"### `[{section}]`", "", _section_meaning(section), ""]
            lines += ["| Key | Values | Meaning |", "| --- | --- | --- |"]
            previous = section
        lines.append(f"| `{key}` | {info.values.replace('|', chr(92) + '|')} | {info.meaning.replace('|', '/')} |")
    return "\n".join(lines).strip() + "\n"


def _sections() -> Iterator[tuple[str, type[Record]]]:
    for name, field in Deployment.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Record):
            yield name, field.annotation


def _section_meaning(section: str) -> str:
    return " ".join((dict(_sections())[section].__doc__ or "").split())


def _words_in(annotation: Any) -> Iterator[str]:
    """The words of all literals in an annotation."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from _words_in(part)


def _kind(annotation: Any, allowed: tuple[str, ...]) -> str:
    if allowed:
        return "list" if get_origin(annotation) is tuple else "word"
    names = {part.__name__ for part in (annotation, *_types_in(annotation)) if isinstance(part, type)}
    return "integer" if "int" in names else "number" if "float" in names else "text"


def _types_in(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield part
        yield from _types_in(part)


def _full_name(flag: str, fields: dict[str, FieldInfo]) -> str:
    name = flag.replace("__", ".", 1)
    if name in fields:
        return name
    same = [full for full in fields if full.partition(".")[2] == flag]
    if len(same) == 1:
        return same[0]
    close = same or difflib.get_close_matches(name, [*fields, *(full.partition(".")[2] for full in fields)], n=3)
    raise DeploymentError(
        f"the flag {flag!r} {'could mean several keys' if same else 'names no key of the profile'}",
        expected=" or ".join(close) if close else "section.key, such as debug.port",
        next_step="see docs/deployment-profile.md",
    )


def _from_text(info: FieldInfo, text: str) -> Any:
    """A flag's text as the value that TOML would have held; what does not convert is left for the model to refuse."""
    if info.kind == "list":
        return [word.strip() for word in text.split(",") if word.strip()]
    convert = {"integer": int, "number": float}.get(info.kind)
    try:
        return convert(text) if convert else text
    except ValueError:
        return text


def _toml(value: Any) -> str:
    """A text, number or list of texts in TOML; a JSON string is a TOML string once DEL is escaped, too."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)


def _comment(text: str, start: str = "# ") -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=start, subsequent_indent=start, break_long_words=False)
