"""The typed graph as the `tflite` package sees a file: the independent answer that our reader must equal."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from tflite.BuiltinOperator import BuiltinOperator
from tflite.BuiltinOptions import BuiltinOptions
from tflite.BuiltinOptions2 import BuiltinOptions2
from tflite.Model import Model as PackageModel
from tflite.TensorType import TensorType

from tinymlsec.target.tflite import graph
from tinymlsec.target.tflite.schema import table


def names(cls: type) -> dict[int, str]:
    return {v: k for k, v in vars(cls).items() if not k.startswith("_")}


OPERATORS, OPTIONS, OPTIONS_2, TYPES = (
    names(c) for c in (BuiltinOperator, BuiltinOptions, BuiltinOptions2, TensorType)
)


def package_view(data: bytes) -> graph.Model:
    model = PackageModel.GetRootAs(data, 0)
    opcodes = tuple(_opcode(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength()))
    return graph.Model(
        version=model.Version(),
        description=_text(model.Description()),
        opcodes=opcodes,
        subgraphs=tuple(_subgraph(model.Subgraphs(i), i, opcodes) for i in range(model.SubgraphsLength())),
        buffers=tuple(_buffer(model.Buffers(i), i) for i in range(model.BuffersLength())),
        metadata=tuple(
            graph.Metadata(_text(model.Metadata(i).Name()), model.Metadata(i).Buffer())
            for i in range(model.MetadataLength())
        ),
        signatures=tuple(_signature(model.SignatureDefs(i)) for i in range(model.SignatureDefsLength())),
        size=len(data),
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _opcode(code: Any) -> graph.Opcode:
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return graph.Opcode(
        number, OPERATORS[number], _text(code.CustomCode()), code.Version(), code.DeprecatedBuiltinCode()
    )


def _vector(table_: Any, field: str) -> tuple[Any, ...]:
    return tuple(getattr(table_, field)(i) for i in range(getattr(table_, f"{field}Length")()))


def _subgraph(view: Any, index: int, opcodes: tuple[graph.Opcode, ...]) -> graph.Subgraph:
    return graph.Subgraph(
        index=index,
        name=_text(view.Name()),
        tensors=tuple(_tensor(view.Tensors(i), i) for i in range(view.TensorsLength())),
        operators=tuple(_operator(view.Operators(i), i, opcodes) for i in range(view.OperatorsLength())),
        inputs=_vector(view, "Inputs"),
        outputs=_vector(view, "Outputs"),
        offset=view._tab.Pos,
    )


def _tensor(view: Any, index: int) -> graph.Tensor:
    return graph.Tensor(
        index=index,
        name=_text(view.Name()),
        shape=_vector(view, "Shape"),
        dtype=TYPES[view.Type()].lower(),
        buffer=view.Buffer(),
        quantization=_quantization(view.Quantization()),
        is_variable=view.IsVariable(),
        shape_signature=_vector(view, "ShapeSignature"),
        has_rank=view.HasRank(),
        sparse=view.Sparsity() is not None,
        offset=view._tab.Pos,
    )


def _quantization(view: Any) -> graph.Quantization | None:
    if view is None:
        return None
    scale = np.array(_vector(view, "Scale"), np.float32)
    zero = np.zeros(scale.size, np.int64) if view.ZeroPointIsNone() else np.array(_vector(view, "ZeroPoint"), np.int64)
    low, high = (
        None if getattr(view, f"{f}IsNone")() else np.array(_vector(view, f), np.float32) for f in ("Min", "Max")
    )
    return graph.Quantization(scale, zero, view.QuantizedDimension(), low, high)


def _operator(view: Any, index: int, opcodes: tuple[graph.Opcode, ...]) -> graph.Operator:
    opcode = opcodes[view.OpcodeIndex()]
    kind, options = _options(view)
    return graph.Operator(
        index=index,
        opcode=view.OpcodeIndex(),
        name=opcode.name,
        inputs=_vector(view, "Inputs"),
        outputs=_vector(view, "Outputs"),
        options_type=kind,
        options=options,
        custom_code=opcode.custom_code,
        custom_options=bytes(_vector(view, "CustomOptions")),
        intermediates=_vector(view, "Intermediates"),
        mutating_variable_inputs=tuple(bool(v) for v in _vector(view, "MutatingVariableInputs")),
        version=opcode.version,
        offset=view._tab.Pos,
    )


def _options(view: Any) -> tuple[str, dict[str, Any]]:
    if view.BuiltinOptionsType():
        name, union = OPTIONS[view.BuiltinOptionsType()], view.BuiltinOptions()
    elif view.BuiltinOptions2Type():
        name, union = OPTIONS_2[view.BuiltinOptions2Type()], view.BuiltinOptions2()
    else:
        return "NONE", {}
    cls = getattr(importlib.import_module(f"tflite.{name}"), name)
    options = cls()
    options.Init(union.Bytes, union.Pos)
    return name, {field.name: _option(options, field.name) for field in table(name).fields}


def _option(options: Any, name: str) -> Any:
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    if not hasattr(options, f"{camel}Length"):
        value = getattr(options, camel)()
        return value.decode() if isinstance(value, bytes) else value
    if getattr(options, f"{camel}IsNone")():
        return None
    values = _vector(options, camel)
    return bytes(values) if f"{camel}" in ("CustomAttributes", "CompositeAttributes") else values


def _buffer(view: Any, index: int) -> graph.Buffer:
    if view.DataLength() == 0:
        return graph.Buffer(index, b"")
    start = view._tab.Vector(view._tab.Offset(4))
    return graph.Buffer(index, view.DataAsNumpy().tobytes(), start)


def _signature(view: Any) -> graph.Signature:
    pairs = {
        side: tuple((_text(m.Name()), m.TensorIndex()) for m in _vector(view, side)) for side in ("Inputs", "Outputs")
    }
    return graph.Signature(_text(view.SignatureKey()), view.SubgraphIndex(), pairs["Inputs"], pairs["Outputs"])
