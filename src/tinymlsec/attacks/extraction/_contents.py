"""What the holder of a model file learns from it, as findings with stable ids and file offsets."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymlsec._lazy import np
from tinymlsec.attacks.extraction._strings import Hit, search_text
from tinymlsec.errors import ModelFileError
from tinymlsec.records import Confidence, Finding, Location, Severity

if TYPE_CHECKING:
    from tinymlsec.target.tflite.graph import Model, Tensor

WEIGHT_TYPES = ("float32", "float16", "float64", "bfloat16", "int4", "int8", "uint8")
CONVERTER_MARKS = ("MLIR Converted.", "TOCO Converted.", "")
"""Descriptions that converters write by themselves."""
COMPARISONS = ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")

_TELLING = re.compile(r"[A-Za-z]{4}")
_MACHINE_MADE = re.compile(r"(?:tensor|input|output|buffer)[_-]?\d*")
_ENCRYPT = "store the model encrypted with a key of the device, or compile it into code, where its secrecy matters"
_STRIP = "strip names and metadata before the file is deployed; no runtime on a microcontroller needs them"


@dataclass(frozen=True)
class Contents:
    """The findings, and the numbers behind them."""

    findings: tuple[Finding, ...]
    parameters: int
    """Weights and biases that the file holds by its own account."""
    recovered: int
    """Those whose values were read."""
    facts: dict[str, Any]


def contents_of(model: Model, data: bytes) -> Contents:
    """Read everything that the file gives away.

    Args:
        model: as read from `data`.
        data: the whole file.
    """
    from tinymlsec.target.tflite.embedded import metadata_facts

    parameters, recovered, first = _weights(model)
    metadata = metadata_facts(model)
    labels = _labels(model, data)
    findings = [
        *_graph(model),
        *_weight_finding(parameters, recovered, first),
        *_names(model, data),
        *_label_finding(labels),
        *_tool(model, data, metadata),
        *_authorship(model, data, metadata),
        *_comparisons(model),
        *(_text_finding(hit) for hit in search_text(data)),
    ]
    operators = Counter(op.label for graph in model.subgraphs for op in graph.operators)
    facts = {"operators": dict(operators.most_common(64)), "labels": labels[1][:64] if labels else []}
    return Contents(tuple(findings), parameters, recovered, facts)


def weight_tensors(model: Model) -> Iterator[Tensor]:
    """Constants that are weights or biases, each buffer once."""
    seen: set[int] = set()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            quantized = tensor.quantization is not None and tensor.quantization.scale.size > 0
            if len(model.buffers[tensor.buffer].data) and (quantized or tensor.dtype in WEIGHT_TYPES):
                if tensor.buffer not in seen:
                    yield tensor
                seen.add(tensor.buffer)


def _weights(model: Model) -> tuple[int, int, int | None]:
    """(values by shape, values read, file offset of the largest tensor)."""
    from tinymlsec.target.tflite.constant import constant

    parameters = recovered = largest = 0
    first: int | None = None
    for tensor in weight_tensors(model):
        parameters += math.prod(tensor.shape)
        try:
            values = constant(model, tensor)
        except ModelFileError:
            continue
        if values is not None:
            recovered += int(np.count_nonzero(values == values))  # a float that is no number is no weight
            if values.size > largest:
                largest, first = values.size, model.buffers[tensor.buffer].offset
    return parameters, recovered, first


def _graph(model: Model) -> Iterator[Finding]:
    count = sum(len(graph.operators) for graph in model.subgraphs)
    if count:
        yield _finding(
            "GRAPH",
            "the architecture is in the clear",
            f"{count} operators with all options, shapes and quantization parameters can be read.",
            Severity.MEDIUM,
            model.main.offset,
            fix=_ENCRYPT,
            cwe=("CWE-312", "CWE-311"),
        )


def _weight_finding(parameters: int, recovered: int, offset: int | None) -> Iterator[Finding]:
    if recovered:
        yield _finding(
            "WEIGHTS",
            "the weights are in the clear",
            f"{recovered:,} of {parameters:,} weights and biases can be read as they are.",
            Severity.HIGH,
            offset,
            fix=_ENCRYPT,
            cwe=("CWE-312", "CWE-311"),
        )


def _names(model: Model, data: bytes) -> Iterator[Finding]:
    names = [tensor.name for graph in model.subgraphs for tensor in graph.tensors]
    names += [name for signature in model.signatures for name, _ in (*signature.inputs, *signature.outputs)]
    telling = [n for n in dict.fromkeys(names) if _TELLING.search(n) and not _MACHINE_MADE.fullmatch(n)]
    if telling:
        shown = ", ".join(name[:60] for name in telling[:3])
        yield _finding(
            "NAMES",
            "tensor names tell how the model was made",
            f"{len(telling)} names of layers and tensors, such as: {shown}.",
            Severity.LOW,
            _offset(data, telling[0]),
            fix=_STRIP,
        )


def _labels(model: Model, data: bytes) -> tuple[int | None, list[str]] | None:
    """(file offset, labels) of the first list of labels: a metadata text of several lines, or an appended archive."""
    from tinymlsec.target.tflite.embedded import archive_facts
    from tinymlsec.target.tflite.layout import used_bytes

    for entry in model.metadata:
        buffer = model.buffers[entry.buffer]
        lines = bytes(buffer.data[:65_536]).rstrip(b"\0").decode("utf-8", "replace").split("\n")
        kept = [line.strip() for line in lines if line.strip()]
        if len(kept) > 1 and all(line.isprintable() and "�" not in line and len(line) <= 80 for line in kept):
            return buffer.offset, kept
    try:
        end = used_bytes(data)
    except ModelFileError:
        return None
    for member in archive_facts(data[end:]) if len(data) > end else ():
        if member.get("lines"):
            return end, list(member["lines"])
    return None


def _label_finding(labels: tuple[int | None, list[str]] | None) -> Iterator[Finding]:
    if labels:
        offset, lines = labels
        yield _finding(
            "LABELS",
            "the classes are named in the file",
            f"{len(lines)} labels, such as: {', '.join(line[:40] for line in lines[:5])}.",
            Severity.LOW,
            offset,
            fix="keep labels on the side that shows them to people; the device needs class numbers only",
        )


def _tool(model: Model, data: bytes, metadata: list[dict[str, Any]]) -> Iterator[Finding]:
    said = [model.description] if model.description in CONVERTER_MARKS[:2] else []
    offset = _offset(data, model.description) if said else None
    for entry in metadata:
        if entry["name"] in ("CONVERSION_METADATA", "min_runtime_version") and entry["content"]:
            said.append(f"{entry['name']}: {_flat(entry['content'])}")
            offset = entry["offset"] if offset is None else offset
    if said:
        yield _finding(
            "TOOL",
            "the training and conversion tools are named",
            f"{'; '.join(said)}."[:600],
            Severity.LOW,
            offset,
            fix=_STRIP,
        )


def _authorship(model: Model, data: bytes, metadata: list[dict[str, Any]]) -> Iterator[Finding]:
    said = [] if model.description in CONVERTER_MARKS else [f"description: {model.description[:200]}"]
    offset = _offset(data, model.description) if said else None
    for entry in metadata:
        content = entry["content"]
        if isinstance(content, dict) and "tensorflow_version" not in content:
            kept = {k: content[k] for k in ("name", "description", "author", "version", "license") if content.get(k)}
            if kept:
                said.append(_flat(kept))
                offset = entry["offset"] if offset is None else offset
    if said:
        yield _finding(
            "DESCRIPTION",
            "the file describes itself",
            f"{'; '.join(said)}"[:600],
            Severity.LOW,
            offset,
            fix=_STRIP,
        )


def _comparisons(model: Model) -> Iterator[Finding]:
    from tinymlsec.target.tflite.constant import constant

    for graph in model.subgraphs:
        for op in graph.operators:
            if op.name not in COMPARISONS:
                continue
            for tensor in (graph.tensors[t] for t in op.inputs if t >= 0):
                values = _or_none(constant, model, tensor)
                if values is not None and values.size == 1:
                    yield _finding(
                        "THRESHOLD",
                        "a decision threshold is in the clear",
                        f"operator {op.index} ({op.name}) compares with the constant {values.reshape(-1)[0]}.",
                        Severity.LOW,
                        model.buffers[tensor.buffer].offset,
                        fix="keep thresholds where they can be changed and protected, or accept that they are known",
                    )


def _or_none(read: Any, model: Model, tensor: Tensor) -> Any:
    try:
        return read(model, tensor)
    except ModelFileError:
        return None


_TEXT = {
    "path": ("PATHS", "an absolute path of a build machine", Severity.LOW, ("CWE-200", "CWE-497")),
    "contact": ("CONTACT", "an address", Severity.LOW, ("CWE-200",)),
    "secret": ("SECRET", "what looks like a credential", Severity.HIGH, ("CWE-798", "CWE-312")),
    "threshold": ("THRESHOLD", "a decision threshold is in the clear", Severity.LOW, ("CWE-312",)),
}


def _text_finding(hit: Hit) -> Finding:
    name, title, severity, cwe = _TEXT[hit.kind]
    fix = "revoke the credential, and remove it from the file" if hit.kind == "secret" else _STRIP
    return _finding(name, title, f"Text in the file: {hit.text}", severity, hit.offset, fix=fix, cwe=cwe)


def _flat(content: Any) -> str:
    pairs = content.items() if isinstance(content, dict) else [("value", content)]
    return ", ".join(f"{key} {value}" if key != "value" else str(value) for key, value in pairs)[:400]


def _offset(data: bytes, text: str) -> int | None:
    """Where a text lies in the file."""
    place = data.find(text.encode("utf-8", "replace"))
    return place if place >= 0 else None


def _finding(
    name: str,
    title: str,
    message: str,
    severity: Severity,
    offset: int | None,
    *,
    fix: str,
    cwe: tuple[str, ...] = ("CWE-200",),
) -> Finding:
    return Finding(
        id=f"EXTR-{name}",
        title=title,
        message=message,
        severity=severity,
        confidence=Confidence.HIGH if name in ("GRAPH", "WEIGHTS", "NAMES", "TOOL") else Confidence.MEDIUM,
        cwe=cwe,
        location=Location(file_offset=offset),
        fix=fix,
    )
