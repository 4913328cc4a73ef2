"""Float input and output around a quantized model, as converters write it by default."""

from __future__ import annotations

from dataclasses import replace

from tinymlsec.errors import UnsupportedModelError
from tinymlsec.target.tflite.builder import LARGEST_OLD_CODE
from tinymlsec.target.tflite.graph import Model, Opcode, Operator, Signature, Tensor
from tinymlsec.target.tflite.op_options import make_options
from tinymlsec.target.tflite.schema import enum_number

QUANTIZED_INPUTS = ("int8", "int16")
"""Types that the microcontroller runtime's QUANTIZE makes from float32."""
QUANTIZED_OUTPUTS = ("int8", "uint8", "int16")


def wrap_float(model: Model) -> Model:
    """Puts QUANTIZE before every quantized input and DEQUANTIZE after every quantized output of the main subgraph.

    Inputs and outputs that are not quantized stay as they are. The tensors of the core keep their numbers, so in-place
    facts about it (weights, scales, layers) hold for the wrapped model too.

    Raises:
        UnsupportedModelError: an input of a type that QUANTIZE cannot make on a microcontroller (uint8).
    """
    graph = model.main
    tensors, codes = list(graph.tensors), list(model.opcodes)
    before: list[Operator] = []
    after: list[Operator] = []
    moved: dict[int, int] = {}
    for index in graph.inputs:
        if _quantized(tensors[index], QUANTIZED_INPUTS, "input"):
            moved[index] = _float_twin(tensors, index)
            before.append(_operator(codes, "QUANTIZE", moved[index], index))
    inputs = tuple(moved.get(index, index) for index in graph.inputs)
    results: dict[int, int] = {}
    for index in graph.outputs:
        if index not in results and _quantized(tensors[index], QUANTIZED_OUTPUTS, "output"):
            results[index] = _float_twin(tensors, index)
            after.append(_operator(codes, "DEQUANTIZE", index, results[index]))
    outputs = tuple(results.get(index, index) for index in graph.outputs)
    operators = tuple(replace(op, index=i) for i, op in enumerate([*before, *graph.operators, *after]))
    wrapped = replace(graph, tensors=tuple(tensors), operators=operators, inputs=inputs, outputs=outputs)
    signatures = tuple(_signature(s, moved, results) if s.subgraph == graph.index else s for s in model.signatures)
    return replace(
        model, opcodes=tuple(codes), subgraphs=(wrapped, *model.subgraphs[1:]), signatures=signatures, size=0
    )


def _quantized(tensor: Tensor, supported: tuple[str, ...], what: str) -> bool:
    if tensor.quantization is None or tensor.quantization.scale.size == 0:
        return False
    if tensor.dtype not in supported:
        raise UnsupportedModelError(
            f"{what} {tensor.name[:80]} cannot be given a float form",
            offset=tensor.offset,
            found=tensor.dtype,
            expected=" or ".join(supported),
        )
    return True


def _float_twin(tensors: list[Tensor], index: int) -> int:
    core = tensors[index]
    twin = replace(
        core, index=len(tensors), name=f"{core.name}_float", dtype="float32", buffer=0, quantization=None, offset=None
    )
    tensors.append(twin)
    return twin.index


def _operator(codes: list[Opcode], name: str, source: int, target: int) -> Operator:
    number = enum_number("BuiltinOperator", name)
    code = Opcode(number, name, deprecated_builtin=min(number, LARGEST_OLD_CODE))
    if code not in codes:
        codes.append(code)
    options_type, options = make_options(name, {})
    return Operator(0, codes.index(code), name, (source,), (target,), options_type, options)


def _signature(signature: Signature, inputs: dict[int, int], outputs: dict[int, int]) -> Signature:
    return replace(
        signature,
        inputs=tuple((name, inputs.get(index, index)) for name, index in signature.inputs),
        outputs=tuple((name, outputs.get(index, index)) for name, index in signature.outputs),
    )
