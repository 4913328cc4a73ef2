"""SHAPE: what the file declares against what inputs, constants and options give. TFLM trusts declared shapes."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._shape_operators import operator_faults
from tinymlsec.rules._shape_tensors import tensor_faults
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile

_CONVERT = "convert the model again from its source; do not deploy this file"
_PYPA = "PyPA advisory database, TensorFlow advisories"
_ZERO_CVES = (
    "CVE-2021-29589 CVE-2021-29590 CVE-2021-29592 CVE-2021-29594 CVE-2021-29596 CVE-2021-29598 CVE-2021-29600 "
    "CVE-2021-29602 CVE-2021-29604 CVE-2021-29588 CVE-2021-37680 CVE-2021-37684 CVE-2021-37688 CVE-2021-37691 "
    "CVE-2023-27579"
)


def _of(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    yield from tensor_faults(file).hits.get(rule_id, ())
    yield from operator_faults(file).get(rule_id, ())


@rule(
    "SHAPE-01", "Declared output shape differs from the inferred one", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-787 CWE-1284", cve="CVE-2021-29599 CVE-2021-29601 CVE-2021-29606",
    threats="S3 S1", fix=_CONVERT,
    source="TensorFlow Lite Micro, error handling guide (2026); kernels read at snapshot 90b983c2b",
)  # fmt: skip
def declared(file: ModelFile) -> Iterator[Hit]:
    """The shape of every output as inputs, constants and options give it, against the one in the file.

    TFLM computes output sizes in a few kernels only, and then drops them: memory is laid out by what the file declares
    and loops run by either. An output declared smaller than what the kernel makes is a write past its memory; a larger
    one leaves old bytes in it.
    """
    yield from _of(file, "SHAPE-01")


@rule(
    "SHAPE-02", "Inputs that admit no output shape", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1284 CWE-125", threats="S3 S1", fix=_CONVERT,
    source="definition of the operators in the TensorFlow Lite schema and kernels",
)  # fmt: skip
def refused(file: ModelFile) -> Iterator[Hit]:
    """Ranks, dimensions, constants or numbers of inputs with which the operator is not defined.

    What has a rule of its own is named there.
    """
    yield from _of(file, "SHAPE-02")


@rule(
    "SHAPE-03", "Dimension of zero where a kernel needs elements", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-369 CWE-1284", cve=_ZERO_CVES, threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def zero(file: ModelFile) -> Iterator[Hit]:
    """Kernels divide by sizes of their inputs and weights, or read a first element without asking for one."""
    yield from _of(file, "SHAPE-03")


@rule(
    "SHAPE-04", "Too many dimensions", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-787 CWE-190", cve="CVE-2021-29605 CVE-2022-23558", threats="S3 S1", fix=_CONVERT,
    source="TFLM issue 3071; RuntimeShape holds 6 dimensions in TFLM, kernels of hosts at most 8",
)  # fmt: skip
def rank(file: ModelFile) -> Iterator[Hit]:
    """Kernels copy a shape into an array of fixed length on the stack; release builds do not compare the rank first."""
    yield from _of(file, "SHAPE-04")


@rule(
    "SHAPE-05", "Product of dimensions too large", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-190 CWE-787", cve="CVE-2022-23559 CVE-2022-35939", threats="S3 S1",
    fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def product(file: ModelFile) -> Iterator[Hit]:
    """Runtimes multiply dimensions in 32 bits. A product beyond that wraps to a small number that is then allocated."""
    yield from _of(file, "SHAPE-05")


@rule(
    "SHAPE-06", "Constant of another size than its shape", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-1284", threats="S3 S1", fix=_CONVERT, source="TFLM issue 3072",
)  # fmt: skip
def constant(file: ModelFile) -> Iterator[Hit]:
    """The bytes of a constant are as many as shape and type say.

    TFLM reads constants in place by their shape: with fewer bytes it reads on in whatever lies behind, with more the
    rest is not part of the model.
    """
    yield from _of(file, "SHAPE-06")


@rule(
    "SHAPE-07", "Inputs that cannot be broadcast", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-787", cve="CVE-2020-15208 CVE-2021-29590", threats="S3 S1",
    fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def broadcast(file: ModelFile) -> Iterator[Hit]:
    """Two inputs combined element by element have dimensions that are equal or 1.

    Kernels take the common size from one of them and read the other past its end.
    """
    yield from _of(file, "SHAPE-07")


@rule(
    "SHAPE-08", "Concatenation whose sizes do not add up", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-787 CWE-190", cve="CVE-2021-29601", threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def concatenation(file: ModelFile) -> Iterator[Hit]:
    """The sizes along the axis add up to the declared output, without overflow; all other dimensions agree.

    The kernel copies its inputs one after the other into the output, however small that was declared.
    """
    yield from _of(file, "SHAPE-08")


@rule(
    "SHAPE-09", "Parts of a split that do not add up", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-787", cve="CVE-2021-29599 CVE-2021-29606", threats="S3 S1",
    fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def split(file: ModelFile) -> Iterator[Hit]:
    """SPLIT into equal parts, SPLIT_V into parts that add up to the axis."""
    yield from _of(file, "SHAPE-09")


@rule(
    "SHAPE-10", "Constant index out of range", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-129 CWE-787",
    cve="CVE-2021-37687 CVE-2022-35937 CVE-2022-35938 CVE-2022-35939", threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def index(file: ModelFile) -> Iterator[Hit]:
    """GATHER, GATHER_ND, SCATTER_ND and EMBEDDING_LOOKUP with indices that are in the file.

    Indices that are computed cannot be judged here; RUN-06 names the kernels that trust them.
    """
    yield from _of(file, "SHAPE-10")


@rule(
    "SHAPE-11", "Segment numbers that cannot be", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-787 CWE-770", cve="CVE-2020-15212 CVE-2020-15213 CVE-2020-15214",
    threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def segments(file: ModelFile) -> Iterator[Hit]:
    """SEGMENT_SUM takes numbers that are sorted and not negative, and allocates a row for each up to the last."""
    yield from _of(file, "SHAPE-11")


@rule(
    "SHAPE-12", "Channels that do not fit the weights", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-369 CWE-125", cve="CVE-2021-37680 CVE-2023-27579",
    threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def channels(file: ModelFile) -> Iterator[Hit]:
    """Input channels are a multiple of the filter's, output channels of the number of groups; rows fit the weights."""
    yield from _of(file, "SHAPE-12")


@rule(
    "SHAPE-13", "Bias of the wrong length", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-125 CWE-369", cve="CVE-2022-23557", threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def bias(file: ModelFile) -> Iterator[Hit]:
    """One bias per output channel. Kernels read as many as there are channels."""
    yield from _of(file, "SHAPE-13")


@rule(
    "SHAPE-15", "Sparse tensor", subject=Subject.MODEL, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-787 CWE-1284", cve="CVE-2022-23560 CVE-2022-23561", threats="S3 S1",
    fix="convert the model without sparsity", source=_PYPA,
)  # fmt: skip
def sparse(file: ModelFile) -> Iterator[Hit]:
    """Values of a tensor stored sparsely, with metadata that says where they belong.

    TFLM does not read that metadata and takes the values for dense ones; old hosts expand them without checking it.
    """
    yield from _of(file, "SHAPE-15")


@rule(
    "SHAPE-16", "Transposed 3-D convolution that old runtimes compute wrongly", subject=Subject.MODEL,
    severity=Severity.HIGH, confidence=Confidence.MEDIUM, cwe="CWE-131 CWE-787", cve="CVE-2022-41894",
    threats="S3 S1", fix="run it on TensorFlow Lite 2.11 or later only", source=_PYPA,
)  # fmt: skip
def transposed(file: ModelFile) -> Iterator[Hit]:
    """A sound model that a faulty kernel answers with a write past its output.

    The bias of CONV_3D_TRANSPOSE was added with the wrong step, which shows where input and output channels differ.
    """
    yield from _of(file, "SHAPE-16")


@rule(
    "SHAPE-17", "Constant index that names another element", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-129", threats="S3", fix=_CONVERT,
    source="seen: tflite-micro of October 2026 compares the position in all of the tensor, not index by index",
)  # fmt: skip
def elsewhere(file: ModelFile) -> Iterator[Hit]:
    """A row of indices of which one is too large or negative, while the place that they give lies in the tensor.

    Kernels that check the place only read another element than what the row says.
    """
    yield from _of(file, "SHAPE-17")
