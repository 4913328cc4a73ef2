"""IDX: does every number that names a thing name one that exists, and do tensors flow from writers to readers."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._dataflow import dead_tensors, operator_faults, sound_graphs
from tinymlsec.rules._places import at_buffer, at_tensor, refusal, tensor_words
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile

_POLICY = (
    "TensorFlow Lite Micro, docs/error_handling_guide.md, 2026: no bounds checks on tensor indices of operators in "
    "release builds"
)
_REJECT = "do not deploy the file; convert the model again from its source"
DEAD_BYTES = 256
"""Bytes of constants that nothing reads from which they are worth more than a remark."""


def _of(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    yield from refusal(file.damage, rule_id)
    yield from (hit for rule, hit in operator_faults(file) if rule == rule_id)


@rule(
    "IDX-01", "An operator names an operator code that does not exist", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-129", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def opcode_index(file: ModelFile) -> Iterator[Hit]:
    """`Operator.opcode_index` must be below the number of operator codes.

    The runtime looks the kernel up by this number. One that is too large is read as a table from bytes behind the
    vector, and that table decides which kernel runs.
    """
    yield from _of(file, "IDX-01")


@rule(
    "IDX-02", "A tensor names a buffer that does not exist", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-129", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def buffer_index(file: ModelFile) -> Iterator[Hit]:
    """`Tensor.buffer` must be below the number of buffers; the first buffer is the empty one of computed tensors.

    A runtime takes the address of a constant's data from there without asking how many there are.
    """
    yield from _of(file, "IDX-02")


@rule(
    "IDX-03", "A tensor index is out of range", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-787 CWE-129", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def tensor_index(file: ModelFile) -> Iterator[Hit]:
    """Inputs, outputs and intermediates of operators, and ports of subgraphs, are numbers of tensors.

    They must be below the number of tensors and not below -1. The runtime uses them to index its array of tensors,
    for outputs too: what it takes for a tensor there has a data pointer that a kernel writes to.
    """
    yield from _of(file, "IDX-03")


@rule(
    "IDX-04", "Metadata or a signature names something that does not exist", subject=Subject.MODEL,
    severity=Severity.MEDIUM, confidence=Confidence.HIGH, cwe="CWE-125 CWE-129", threats="S3", fix=_REJECT,
    source="TensorFlow Lite schema: Metadata.buffer, SignatureDef.subgraph_index, TensorMap.tensor_index",
)  # fmt: skip
def named_index(file: ModelFile) -> Iterator[Hit]:
    """Metadata entries name buffers; signatures name a subgraph and tensors of it. All must exist.

    TensorFlow Lite Micro reads metadata for the offline memory plan and for compression; host runtimes follow
    signatures.
    """
    yield from _of(file, "IDX-04")


@rule(
    "IDX-05", "An operator runs a subgraph that does not exist", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-129", threats="S3", fix=_REJECT,
    source="TensorFlow Lite Micro 90b983c, kernels if.cc, while.cc, call_once.cc (read, not run)",
)  # fmt: skip
def subgraph_index(file: ModelFile) -> Iterator[Hit]:
    """IF, WHILE, CALL, CALL_ONCE and StableHLO operators with regions name subgraphs, as signed numbers.

    TensorFlow Lite Micro asks whether the number is below the count of subgraphs, and not whether it is negative.
    """
    yield from _of(file, "IDX-05")


@rule(
    "IDX-06", "An input or output that must be there is absent", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-787 CWE-476", threats="S3", fix=_REJECT, cve="CVE-2020-15211",
    source="GHSA-cvpc-8phh-8f45 (TensorFlow, 2020); kernels of TensorFlow Lite 2.18 for what is optional",
)  # fmt: skip
def absent(file: ModelFile) -> Iterator[Hit]:
    """The index -1 stands for an optional input that is left out, such as the bias of a convolution.

    It is legal for few inputs of few operators, and for no output of an operator, no input and no output of a
    subgraph. Elsewhere a kernel gets a null pointer, or the element in front of an array (CVE-2020-15211). Which inputs
    are optional was taken from the kernels of TensorFlow Lite and from runs: a depthwise convolution needs its bias,
    and so does SVDF on TFLM. Custom operators are not looked at.
    """
    yield from _of(file, "IDX-06")


@rule(
    "IDX-07", "A tensor is input and output of one operator", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-787 CWE-1284", threats="S3", fix=_REJECT, cve="CVE-2020-15210",
    source="GHSA-x9j7-x98r-r4w2 (TensorFlow, 2020)",
)  # fmt: skip
def input_is_output(file: ModelFile) -> Iterator[Hit]:
    """No kernel expects to write the tensor that it reads: what it needs later is gone, or memory is used twice.

    The host runtime crashed or corrupted memory on such models (CVE-2020-15210). Converters give every result a tensor
    of its own; sharing of memory is decided by the planner, not by the file.
    """
    yield from _of(file, "IDX-07")


@rule(
    "IDX-08", "A tensor is two outputs of one operator", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1284", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def doubled_output(file: ModelFile) -> Iterator[Hit]:
    """An operator with several outputs writes them one after another; a tensor named twice keeps the last one only."""
    yield from _of(file, "IDX-08")


@rule(
    "IDX-09", "A tensor is read that nothing fills", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-476 CWE-908", threats="S3", fix=_REJECT, cve="CVE-2020-15209",
    source="GHSA-qh32-6jjc-qprm (TensorFlow, 2020)",
)  # fmt: skip
def no_source(file: ModelFile) -> Iterator[Hit]:
    """A tensor that an operator reads is an input, a variable, a constant with bytes, or the output of an operator.

    Where a file has none of these, changing one buffer index was enough to make it so: the constant became a computed
    tensor that nobody computes. Its data pointer is null (CVE-2020-15209), or it shows what lay in the arena.
    """
    yield from _of(file, "IDX-09")


@rule(
    "IDX-10", "A tensor is read before it is written", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-908 CWE-696", threats="S3 H11", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def read_too_early(file: ModelFile) -> Iterator[Hit]:
    """Operators run in the order of the file. A reader in front of the writer sees what lay in that memory before.

    That is another tensor, or a result of the inference before this one.
    """
    yield from _of(file, "IDX-10")


@rule(
    "IDX-11", "An operator writes a constant", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-787 CWE-1284", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def writes_constant(file: ModelFile) -> Iterator[Hit]:
    """A tensor with bytes in the file points into the model itself.

    An operator that has it as output writes there: in flash that is a bus fault or lost; where the model lies in RAM,
    the file rewrites its own weights and structure while it runs.
    """
    yield from _of(file, "IDX-11")


@rule(
    "IDX-12", "A tensor has more than one writer", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1284", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def written_twice(file: ModelFile) -> Iterator[Hit]:
    """Each computed tensor has one operator that writes it; an input of a subgraph has its caller.

    A second writer changes what others still read, and the planner, which knows one lifetime for each tensor, may have
    given its memory to another tensor in between. Variables are exempt.
    """
    yield from _of(file, "IDX-12")


@rule(
    "IDX-13", "An output of a subgraph is never written", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-908", threats="S3 H11", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def output_unwritten(file: ModelFile) -> Iterator[Hit]:
    """What a subgraph returns must be computed in it, or be an input, a constant or a variable.

    Otherwise the caller gets what lay in that memory: a result of an earlier inference, or a piece of another tensor.
    """
    for graph in sound_graphs(file):
        assert file.model is not None
        written = {index for op in graph.operators for index in op.outputs} | set(graph.inputs)
        for index in dict.fromkeys(graph.outputs):
            tensor = graph.tensors[index]
            empty = not len(file.model.buffers[tensor.buffer].data)
            if index not in written and empty and not tensor.is_variable:
                message = (
                    f"{tensor_words(tensor).capitalize()} is an output of subgraph {graph.index}; nothing writes it."
                )
                yield Hit(message, at_tensor(file.model, graph, tensor))


@rule(
    "IDX-14", "Tensors that nothing reads", subject=Subject.MODEL, severity=Severity.NONE, confidence=Confidence.HIGH,
    cwe="CWE-1164", threats="S3", fix="convert with unused outputs and tensors removed",
    source="Own rule; unused constants are a place to keep things (see WEIGHT)",
)  # fmt: skip
def dead(file: ModelFile) -> Iterator[Hit]:
    """Results that nobody uses cost time and memory; constants that nobody uses cost flash and can hold anything.

    One remark for each subgraph. It is of severity low where unused constants take 256 bytes or more; unused outputs
    of operators with several outputs are common and harmless.
    """
    for graph in sound_graphs(file):
        assert file.model is not None
        found = dead_tensors(file.model, graph)
        if found:
            size = sum(len(file.model.buffers[tensor.buffer].data) for tensor in found)
            first = max(found, key=lambda t: len(file.model.buffers[t.buffer].data)) if size else found[0]  # type: ignore[union-attr]
            yield Hit(
                f"{len(found)} of {len(graph.tensors)} tensors of subgraph {graph.index} are never read, with {size:,} "
                f"bytes of constants; the first to look at is {tensor_words(first)}.",
                at_tensor(file.model, graph, first),
                severity=Severity.LOW if size >= DEAD_BYTES else None,
            )


@rule(
    "IDX-15", "The first buffer is not empty", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1188 CWE-787", threats="S3", fix=_REJECT,
    source="TensorFlow Lite schema, Model.buffers: the first entry is an empty sentinel",
)  # fmt: skip
def sentinel(file: ModelFile) -> Iterator[Hit]:
    """By convention buffer 0 has no bytes, since every computed tensor may refer to it.

    With bytes in it all of these are constants: kernels write their results into the model.
    """
    if file.model is not None and file.model.buffers and len(file.model.buffers[0].data):
        users = sum(not tensor.buffer for graph in file.model.subgraphs for tensor in graph.tensors)
        size = len(file.model.buffers[0].data)
        yield Hit(
            f"Buffer 0 holds {size:,} bytes; expected none. {users} tensors refer to it.",
            at_buffer(file.model, 0),
            severity=Severity.HIGH if users else None,
        )


@rule(
    "IDX-16", "A variable tensor has bytes in the file", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.MEDIUM, cwe="CWE-787 CWE-1284", threats="S3",
    fix="give the variable an empty buffer; set its start value by CALL_ONCE",
    source="TensorFlow Lite Micro 90b983c, micro_allocation_info.cc and micro_interpreter.cc (read, not run)",
)  # fmt: skip
def constant_variable(file: ModelFile) -> Iterator[Hit]:
    """A variable keeps state between inferences, so it lies in RAM. One with bytes in the file points into the model.

    Kernels and the runtime's reset then write into flash, or change the model where it lies in RAM.
    """
    for graph in file.model.subgraphs if file.model is not None else ():
        assert file.model is not None
        for tensor in graph.tensors:
            size = len(file.model.buffers[tensor.buffer].data)
            if tensor.is_variable and size and tensor.buffer:
                message = (
                    f"{tensor_words(tensor).capitalize()} is a variable with {size:,} bytes in buffer {tensor.buffer}"
                )
                yield Hit(f"{message}; expected an empty buffer.", at_tensor(file.model, graph, tensor))
