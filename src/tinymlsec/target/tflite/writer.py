"""Writes a whole .tflite file from the typed graph.

What the graph holds is written: all subgraphs, tensors with their quantization, operators with options of every kind,
constants, metadata and signatures. What it does not hold (values of sparse tensors, the layout of the original file,
debug metadata) is not; a sparse tensor is refused rather than written wrongly.
"""

from __future__ import annotations

from typing import Any

from tinymlsec.errors import ModelFileError, UnsupportedModelError
from tinymlsec.target.tflite.graph import (
    Model,
    Opcode,
    Operator,
    OptionValue,
    Quantization,
    Signature,
    Subgraph,
    Tensor,
)
from tinymlsec.target.tflite.schema import OPTION_UNIONS, options_union, table, tensor_type_number
from tinymlsec.target.tflite.serialize import Values, serialize


def write_model(model: Model) -> bytes:
    """Builds a .tflite file of schema version 3 that reads back as the same graph.

    Offsets and the file's size differ from those of a file that the graph was read from.

    Raises:
        UnsupportedModelError: sparse tensors or options that the schema does not know.
        ModelFileError: a value that its field in the file cannot hold.
    """
    return serialize("Model", _model(model))


def _model(model: Model) -> Values:
    return {
        "version": model.version,
        "operator_codes": [_opcode(code) for code in model.opcodes],
        "subgraphs": [_subgraph(graph) for graph in model.subgraphs],
        "description": model.description,
        "buffers": [{"data": buffer.data if len(buffer.data) else None} for buffer in model.buffers],
        "metadata": [{"name": entry.name, "buffer": entry.buffer} for entry in model.metadata] or None,
        "signature_defs": [_signature(signature) for signature in model.signatures] or None,
    }


def _opcode(code: Opcode) -> Values:
    return {
        "deprecated_builtin_code": code.deprecated_builtin,
        "custom_code": code.custom_code or None,
        "version": code.version,
        "builtin_code": code.builtin,
    }


def _subgraph(graph: Subgraph) -> Values:
    # Runtimes follow these four vectors without asking whether they are there, so they are written even when empty.
    return {
        "tensors": [_tensor(tensor) for tensor in graph.tensors],
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "operators": [_operator(op) for op in graph.operators],
        "name": graph.name,
    }


def _tensor(tensor: Tensor) -> Values:
    if tensor.sparse:
        raise UnsupportedModelError(
            f"tensor {tensor.index} ({tensor.name[:80]}) is sparse",
            offset=tensor.offset,
            expected="dense tensors",
            next_step="convert the model without sparsity; its file can still be read and edited in place",
        )
    return {
        "shape": tensor.shape,
        "type": tensor_type_number(tensor.dtype),
        "buffer": tensor.buffer,
        "name": tensor.name,
        "quantization": _quantization(tensor.quantization),
        "is_variable": tensor.is_variable,
        "shape_signature": tensor.shape_signature or None,
        "has_rank": tensor.has_rank,
    }


def _quantization(quantization: Quantization | None) -> Values | None:
    if quantization is None:
        return None
    return {
        "min": quantization.minimum,
        "max": quantization.maximum,
        "scale": quantization.scale if quantization.scale.size else None,
        # Absent zero points read back as one zero per scale, so an empty vector beside scales must stay one.
        "zero_point": quantization.zero_point if quantization.scale.size or quantization.zero_point.size else None,
        "quantized_dimension": quantization.dimension,
    }


def _operator(op: Operator) -> Values:
    return {
        "opcode_index": op.opcode,
        "inputs": op.inputs,
        "outputs": op.outputs,
        "custom_options": op.custom_options or None,
        "mutating_variable_inputs": op.mutating_variable_inputs or None,
        "intermediates": op.intermediates or None,
        **_options(op),
    }


def _options(op: Operator) -> Values:
    if op.options_type == "NONE":
        return {}
    union = options_union(op.options_type)
    if union is None:
        raise UnsupportedModelError(
            f"operator {op.index} ({op.label}) has options that the schema does not know",
            offset=op.offset,
            found=op.options_type,
            expected="an options table of the schema",
        )
    field = OPTION_UNIONS[union[0]]
    return {f"{field}_type": union[1], field: _known(op), f"{field}_table": op.options_type}


def _known(op: Operator) -> dict[str, OptionValue]:
    known = table(op.options_type).by_name
    unknown = sorted(set(op.options) - set(known))
    if unknown:
        raise ModelFileError(
            f"operator {op.index} ({op.label}) has options that {op.options_type} lacks",
            found=", ".join(unknown),
            expected=", ".join(known) or "no options",
        )
    return dict(op.options)


def _signature(signature: Signature) -> Values:
    def named(pairs: tuple[tuple[str, int], ...]) -> list[dict[str, Any]]:
        return [{"name": name, "tensor_index": index} for name, index in pairs]

    return {
        "inputs": named(signature.inputs),
        "outputs": named(signature.outputs),
        "signature_key": signature.key,
        "subgraph_index": signature.subgraph,
    }
