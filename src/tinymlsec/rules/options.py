"""OPT: numbers that steer an operator. Kernels divide by strides and blocks and index with axes, often unchecked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._option_arguments import (
    axis_hits,
    beta_hits,
    block_hits,
    divided_hits,
    mask_hits,
    padding_hits,
    state_hits,
    step_hits,
)
from tinymlsec.rules._option_tables import (
    AXIS_CVES,
    BLOCK_CVES,
    BLOCKS,
    DILATION_CVES,
    DILATIONS,
    LARGEST,
    MULTIPLIERS,
    NEEDED_OPTIONS,
    RANKS,
    REDUCERS,
    SPLIT_CVES,
    SPLITS,
    STRIDE_CVES,
    STRIDES,
    WINDOW_CVES,
    WINDOWS,
    ids,
)
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._sites import sites
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.schema import enum_names

_CONVERT = "convert the model again from its source; do not deploy this file"
_PYPA = "PyPA advisory database, TensorFlow advisories"
_NO_CVES: Mapping[str, tuple[str, ...]] = {}


def _at_least_one(
    file: ModelFile,
    rule_id: str,
    options: Mapping[str, tuple[str, ...]],
    cves: Mapping[str, tuple[str, ...]] = _NO_CVES,
    effect: Effect = Effect.DIVISION,
) -> Iterator[Hit]:
    for site in sites(file, *options):
        found = {name: site.option(name) for name in options[site.op.name]}
        bad = {name: value for name, value in found.items() if value is not None and value < 1}
        if bad:
            words = ", ".join(f"{name} = {value}" for name, value in bad.items())
            yield relative(
                file, f"{site.title} has {words}; expected 1 or more.", site.where(), rule=rule_id, op=site.op.name,
                cve=cves.get(site.op.name, ()), effect=effect,
            )  # fmt: skip


@rule(
    "OPT-01", "Stride below 1", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-369 CWE-1284", cve=ids(STRIDE_CVES), threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def stride(file: ModelFile) -> Iterator[Hit]:
    """A convolution or pooling steps by its strides: output sizes are quotients by them.

    A stride of 0 is a division by zero when the output size is computed, a negative one walks backwards. In TFLM the
    helper that computes padding notices the stride and its caller drops the error.
    """
    yield from _at_least_one(file, "OPT-01", STRIDES, STRIDE_CVES)


@rule(
    "OPT-02", "Dilation below 1", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-369 CWE-1284", cve=ids(DILATION_CVES), threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def dilation(file: ModelFile) -> Iterator[Hit]:
    """The dilation of a convolution is the distance of neighboring weights on the input; 1 for a dense window.

    0 puts all weights on one pixel, a negative one reads before the input.
    """
    yield from _at_least_one(file, "OPT-02", DILATIONS, DILATION_CVES, Effect.WRONG)


@rule(
    "OPT-03", "Pooling window below 1", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-369 CWE-1284", cve=ids(WINDOW_CVES), threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def window(file: ModelFile) -> Iterator[Hit]:
    """A pooling window of 0 rows or columns has no elements, and the average divides by their number."""
    yield from _at_least_one(file, "OPT-03", WINDOWS, WINDOW_CVES)


@rule(
    "OPT-04", "Option too large for the kernel's field", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.MEDIUM, cwe="CWE-190 CWE-681", threats="S3 S1", fix=_CONVERT,
    source="LiteRT issue 120: a stride of 0x10000 becomes 0 in a field of 16 bits",
)  # fmt: skip
def too_large(file: ModelFile) -> Iterator[Hit]:
    """Kernels keep strides, dilations and windows in 16 bits, where 65,536 becomes 0 after every check has passed."""
    for table in (STRIDES, DILATIONS, WINDOWS, MULTIPLIERS):
        for site in sites(file, *table):
            for name in table[site.op.name]:
                value = site.option(name)
                if value is not None and value > LARGEST:
                    yield relative(
                        file, f"{site.title} has {name} = {value}; expected at most {LARGEST}.", site.where(),
                        rule="OPT-04", op=site.op.name, effect=Effect.DIVISION,
                    )  # fmt: skip


@rule(
    "OPT-05", "Block size below 1", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-369 CWE-1284", cve=ids(BLOCK_CVES), threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def block(file: ModelFile) -> Iterator[Hit]:
    """SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND divide by their block sizes."""
    yield from _at_least_one(file, "OPT-05", BLOCKS, BLOCK_CVES)
    yield from block_hits(file, "OPT-05")


@rule(
    "OPT-06", "Block size that does not divide", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-787 CWE-1284", cve=ids(BLOCK_CVES), threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def divides(file: ModelFile) -> Iterator[Hit]:
    """Blocks must divide what they cut: height and width, channels by their square, the batch by their product.

    With a rest the kernel's loops and the output's size disagree.
    """
    yield from divided_hits(file, "OPT-06")


@rule(
    "OPT-07", "Number of splits that does not fit", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-369 CWE-1284", cve=ids(SPLIT_CVES), threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def splits(file: ModelFile) -> Iterator[Hit]:
    """SPLIT and SPLIT_V make as many parts as they have outputs; hosts divide the axis by the option."""
    for site in sites(file, *SPLITS):
        count, outputs = site.option("num_splits"), len(site.op.outputs)
        if count is not None and count != outputs:
            yield relative(
                file, f"{site.title} has num_splits = {count}; expected {outputs}, its number of outputs.",
                site.where(), rule="OPT-07", op=site.op.name, cve=SPLIT_CVES[site.op.name],
                effect=Effect.DIVISION if count == 0 else Effect.WRITE,
            )  # fmt: skip


@rule(
    "OPT-08", "Axis outside of the tensor", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-125 CWE-787 CWE-129", cve=ids(AXIS_CVES), threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def axis(file: ModelFile) -> Iterator[Hit]:
    """An axis is an index into the list of dimensions. It counts from the end where it is negative.

    Outside of [-rank, rank) the kernel reads a dimension that is not there, and loops as often as that memory says.
    """
    yield from axis_hits(file, "OPT-08")


@rule(
    "OPT-09", "Unknown activation", subject=Subject.MODEL, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-1287", threats="S3", fix=_CONVERT, source="TensorFlow Lite schema, ActivationFunctionType",
)  # fmt: skip
def activation(file: ModelFile) -> Iterator[Hit]:
    """A fused activation that the schema does not know: kernels leave their limits as they were, so not set at all."""
    known = len(enum_names("ActivationFunctionType"))
    for site in sites(file):
        value = site.op.options.get("fused_activation_function")
        if isinstance(value, int) and not 0 <= value < known:
            message = f"{site.title} has fused_activation_function = {value}; expected 0 to {known - 1}."
            yield relative(file, message, site.where(), rule="OPT-09", op=site.op.name)


@rule(
    "OPT-10", "Unknown padding scheme", subject=Subject.MODEL, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-1287", threats="S3", fix=_CONVERT, source="TensorFlow Lite schema, Padding",
)  # fmt: skip
def padding(file: ModelFile) -> Iterator[Hit]:
    """A padding scheme other than SAME and VALID: kernels compute an output of no size and go on."""
    for site in sites(file, *STRIDES):
        value = site.option("padding")
        if value not in (None, 0, 1):
            message = f"{site.title} has padding = {value}; expected 0 (SAME) or 1 (VALID)."
            yield relative(file, message, site.where(), rule="OPT-10", op=site.op.name)


@rule(
    "OPT-11", "Masks of a slice that cannot be", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-835 CWE-1284", cve="CVE-2021-37686", threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def slices(file: ModelFile) -> Iterator[Hit]:
    """STRIDED_SLICE takes one ellipsis at most, and masks for entries that exist.

    TFLM takes ellipsis and new-axis masks for 0, so that it computes something else than what the file asks for.
    """
    yield from mask_hits(file, "OPT-11")


@rule(
    "OPT-12", "Rank of SVDF that does not divide its filters", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-369 CWE-1284", cve="CVE-2021-29598", threats="S3 S1", fix=_CONVERT,
    source=_PYPA,
)  # fmt: skip
def svdf_rank(file: ModelFile) -> Iterator[Hit]:
    """SVDF has filters / rank units: a rank of 0 divides by zero, one that leaves a rest loses filters."""
    yield from _at_least_one(file, "OPT-12", RANKS, {"SVDF": ("CVE-2021-29598",)})
    for site in sites(file, "SVDF"):
        rank, filters = site.option("rank"), site.shape(1)
        if rank is not None and rank >= 1 and filters and filters[0] % rank:
            message = f"{site.title} has rank = {rank} and {filters[0]} filters; expected a divisor of their number."
            yield relative(
                file, message, site.where(), rule="OPT-12", op="SVDF", cve=("CVE-2021-29598",), effect=Effect.WRITE
            )


@rule(
    "OPT-13", "Depth multiplier that does not fit", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-1284", cve="CVE-2021-29602", threats="S3 S1", fix=_CONVERT,
    source="TensorFlow Lite Micro, reference/depthwise_conv.h: output_depth == input_depth * depth_multiplier",
)  # fmt: skip
def depth_multiplier(file: ModelFile) -> Iterator[Hit]:
    """A depthwise convolution makes input channels x depth_multiplier channels.

    Kernels loop by that product and index weights and output with it, so a multiplier that disagrees with the weights
    leaves their buffers. CMSIS-NN and the reference kernels take the option, others recompute it.
    """
    for site in sites(file, "DEPTHWISE_CONV_2D"):
        multiplier, data, weights = site.option("depth_multiplier"), site.shape(0), site.shape(1)
        if multiplier is None or not data or not weights or data[-1] < 1:
            continue
        if multiplier < 1 or data[-1] * multiplier != weights[-1]:
            message = (
                f"{site.title} has depth_multiplier = {multiplier} over {data[-1]} channels; "
                f"expected a product of {weights[-1]}, the channels of its weights."
            )
            yield relative(
                file, message, site.where(), rule="OPT-13", op=site.op.name, cve=("CVE-2021-29602",),
                effect=Effect.WRITE,
            )  # fmt: skip


@rule(
    "OPT-14", "Reduction without axes", subject=Subject.MODEL, severity=Severity.LOW, confidence=Confidence.HIGH,
    cwe="CWE-1284 CWE-476", cve="CVE-2021-37689", threats="S3", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def no_axes(file: ModelFile) -> Iterator[Hit]:
    """A reduction over an empty list of axes copies its input; converters followed a null pointer over it."""
    for site in sites(file, *REDUCERS):
        axes = site.tensor(1)
        if axes is not None and 0 in axes.shape:
            message = f"{site.title} reduces over no axis (shape {list(axes.shape)}); expected 1 or more."
            yield relative(
                file, message, site.where(1), rule="OPT-14", op=site.op.name, cve=("CVE-2021-37689",),
                effect=Effect.NULL,
            )  # fmt: skip


@rule(
    "OPT-15", "Negative padding or crop", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-787 CWE-1284", threats="S3 S1", fix=_CONVERT,
    source="definition of the operators; TensorFlow Lite Micro guards PAD by the output's shape only",
)  # fmt: skip
def negative_padding(file: ModelFile) -> Iterator[Hit]:
    """PAD, PADV2, MIRROR_PAD, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND take numbers of rows: 0 or more.

    A negative one moves the place that the kernel reads from or writes to.
    """
    yield from padding_hits(file, "OPT-15")


@rule(
    "OPT-16", "Options missing or of another operator", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.MEDIUM, cwe="CWE-843 CWE-1188", cve=ids(STRIDE_CVES, BLOCK_CVES, SPLIT_CVES),
    threats="S3 S1", fix=_CONVERT,
    source="TensorFlow Lite, flatbuffer_conversions.cc: an absent table leaves every option at zero",
)  # fmt: skip
def missing(file: ModelFile) -> Iterator[Hit]:
    """Without its own options table an operator runs with zeros: stride 0, block 0, rank 0, a softmax factor of 0."""
    for site in sites(file, *sorted(NEEDED_OPTIONS)):
        if not site.has_options():
            name = site.op.name
            cves = STRIDE_CVES.get(name) or BLOCK_CVES.get(name) or SPLIT_CVES.get(name) or ()
            message = f"{site.title} has options of type {site.op.options_type[:60]}; expected those of {name}."
            effect = Effect.ABORT if name == "SOFTMAX" else Effect.DIVISION
            yield relative(file, message, site.where(), rule="OPT-16", op=name, cve=cves, effect=effect)


@rule(
    "OPT-17", "State input that is no variable tensor", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-476", cve="CVE-2021-37681", threats="S3 S1", fix=_CONVERT, source=_PYPA,
)  # fmt: skip
def state(file: ModelFile) -> Iterator[Hit]:
    """SVDF and LSTM write their state into an input tensor, which must be marked as variable.

    Runtimes look variable inputs up by that mark and get a null pointer where it is missing.
    """
    yield from state_hits(file, "OPT-17")


@rule(
    "OPT-18", "Step of a slice 0", subject=Subject.MODEL, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-835 CWE-369", threats="S3 S1", fix=_CONVERT, source="definition of the operator",
)  # fmt: skip
def step(file: ModelFile) -> Iterator[Hit]:
    """STRIDED_SLICE goes from begin to end in steps, which a step of 0 never does."""
    yield from step_hits(file, "OPT-18")


@rule(
    "OPT-19", "Factor of softmax that the kernel cannot express", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-617 CWE-1284", threats="S3", fix=_CONVERT,
    source="TensorFlow Lite, kernels/internal/quantization_util.cc: PreprocessSoftmaxScaling, "
    "QuantizeMultiplierGreaterThanOne",
)  # fmt: skip
def softmax(file: ModelFile) -> Iterator[Hit]:
    """SOFTMAX multiplies its input by beta, in practice 1.

    Kernels for 8 bits turn beta times the input's scale into an integer multiplier that must be above 1, and abort the
    whole program when the model is loaded if it is not: with a beta that is zero, negative, tiny or no number.
    """
    yield from beta_hits(file, "OPT-19")
