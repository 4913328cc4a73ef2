"""What the holder of a model file learns from it, as findings with stable ids and file offsets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymlsec._lazy import np
from tinymlsec.errors import ModelFileError
from tinymlsec.records import Confidence, Finding, Location, Severity
from tinymlsec.target.tflite.strings import Hit, search_text
from tinymlsec.target.tflite.telltales import (
    Labels,
    Told,
    authorship,
    constant_thresholds,
    label_list,
    telling_names,
    tool_marks,
)

if TYPE_CHECKING:
    from tinymlsec.target.tflite.graph import Model, Tensor

WEIGHT_TYPES = ("float32", "float16", "float64", "bfloat16", "int4", "int8", "uint8")
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
    labels = label_list(model, data, _end(data))
    findings = [
        *_graph(model),
        *_weight_finding(parameters, recovered, first),
        *_names(telling_names(model, data)),
        *_label_finding(labels),
        *_tool(tool_marks(model, data, metadata)),
        *_authorship(authorship(model, data, metadata)),
        *_comparisons(model),
        *(_text_finding(hit) for hit in search_text(data)),
    ]
    operators = Counter(op.label for graph in model.subgraphs for op in graph.operators)
    facts = {"operators": dict(operators.most_common(64)), "labels": list(labels.lines[:64]) if labels else []}
    return Contents(tuple(findings), parameters, recovered, facts)


def _end(data: bytes) -> int | None:
    from tinymlsec.target.tflite.layout import used_bytes

    try:
        return used_bytes(data)
    except ModelFileError:
        return None


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


def _names(told: Told | None) -> Iterator[Finding]:
    if told:
        title = "tensor names tell how the model was made"
        yield _finding("NAMES", title, told.text, Severity.LOW, told.offset, fix=_STRIP)


def _label_finding(labels: Labels | None) -> Iterator[Finding]:
    if labels:
        lines = labels.lines
        yield _finding(
            "LABELS",
            "the classes are named in the file",
            f"{len(lines)} labels, such as: {', '.join(line[:40] for line in lines[:5])}.",
            Severity.LOW,
            labels.offset,
            fix="keep labels on the side that shows them to people; the device needs class numbers only",
        )


def _tool(told: Told | None) -> Iterator[Finding]:
    if told:
        title = "the training and conversion tools are named"
        yield _finding("TOOL", title, told.text, Severity.LOW, told.offset, fix=_STRIP)


def _authorship(told: Told | None) -> Iterator[Finding]:
    if told:
        yield _finding("DESCRIPTION", "the file describes itself", told.text, Severity.LOW, told.offset, fix=_STRIP)


def _comparisons(model: Model) -> Iterator[Finding]:
    for _, told in constant_thresholds(model):
        yield _finding(
            "THRESHOLD",
            "a decision threshold is in the clear",
            told.text,
            Severity.LOW,
            told.offset,
            fix="keep thresholds where they can be changed and protected, or accept that they are known",
        )


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
