"""QUANT: scales, zero points and what follows from them. Kernels turn ratios of scales into integers and trust them."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._quant_operators import (
    accumulator_hits,
    bias_hits,
    divisor_hits,
    missing_hits,
    multiplier_hits,
    offset_hits,
)
from tinymlsec.rules._quant_ports import fixed_hits, kept_hits
from tinymlsec.rules._quant_tensors import dimension_hits, length_hits, scale_hits, zero_point_hits
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile

_CONVERT = "convert the model again from its source; do not deploy this file"
_SPEC = "TensorFlow Lite 8-bit quantization specification"
_PYPA = "PyPA advisory database, TensorFlow advisories"


@rule(
    "QUANT-01", "Scale that is not a positive number", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1284 CWE-369", threats="S3 S1", fix=_CONVERT, source=_SPEC,
)  # fmt: skip
def scale(file: ModelFile) -> Iterator[Hit]:
    """Every scale is finite and greater than zero.

    Kernels divide by scales in their preparation. A quotient that is infinite or no number becomes an integer by a cast
    whose result the language leaves open; TFLM aborts on some of them.
    """
    yield from scale_hits(file, "QUANT-01")


@rule(
    "QUANT-02", "Zero point outside of its type", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1284 CWE-190", threats="S3", fix=_CONVERT, source=_SPEC,
)  # fmt: skip
def zero_point(file: ModelFile) -> Iterator[Hit]:
    """A zero point is a value of the tensor's type; for int16 and wider it is 0.

    CMSIS-NN keeps input offsets in types for which this holds, and sums over padded areas overflow where it does not.
    """
    yield from zero_point_hits(file, "QUANT-02")


@rule(
    "QUANT-03", "Zero point of weights that is not 0", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1284", threats="S3", fix=_CONVERT, source=_SPEC,
)  # fmt: skip
def symmetric(file: ModelFile) -> Iterator[Hit]:
    """int8 and int4 weights are symmetric. Kernels leave their zero point out, so another one gives wrong results."""
    yield from offset_hits(file, "QUANT-03")


@rule(
    "QUANT-04", "Numbers of scales and zero points that do not fit", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-1284", cve="CVE-2021-37682", threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def lengths(file: ModelFile) -> Iterator[Hit]:
    """One scale for the tensor, or one per slice of the quantized dimension; as many zero points as scales.

    A kernel that quantizes per channel reads one entry for each output channel, however long the vector is.
    """
    yield from length_hits(file, "QUANT-04")


@rule(
    "QUANT-05", "Quantized dimension outside of the tensor", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-129", cve="CVE-2021-37682", threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def dimension(file: ModelFile) -> Iterator[Hit]:
    """The dimension that scales run along is an index into the tensor's shape, which kernels use without a check."""
    yield from dimension_hits(file, "QUANT-05")


@rule(
    "QUANT-06", "Bias of the wrong type or scale", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-682 CWE-843", threats="S3", fix=_CONVERT, source=_SPEC,
)  # fmt: skip
def bias(file: ModelFile) -> Iterator[Hit]:
    """A bias is int32 (int64 possible beside int16 data) and its scale is the product of data and weight scales.

    Microcontroller kernels add it to the accumulator as it is: another type is read wrongly and past its end, another
    scale gives wrong results.
    """
    yield from bias_hits(file, "QUANT-06")


@rule(
    "QUANT-07", "Ratio of scales that the kernel cannot express", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-617 CWE-1284", cve="CVE-2022-29212", threats="S3", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def multiplier(file: ModelFile) -> Iterator[Hit]:
    """Kernels turn ratios of scales into a 31-bit integer and a shift.

    Additions and comparisons need ratios below 1 and abort the whole program otherwise. Layers with weights need ratios
    below 2^31; below 2^-32 the integer is 0 and the output constant.
    """
    yield from multiplier_hits(file, "QUANT-07")


@rule(
    "QUANT-08", "Accumulator that can overflow", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-190", threats="S3",
    fix="use smaller layers, or biases in the kernel's range",
    source="largest sum that the weights and biases in the file admit",
)  # fmt: skip
def accumulator(file: ModelFile) -> Iterator[Hit]:
    """Products of int8 data and weights are added up in 32 bits, the bias among them.

    The bound is worked out from the weights in the file: for each output the largest sum over all inputs, plus its
    bias. Beyond 2^31 an input exists that turns a large score into a negative one.
    """
    yield from accumulator_hits(file, "QUANT-08")


@rule(
    "QUANT-09", "Constant divisor that is zero", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-369", cve="CVE-2021-37683", threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def divisor(file: ModelFile) -> Iterator[Hit]:
    """Integer division by a constant in which a value is zero (a quantized one: equals its zero point)."""
    yield from divisor_hits(file, "QUANT-09", real=False)


@rule(
    "QUANT-10", "Quantized tensor without scale", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-476 CWE-1284", cve="CVE-2021-37682", threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def missing(file: ModelFile) -> Iterator[Hit]:
    """An operator that computes with scales on a tensor that has none.

    Runtimes follow the pointer to quantization parameters without asking, or take a scale of 0.
    """
    yield from missing_hits(file, "QUANT-10")


@rule(
    "QUANT-11", "Constant float divisor that is zero", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-369 CWE-1284", threats="S3", fix=_CONVERT, source="IEEE 754, 7.3",
)  # fmt: skip
def float_divisor(file: ModelFile) -> Iterator[Hit]:
    """Float division by zero is no fault: it gives infinity, or no number, in every inference."""
    yield from divisor_hits(file, "QUANT-11", real=True)


@rule(
    "QUANT-12", "Scales that must be equal differ", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-682", threats="S3", fix=_CONVERT, source=_SPEC,
)  # fmt: skip
def kept(file: ModelFile) -> Iterator[Hit]:
    """Pooling, concatenation, padding, slicing and their like pass quantized values on without rescaling them.

    With another scale at the output every value means something else there. TFLM refuses some of these models when they
    are loaded.
    """
    yield from kept_hits(file, "QUANT-12")


@rule(
    "QUANT-13", "Output scale that the kernel does not use", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-682", threats="S3", fix=_CONVERT, source=_SPEC,
)  # fmt: skip
def fixed(file: ModelFile) -> Iterator[Hit]:
    """Softmax, logistic, tanh and normalization have outputs of a fixed range, and kernels a fixed scale for it.

    With another scale in the file, what comes next reads the scores wrongly.
    """
    yield from fixed_hits(file, "QUANT-13")
