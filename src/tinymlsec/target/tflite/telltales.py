"""What a model file tells about the people and tools that made it, and about how it decides.

The extraction attack and the scanner's rules about provenance both speak from these facts, so the same text has the
same place in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymlsec.errors import ModelFileError

if TYPE_CHECKING:
    from tinymlsec.target.tflite.graph import Model, Operator

CONVERTER_MARKS = ("MLIR Converted.", "TOCO Converted.", "")
"""Descriptions that converters write by themselves."""
COMPARISONS = ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
MAX_LABEL = 80
"""Characters of one label."""
_TELLING = re.compile(r"[A-Za-z]{4}")
_MACHINE_MADE = re.compile(r"(?:tensor|input|output|buffer)[_-]?\d*")


@dataclass(frozen=True)
class Told:
    """One thing that the file tells."""

    offset: int | None
    """File offset; None where it cannot be said."""
    text: str
    """In words, as a report shows it."""


@dataclass(frozen=True)
class Labels:
    """Names of classes."""

    offset: int | None
    lines: tuple[str, ...]


def telling_names(model: Model, data: bytes) -> Told | None:
    """Names of layers and tensors that people chose or that frameworks made."""
    names = [tensor.name for graph in model.subgraphs for tensor in graph.tensors]
    names += [name for signature in model.signatures for name, _ in (*signature.inputs, *signature.outputs)]
    telling = [n for n in dict.fromkeys(names) if _TELLING.search(n) and not _MACHINE_MADE.fullmatch(n)]
    if not telling:
        return None
    shown = ", ".join(name[:60] for name in telling[:3])
    return Told(offset_of(data, telling[0]), f"{len(telling)} names of layers and tensors, such as: {shown}.")


def label_list(model: Model, data: bytes, end: int | None) -> Labels | None:
    """The first list of labels: a metadata text of several lines, or a text of an appended archive.

    Args:
        model: as read from `data`.
        data: the whole file.
        end: where the flatbuffer ends; None where that is not known.
    """
    from tinymlsec.target.tflite.embedded import archive_facts

    for entry in model.metadata:
        buffer = model.buffers[entry.buffer]
        lines = bytes(buffer.data[:65_536]).rstrip(b"\0").decode("utf-8", "replace").split("\n")
        kept = [line.strip() for line in lines if line.strip()]
        if len(kept) > 1 and all(line.isprintable() and "�" not in line and len(line) <= MAX_LABEL for line in kept):
            return Labels(buffer.offset, tuple(kept))
    for member in archive_facts(data[end:]) if end is not None and len(data) > end else ():
        if member.get("lines"):
            return Labels(end, tuple(member["lines"]))
    return None


def tool_marks(model: Model, data: bytes, metadata: list[dict[str, Any]]) -> Told | None:
    """Converter and versions, from the description and from metadata (`embedded.metadata_facts`)."""
    said = [model.description] if model.description in CONVERTER_MARKS[:2] else []
    offset = offset_of(data, model.description) if said else None
    for entry in metadata:
        if entry["name"] in ("CONVERSION_METADATA", "min_runtime_version") and entry["content"]:
            said.append(f"{entry['name']}: {_flat(entry['content'])}")
            offset = entry["offset"] if offset is None else offset
    return Told(offset, f"{'; '.join(said)}."[:600]) if said else None


def authorship(model: Model, data: bytes, metadata: list[dict[str, Any]]) -> Told | None:
    """Description, author, license and version that people wrote into the file."""
    said = [] if model.description in CONVERTER_MARKS else [f"description: {model.description[:200]}"]
    offset = offset_of(data, model.description) if said else None
    for entry in metadata:
        content = entry["content"]
        if isinstance(content, dict) and "tensorflow_version" not in content:
            kept = {k: content[k] for k in ("name", "description", "author", "version", "license") if content.get(k)}
            if kept:
                said.append(_flat(kept))
                offset = entry["offset"] if offset is None else offset
    return Told(offset, f"{'; '.join(said)}"[:600]) if said else None


def constant_thresholds(model: Model) -> Iterator[tuple[Operator, Told]]:
    """Comparisons of a result with one constant."""
    from tinymlsec.target.tflite.constant import constant

    for graph in model.subgraphs:
        for op in graph.operators:
            if op.name not in COMPARISONS:
                continue
            for tensor in (graph.tensors[index] for index in op.inputs if index >= 0):
                try:
                    values = constant(model, tensor)
                except ModelFileError:
                    continue
                if values is not None and values.size == 1:
                    text = f"operator {op.index} ({op.name}) compares with the constant {values.reshape(-1)[0]}."
                    yield op, Told(model.buffers[tensor.buffer].offset, text)


def _flat(content: Any) -> str:
    pairs = content.items() if isinstance(content, dict) else [("value", content)]
    return ", ".join(f"{key} {value}" if key != "value" else str(value) for key, value in pairs)[:400]


def offset_of(data: bytes, text: str) -> int | None:
    """Where a text lies in the file; None where it does not."""
    place = data.find(text.encode("utf-8", "replace"))
    return place if place >= 0 else None
