"""What a .tflite file says about itself, as plain data for `scan --facts`, reports and the extraction attack."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import Any

from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.embedded import archive_facts, metadata_facts
from tinymlsec.target.tflite.graph import Model, Operator, Quantization, Signature, Subgraph, Tensor
from tinymlsec.target.tflite.layout import used_bytes
from tinymlsec.target.tflite.numeric import (
    DESCRIPTIONS,
    PortDetails,
    input_details,
    numeric_kind,
    output_details,
)
from tinymlsec.target.tflite.schema import enum_name, options_union, table

__all__ = ["file_facts", "input_details", "named_options", "numeric_kind", "output_details"]

MAX_ITEMS = 4_096
"""Scales, zero points or option values printed of one tensor or operator."""
MAX_SCALES_IN_ALL = 1_000_000
FEW_SCALES = 16
"""Printed of a tensor in a file that has more than that in all, which only a hostile one has."""

_PARAMETER_TYPES = ("float32", "float16", "float64", "bfloat16", "int4", "int8", "uint8")


def file_facts(model: Model, data: bytes) -> dict[str, Any]:
    """All that can be said about a model file without running it, JSON-able.

    Args:
        model: as read from `data`.
        data: the whole file.
    """
    constants = _parameter_buffers(model)
    operators = [op for graph in model.subgraphs for op in graph.operators]
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "schema_version": model.version,
        "description": model.description,
        "metadata": metadata_facts(model),
        "signatures": [_signature(s) for s in model.signatures],
        "quantization": {"kind": numeric_kind(model), "meaning": DESCRIPTIONS[numeric_kind(model)]},
        "inputs": [_port(p) for p in input_details(model)],
        "outputs": [_port(p) for p in output_details(model)],
        "operators": len(operators),
        "operator_histogram": dict(Counter(op.label for op in operators).most_common()),
        "custom_operators": sorted({op.custom_code for op in operators if op.name == "CUSTOM"}),
        "parameters": sum(constants.values()),
        "parameter_bytes": sum(len(model.buffers[b].data) for b in constants),
        "constant_bytes": sum(len(model.buffers[b].data) for b in _tensor_buffers(model)),
        "state_tensors": [list(pair) for pair in model.state_tensors],
        "unused_buffers": _unused_buffers(model),
        "appended": _appended(data),
        "subgraphs": [_subgraph(model, graph, _scales_shown(model)) for graph in model.subgraphs],
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "key": signature.key,
        "subgraph": signature.subgraph,
        "inputs": dict(signature.inputs),
        "outputs": dict(signature.outputs),
    }


def _port(port: PortDetails) -> dict[str, Any]:
    return {
        "tensor": port.tensor,
        "name": port.name,
        "signature_name": port.signature_name,
        "shape": list(port.shape),
        "dtype": port.dtype,
        "scale": _json(port.scale),
        "zero_point": port.zero_point,
        "grid_dtype": port.grid_dtype,
    }


def _tensor_buffers(model: Model) -> set[int]:
    """Buffers with data that a tensor uses."""
    return {t.buffer for g in model.subgraphs for t in g.tensors if len(model.buffers[t.buffer].data)}


def parameter_count(model: Model) -> int:
    """Weights and biases, number of values by the shapes that the file declares."""
    return sum(_parameter_buffers(model).values())


def _parameter_buffers(model: Model) -> dict[int, int]:
    """Elements by buffer of all constants that are weights or biases: floats, small integers, or quantized."""
    parameters: dict[int, int] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            quantized = tensor.quantization is not None and tensor.quantization.scale.size > 0
            if len(model.buffers[tensor.buffer].data) and (quantized or tensor.dtype in _PARAMETER_TYPES):
                parameters[tensor.buffer] = math.prod(tensor.shape)
    return parameters


def _unused_buffers(model: Model) -> list[dict[str, Any]]:
    used = _tensor_buffers(model) | {entry.buffer for entry in model.metadata}
    return [
        {"buffer": b.index, "bytes": len(b.data), "offset": b.offset}
        for b in model.buffers
        if len(b.data) and b.index not in used
    ]


def _appended(data: bytes) -> dict[str, Any]:
    """Bytes after the last one that the model refers to; up to 15 zeros are alignment.

    A part of the file that reading the model did not need can be damaged; then it is said and no more is known.
    """
    try:
        end = used_bytes(data)
    except ModelFileError as error:
        return {"bytes": None, "offset": None, "padding": None, "archive": [], "damaged": error.message}
    rest = data[end:]
    padding = len(rest) <= 15 and not any(rest)
    return {
        "bytes": 0 if padding else len(rest),
        "offset": end,
        "padding": len(rest) if padding else 0,
        "archive": [] if padding else archive_facts(rest),
        "damaged": None,
    }


def _scales_shown(model: Model) -> int:
    counts = (t.quantization.scale.size for g in model.subgraphs for t in g.tensors if t.quantization is not None)
    return MAX_ITEMS if sum(counts) <= MAX_SCALES_IN_ALL else FEW_SCALES


def _subgraph(model: Model, graph: Subgraph, scales_shown: int) -> dict[str, Any]:
    short = [_short(tensor) for tensor in graph.tensors]  # shared by all operators that name the tensor
    return {
        "index": graph.index,
        "name": graph.name,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "operators": [_operator(op, short) for op in graph.operators],
        "tensors": [_tensor(model, tensor, scales_shown) for tensor in graph.tensors],
    }


def _operator(op: Operator, short: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "index": op.index,
        "name": op.label,
        "version": op.version,
        "offset": op.offset,
        "inputs": [None if i < 0 else short[i] for i in op.inputs],
        "outputs": [short[i] for i in op.outputs],
        "options_type": op.options_type,
        "options": named_options(op),
        "custom_options_bytes": len(op.custom_options),
    }


def named_options(op: Operator) -> dict[str, Any]:
    """Options of an operator with the names of enumerations in place of their numbers, JSON-able."""
    if options_union(op.options_type) is None:
        return {}
    fields = table(op.options_type).by_name
    named: dict[str, Any] = {}
    for name, value in op.options.items():
        enum = fields[name].enum if name in fields else None
        named[name] = enum_name(enum, value) if enum is not None and isinstance(value, int) else _json(value)
    return named


def _short(tensor: Tensor) -> dict[str, Any]:
    return {"tensor": tensor.index, "shape": list(tensor.shape), "dtype": tensor.dtype}


def _tensor(model: Model, tensor: Tensor, scales_shown: int) -> dict[str, Any]:
    buffer = model.buffers[tensor.buffer]
    return {
        "index": tensor.index,
        "name": tensor.name,
        "shape": list(tensor.shape),
        "shape_signature": list(tensor.shape_signature),
        "dtype": tensor.dtype,
        "buffer": tensor.buffer,
        "constant_bytes": len(buffer.data),
        "constant_offset": buffer.offset,
        "quantization": _quantization(tensor.quantization, scales_shown),
        "is_variable": tensor.is_variable,
        "sparse": tensor.sparse,
        "offset": tensor.offset,
    }


def _quantization(quantization: Quantization | None, shown: int) -> dict[str, Any] | None:
    if quantization is None or quantization.scale.size == 0:
        return None
    return {
        "scales": int(quantization.scale.size),
        "scale": _numbers(quantization.scale[:shown]),
        "zero_point": _numbers(quantization.zero_point[:shown]),
        "dimension": quantization.dimension,
    }


def _numbers(array: NDArray[Any]) -> list[Any]:
    return [_json(value) for value in array.tolist()]


def _json(value: Any) -> Any:
    """A value as JSON can hold it: bytes in hexadecimal, infinities and NaN as words."""
    if isinstance(value, bytes):
        return value[:MAX_ITEMS].hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, tuple):
        return [_json(item) for item in value[:MAX_ITEMS]]
    return value
