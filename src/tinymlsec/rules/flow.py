"""FLOW: which subgraph runs which, whether both sides of a call agree, and what outlives an inference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._calls import callees, closing_calls, edges, longest_chain
from tinymlsec.rules._places import at_operator, at_tensor, model_of, op_words, operators
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.graph import Operator, Subgraph, Tensor
from tinymlsec.target.tflite.schema import byte_size

_KERNELS = (
    "TensorFlow Lite Micro 90b983c, kernels/if.cc, while.cc, call_once.cc, kernel_util.cc:181-255 (read, not run)"
)
_REJECT = "do not deploy the file; convert the model again from its source"
MAX_DEPTH = 8
"""Calls inside calls that are taken for normal; converters emit one or two. The bound is our own."""
_HANDLES = ("VAR_HANDLE", "HASHTABLE")


@rule(
    "FLOW-01", "Subgraphs call each other in a circle", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-674 CWE-835", threats="S3 S11", fix=_REJECT, cve="CVE-2021-29591",
    source="GHSA-cwv3-863g-39vx (TensorFlow, 2021)",
)  # fmt: skip
def recursion(file: ModelFile) -> Iterator[Hit]:
    """The format has no recursion: IF, WHILE, CALL and the rest must not lead back to a subgraph that is running.

    The interpreter calls itself for each level, and plans memory by the same walk, so a circle uses up the stack while
    the model is loaded or run (CVE-2021-29591). On a microcontroller without stack guard it then overwrites what lies
    below the stack. One finding for each operator that closes a circle.
    """
    model = model_of(file)
    for graph, op, callee in closing_calls(model):
        way = "itself" if callee == graph.index else f"subgraph {callee}, which leads back to it"
        text = f"{_words(op)} of subgraph {graph.index} runs {way}; expected calls without a circle."
        place = at_operator(model, graph, op)
        yield relative(file, text, place, rule="FLOW-01", op=op.name, cve=("CVE-2021-29591",), effect=Effect.LOOP)


def _words(op: Operator) -> str:
    text = op_words(op)
    return text[:1].upper() + text[1:]


@rule(
    "FLOW-02", "A loop has one subgraph as condition and as body", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-835", threats="S3 S11", fix=_REJECT, cve="CVE-2021-29591",
    source="GHSA-cwv3-863g-39vx (TensorFlow, 2021)",
)  # fmt: skip
def one_subgraph(file: ModelFile) -> Iterator[Hit]:
    """WHILE runs its condition, then its body as long as the condition says so.

    Where both are the same subgraph, the value that decides is the value that the loop carries: it never changes by
    any work, and the loop ends at once or never. No converter writes this.
    """
    model = model_of(file)
    for graph, op in _fresh(file, "WHILE", "STABLEHLO_WHILE"):
        numbers = [number for _, number in callees(op)]
        if numbers[0] == numbers[1]:
            text = f"{_words(op)} has subgraph {numbers[0]} as condition and as body; expected two."
            place = at_operator(model, graph, op)
            yield relative(file, text, place, rule="FLOW-02", op=op.name, cve=("CVE-2021-29591",), effect=Effect.LOOP)


def _fresh(file: ModelFile, *names: str) -> Iterator[tuple[Subgraph, Operator]]:
    """Operators of these names that no earlier family has named."""
    return ((g, op) for g, op in operators(file) if op.name in names and (g.index, op.index) not in file.noted)


@rule(
    "FLOW-03", "A loop and its subgraphs do not fit", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-843 CWE-1284 CWE-125", threats="S3", fix=_REJECT, source=_KERNELS,
)  # fmt: skip
def loop_signature(file: ModelFile) -> Iterator[Hit]:
    """A WHILE carries as many tensors as it has inputs: condition and body take them, body and operator return them.

    Number, type and shape must agree at each place, and the condition returns one boolean value. TensorFlow Lite Micro
    compares the numbers when it loads the model and the sizes in bytes while it runs; types only in debug builds. It
    reads the condition's first output as a boolean without asking whether there is one and what type it has.
    """
    for graph, op in _fresh(file, "WHILE"):
        condition, body = (model_of(file).subgraphs[number] for _, number in callees(op))
        if condition is body:
            continue
        own, results = _tensors(graph, op.inputs), _tensors(graph, op.outputs)
        fault = (
            _differ("inputs of the condition", own, _tensors(condition, condition.inputs), "FLOW-03")
            or _not_boolean(_tensors(condition, condition.outputs), "FLOW-03")
            or _differ("inputs of the body", own, _tensors(body, body.inputs), "FLOW-03")
            or _differ("outputs of the body", own, _tensors(body, body.outputs), "FLOW-03")
            or _differ("outputs of the operator", own, results, "FLOW-03")
        )
        yield from _mismatch(file, graph, op, fault)


@rule(
    "FLOW-04", "A branch does not fit its IF", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-843 CWE-1284", threats="S3", fix=_REJECT, source=_KERNELS,
)  # fmt: skip
def branch_signature(file: ModelFile) -> Iterator[Hit]:
    """Both branches of an IF take its inputs after the condition and return its outputs, in number, type and shape.

    When it loads the model, TensorFlow Lite Micro compares the `then` branch only. The `else` branch is met when the
    condition is false for the first time: numbers and sizes in bytes are compared then and the inference fails, on some
    inputs and not on others. Types are compared in debug builds only. A branch without outputs is accepted, and the
    operator's outputs keep what lay in memory.
    """
    for graph, op in _fresh(file, "IF"):
        fault = _not_boolean(_tensors(graph, op.inputs[:1]), "FLOW-04", "condition")
        for option, number in callees(op):
            if fault is None:
                fault = _branch_fault(graph, op, model_of(file).subgraphs[number], option.partition("_")[0])
        late = fault is not None and fault.row == "FLOW-04 else"
        yield from _mismatch(file, graph, op, fault, Effect.FAIL if late else Effect.WRONG)


def _branch_fault(graph: Subgraph, op: Operator, branch: Subgraph, name: str) -> _Fault | None:
    """What does not fit in one branch; the `else` branch has rows of its own, since it is met while running only."""
    rule_id = "FLOW-04 else" if name == "else" else "FLOW-04"
    own, results = _tensors(graph, op.inputs[1:]), _tensors(graph, op.outputs)
    if results and not branch.outputs:
        return _Fault(f"no outputs of the {name} branch; expected {len(results)}", "FLOW-04 outputs")
    return _differ(f"inputs of the {name} branch", own, _tensors(branch, branch.inputs), rule_id) or _differ(
        f"outputs of the {name} branch", results, _tensors(branch, branch.outputs), rule_id
    )


@rule(
    "FLOW-05", "A call and its subgraph do not fit", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-843 CWE-1284", threats="S3", fix=_REJECT, source=_KERNELS,
)  # fmt: skip
def call_signature(file: ModelFile) -> Iterator[Hit]:
    """CALL passes its inputs to a subgraph and gets its outputs back; CALL_ONCE runs one that has neither.

    CALL_ONCE initializes variables. A subgraph with inputs would read memory that nobody filled.
    """
    for graph, op in _fresh(file, "CALL", "CALL_ONCE"):
        target = model_of(file).subgraphs[next(number for _, number in callees(op))]
        fault: _Fault | None = None
        if op.name == "CALL_ONCE" and (target.inputs or target.outputs):
            ports = f"{len(target.inputs)} inputs and {len(target.outputs)} outputs"
            fault = _Fault(f"subgraph {target.index} has {ports}; expected none", "FLOW-05")
        elif op.name == "CALL":
            ins, outs = _tensors(graph, op.inputs), _tensors(graph, op.outputs)
            fault = _differ("inputs of the subgraph", ins, _tensors(target, target.inputs), "FLOW-05")
            fault = fault or _differ("outputs of the subgraph", outs, _tensors(target, target.outputs), "FLOW-05")
        yield from _mismatch(file, graph, op, fault)


def _tensors(graph: Subgraph, indices: Sequence[int]) -> list[Tensor]:
    return [graph.tensors[index] for index in indices if 0 <= index < len(graph.tensors)]


@dataclass(frozen=True)
class _Fault:
    """What does not fit, and the row of the runtime's table that is about it."""

    text: str
    row: str


def _differ(what: str, own: list[Tensor], other: list[Tensor], rule_id: str) -> _Fault | None:
    """What differs between two lists of tensors; None where they agree."""
    if len(own) != len(other):
        return _Fault(f"{len(other)} {what}; expected {len(own)}", rule_id)
    for place, (left, right) in enumerate(zip(own, other, strict=True)):
        if (left.dtype, left.shape) != (right.dtype, right.shape):
            found, wanted = (f"{t.dtype}{list(t.shape)}" for t in (right, left))
            sizes = {byte_size(t.dtype, math.prod(t.shape)) for t in (left, right)}
            row = f"{rule_id} type" if len(sizes) == 1 else rule_id  # runtimes compare numbers of bytes
            return _Fault(f"{found} at place {place} of the {what}; expected {wanted}", row)
    return None


def _not_boolean(tensors: list[Tensor], rule_id: str, what: str = "outputs of the condition") -> _Fault | None:
    if len(tensors) == 1 and tensors[0].dtype == "bool" and all(size == 1 for size in tensors[0].shape):
        return None
    found = ", ".join(f"{t.dtype}{list(t.shape)}" for t in tensors[:3]) or "nothing"
    return _Fault(f"{found} as {what}; expected one boolean value", f"{rule_id} condition")


def _mismatch(
    file: ModelFile, graph: Subgraph, op: Operator, fault: _Fault | None, effect: Effect = Effect.WRONG
) -> Iterator[Hit]:
    if fault is not None:
        place = at_operator(model_of(file), graph, op)
        severity = Severity.MEDIUM if effect is Effect.FAIL else None  # it ends an inference, and damages nothing
        text = f"{_words(op)}: {fault.text}."
        yield relative(file, text, place, rule=fault.row, op=op.name, effect=effect, severity=severity)


@rule(
    "FLOW-06", "Subgraphs that nothing runs", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-561", threats="S3", fix="convert again with one entry point",
    source="Own rule; code and constants that no entry point reaches are not covered by tests",
)  # fmt: skip
def unreachable(file: ModelFile) -> Iterator[Hit]:
    """A subgraph is reached from the first one, from a signature, or by an operator of one that is reached.

    The rest takes flash and memory (TensorFlow Lite Micro allocates tensors of every subgraph), and no test runs it.
    Not looked at where an operator names a subgraph that does not exist (IDX-05): the lost call may be that one.
    """
    model = model_of(file)
    if any(not 0 <= number < len(model.subgraphs) for _, op in operators(file) for _, number in callees(op)):
        return
    calls: dict[int, set[int]] = {}
    for graph, _, callee in edges(model):
        calls.setdefault(graph.index, set()).add(callee)
    waiting = {0, *(signature.subgraph for signature in model.signatures)}
    reached: set[int] = set()
    while waiting:
        number = waiting.pop()
        reached.add(number)
        waiting |= calls.get(number, set()) - reached
    for graph in model.subgraphs:
        if graph.index not in reached:
            size = f"{len(graph.operators)} operators and {len(graph.tensors)} tensors"
            text = f"No operator and no signature leads to subgraph {graph.index}, which has {size}."
            yield Hit(text, Location(file_offset=graph.offset, subgraph=graph.index))


@rule(
    "FLOW-07", "State that outlives an inference", subject=Subject.MODEL, severity=Severity.NONE,
    confidence=Confidence.HIGH, cwe="CWE-226 CWE-1258", threats="H11",
    fix="reset the state between users or sessions where one must not learn of the other",
    source="TensorFlow Lite schema: Tensor.is_variable, VAR_HANDLE; MicroInterpreter::Reset",
)  # fmt: skip
def state(file: ModelFile) -> Iterator[Hit]:
    """A remark, no fault: variables and resources keep values of earlier inputs in RAM, until the runtime resets them.

    Streaming models need that. It means that an output depends on inputs before, and that who reads the RAM learns
    something of them. A model may also set start values that a reset does not bring back (CALL_ONCE).
    """
    model = model_of(file)
    kinds: Counter[str] = Counter()
    first: Location | None = None
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.is_variable:
                kinds["variable tensors"] += 1
                first = first or at_tensor(model, graph, tensor)
        for op in graph.operators:
            if op.name in _HANDLES:
                kinds[f"{op.name} operators"] += 1
                first = first or at_operator(model, graph, op)
            elif op.name in ("ASSIGN_VARIABLE", "READ_VARIABLE", "CALL_ONCE"):
                kinds[f"{op.name} operators"] += 1
    if first is not None:
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        yield Hit(f"The model keeps state between inferences: {listed}.", first.model_copy(update={"op": None}))


@rule(
    "FLOW-08", "Calls are nested deeply", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-674 CWE-121", threats="S3 S11",
    fix="flatten the model, or measure the stack that the firmware has left for it", source=_KERNELS,
)  # fmt: skip
def depth(file: ModelFile) -> Iterator[Hit]:
    """Each call of a subgraph inside another takes a frame of the interpreter and one of the kernel from the stack.

    Converters emit one or two levels. Eight are accepted here; the bound is this tool's own. A file can nest as deep as
    it has subgraphs, and stacks of a few kilobytes have no guard on most microcontrollers.
    """
    model = model_of(file)
    deepest, first = longest_chain(model)
    if first is not None and deepest > MAX_DEPTH:
        graph, op, _ = first
        text = (
            f"{_words(op)} of subgraph {graph.index} begins a chain of {deepest} calls; expected at most {MAX_DEPTH}."
        )
        yield Hit(text, at_operator(model, graph, op))
