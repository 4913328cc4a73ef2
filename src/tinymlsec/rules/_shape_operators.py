"""What shapes an operator's inputs must have for its kernel to be safe, one operator after the other.

Checks name the first fault of an operator. What none of them names and inference objects to is SHAPE-02; where
inference has an answer and the file declares another, it is SHAPE-01.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._shape_indices import INDEX_CHECKS
from tinymlsec.rules._shape_inputs import INPUT_CHECKS
from tinymlsec.rules._shape_tensors import tensor_faults
from tinymlsec.rules._shape_values import ShapeFault
from tinymlsec.rules._sites import Site, site_of
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.schema import byte_size
from tinymlsec.target.tflite.shapes import OperatorShapes

Check = Callable[[Site], ShapeFault | None]

DECLARED_CVES: dict[str, tuple[str, ...]] = {
    "CONCATENATION": ("CVE-2021-29601",),
    "SPLIT": ("CVE-2021-29599",),
    "SPLIT_V": ("CVE-2021-29606",),
}
"""Operators whose advisory is about an output that is smaller than what the kernel writes."""


@dataclass(frozen=True)
class _Outputs:
    """Outputs of one operator that differ from what was inferred."""

    position: int
    declared: tuple[int, ...]
    inferred: tuple[int, ...]
    tensor: int
    short: bool
    """The declared output has fewer bytes than the kernel makes."""


def operator_faults(file: ModelFile) -> dict[str, list[Hit]]:
    """Hits of all rules about operators, by rule; every operator is looked at once."""
    if "shape.operators" not in file.memo:
        found: dict[str, list[Hit]] = {}
        bad = tensor_faults(file).tensors
        for result in file.shapes:
            site = site_of(file, result.graph, result.op)
            touched = {(result.graph.index, tensor) for tensor in (*result.op.inputs, *result.op.outputs)}
            if site.key in file.noted or touched & bad:
                continue
            for rule_id, hit in _faults(file, site, result):
                found.setdefault(rule_id, []).append(hit)
        file.memo["shape.operators"] = found
    hits: dict[str, list[Hit]] = file.memo["shape.operators"]
    return hits


def _faults(file: ModelFile, site: Site, result: OperatorShapes) -> Iterator[tuple[str, Hit]]:
    for check in (*INPUT_CHECKS.get(site.op.name, ()), *INDEX_CHECKS.get(site.op.name, ())):
        fault = check(site)
        if fault is not None:
            yield fault.rule, _hit(file, site, fault)
            return
    if result.error is not None:
        yield "SHAPE-02", _refused(file, site, result)
        return
    for output in _mismatches(site, result):
        yield "SHAPE-01", _declared(file, site, output)


def _hit(file: ModelFile, site: Site, fault: ShapeFault) -> Hit:
    return relative(
        file, f"{site.title} {fault.message}.", site.where(fault.position, fault.element), rule=fault.rule,
        op=site.op.name, cve=fault.cve, effect=fault.effect, severity=fault.severity,
    )  # fmt: skip


def _refused(file: ModelFile, site: Site, result: OperatorShapes) -> Hit:
    error = result.error
    assert error is not None
    words = error.message.partition(" has no output shape: ")[2] or error.message
    pairs = (("found", error.found), ("expected", error.expected))
    said = "; ".join(f"{what} {value}" for what, value in pairs if value)
    message = f"{site.title} has no output shape: {words.partition(' (file offset')[0]}{f' ({said})' if said else ''}."
    text, confidence = _open_shape(site, message)
    return relative(
        file, text, site.where(), rule="SHAPE-02", op=site.op.name, effect=Effect.READ, confidence=confidence
    )


def _open_shape(site: Site, message: str) -> tuple[str, Confidence | None]:
    """The message, and a lower confidence, where the file marks a shape as open: hosts set it while they run.

    The severity stays: microcontrollers do not read the mark, and whoever damages a file could set it.
    """
    tensors = [site.tensor(place) for place in range(len(site.op.inputs))]
    tensors += [site.output(place) for place in range(len(site.op.outputs))]
    if not any(tensor is not None and -1 in tensor.shape_signature for tensor in tensors):
        return message, None
    return f"{message} The file marks the shape as open (shape_signature), which hosts set later.", Confidence.MEDIUM


def _mismatches(site: Site, result: OperatorShapes) -> Iterator[_Outputs]:
    for position, inferred in enumerate(result.shapes):
        tensor = site.output(position)
        if tensor is None or inferred.shape is None or tensor.shape == inferred.shape:
            continue
        declared = byte_size(tensor.dtype, prod(tensor.shape)) or 0
        made = byte_size(tensor.dtype, prod(inferred.shape)) or 0
        yield _Outputs(position, tensor.shape, inferred.shape, tensor.index, declared < made)


def _declared(file: ModelFile, site: Site, output: _Outputs) -> Hit:
    message = (
        f"{site.title} declares output {output.position} as {list(output.declared)}; "
        f"expected {list(output.inferred)}, as inputs and options give it."
    )
    location: Location = site.where().model_copy(update={"tensor": output.tensor})
    text, confidence = _open_shape(site, message)
    return relative(
        file, text, location, rule="SHAPE-01", op=site.op.name, confidence=confidence,
        cve=DECLARED_CVES.get(site.op.name, ()) if output.short else (),
        effect=Effect.WRITE if output.short else Effect.WRONG,
        severity=None if output.short else Severity.MEDIUM,
    )  # fmt: skip
