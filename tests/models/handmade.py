"""Model files built with the flatbuffers library and the `tflite` package alone, so that they owe nothing to our code.

A table is ``("Conv2DOptions", {"StrideW": 2})``: the package's name and its fields in CamelCase. Values are numbers,
texts, bytes, NumPy arrays (vectors of scalars), tables, lists of tables, or (number, table) for a union and its type.
"""

from __future__ import annotations

import importlib
from typing import Any

import flatbuffers
import numpy as np

Spec = tuple[str, dict[str, Any]]


def build(model: dict[str, Any], *, tail: bytes = b"") -> bytes:
    """A .tflite file, with bytes appended behind it."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, ("Model", {"Version": 3, **model})), file_identifier=b"TFL3")
    return bytes(builder.Output()) + tail


def _module(name: str) -> Any:
    return importlib.import_module(f"tflite.{name}")


def _table(builder: flatbuffers.Builder, spec: Spec) -> int:
    name, fields = spec
    module = _module(name)
    stored = {field: _refer(builder, value) for field, value in fields.items()}
    getattr(module, f"{name}Start")(builder)
    for field, value in stored.items():
        if isinstance(value, tuple):
            getattr(module, f"{name}Add{field}Type")(builder, value[0])
            value = value[1]
        getattr(module, f"{name}Add{field}")(builder, value)
    return int(getattr(module, f"{name}End")(builder))


def _refer(builder: flatbuffers.Builder, value: Any) -> Any:
    """Writes what a field refers to and returns what the field stores; scalars stay as they are."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        return builder.CreateByteVector(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, tuple):
        return _table(builder, value) if isinstance(value[0], str) else (value[0], _table(builder, value[1]))
    if isinstance(value, list):
        offsets = [_table(builder, item) for item in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    return value


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def quantization(scale: list[float], zero_point: list[int], dimension: int = 0) -> Spec:
    fields = {"Scale": np.array(scale, np.float32), "ZeroPoint": np.array(zero_point, np.int64)}
    return ("QuantizationParameters", {**fields, "QuantizedDimension": dimension})


def tensor(name: str, shape: tuple[int, ...], type_: str, buffer: int = 0, **more: Any) -> Spec:
    number = getattr(_module("TensorType").TensorType, type_)
    return ("Tensor", {"Name": name, "Shape": ints(*shape), "Type": number, "Buffer": buffer, **more})


def operator(
    code: int, inputs: tuple[int, ...], outputs: tuple[int, ...], options: Spec | None = None, **more: Any
) -> Spec:
    fields: dict[str, Any] = {"OpcodeIndex": code, "Inputs": ints(*inputs), "Outputs": ints(*outputs), **more}
    if options is not None:
        first = _module("BuiltinOptions").BuiltinOptions
        second = _module("BuiltinOptions2").BuiltinOptions2
        union, field = (first, "BuiltinOptions") if hasattr(first, options[0]) else (second, "BuiltinOptions2")
        fields[field] = (getattr(union, options[0]), options)
    return ("Operator", fields)


def opcode(name: str, **more: Any) -> Spec:
    number = getattr(_module("BuiltinOperator").BuiltinOperator, name)
    return ("OperatorCode", {"DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number, **more})


def dense(io: str = "INT8", weights: str = "INT8", *, wrapped: bool = False, **model: Any) -> bytes:
    """A fully connected layer of 4 inputs and 3 outputs; `wrapped` puts QUANTIZE and DEQUANTIZE around it."""
    width = {"FLOAT32": 4, "INT8": 1, "UINT8": 1, "INT16": 2}
    q = {"Quantization": quantization([0.5], [3])} if io != "FLOAT32" else {}
    w = {"Quantization": quantization([0.25, 0.5, 1.0], [0, 0, 0])} if weights != "FLOAT32" else {}
    tensors = [
        tensor("input", (1, 4), io, **q),
        tensor("weights", (3, 4), weights, 1, **w),
        tensor("bias", (3,), "FLOAT32" if io == "FLOAT32" else "INT32", 2),
        tensor("scores", (1, 3), io, **q),
    ]
    options = ("FullyConnectedOptions", {"FusedActivationFunction": 1, "KeepNumDims": True})
    operators = [operator(0, (0, 1, 2), (3,), options)]
    inputs, outputs = ints(0), ints(3)
    if wrapped:
        tensors += [tensor("real input", (1, 4), "FLOAT32"), tensor("real output", (1, 3), "FLOAT32")]
        operators = [operator(1, (4,), (0,)), *operators, operator(2, (3,), (5,))]
        inputs, outputs = ints(4), ints(5)
    graph = {"Tensors": tensors, "Inputs": inputs, "Outputs": outputs, "Operators": operators, "Name": "main"}
    values = bytes(range(12 * width[weights]))
    fields: dict[str, Any] = {
        "OperatorCodes": [opcode("FULLY_CONNECTED", Version=4), opcode("QUANTIZE"), opcode("DEQUANTIZE")],
        "Subgraphs": [("SubGraph", graph)],
        "Buffers": [("Buffer", {}), ("Buffer", {"Data": values}), ("Buffer", {"Data": bytes(12)})],
        "Description": "made by hand",
    }
    return build({**fields, **model})


def zoo() -> bytes:
    """One model that uses nearly every corner of the format; it is read, never run."""
    strange = "größe \u2713"
    tensors = [
        tensor("x", (1, 8, 8, 2), "INT8", Quantization=quantization([0.1], [-5]), ShapeSignature=ints(-1, 8, 8, 2)),
        tensor("w", (4, 3, 3, 2), "INT8", 1, Quantization=quantization([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0], 0)),
        tensor(strange, (4,), "INT32", 2, HasRank=True),
        tensor("state", (1, 4), "INT16", IsVariable=True),
        tensor("sparse", (2, 2), "FLOAT32", 3, Sparsity=_sparsity()),
        tensor("details", (1,), "UINT8", Quantization=_custom_quantization()),
        tensor("handle", (), "RESOURCE", VariantTensors=[("VariantSubType", {"Shape": ints(1), "Type": 9})]),
        tensor("nibbles", (5,), "INT4", 4),
        ("Tensor", {}),
    ]
    operators = [
        operator(
            0, (0, 1, 2), (3,), ("Conv2DOptions", {"StrideW": 2, "StrideH": 3, "Padding": 1, "DilationWFactor": 4})
        ),
        operator(1, (0, -1), (4,), CustomOptions=b"\x01\x02\x03", Intermediates=ints(-1, 3)),
        operator(2, (0,), (5,), ("ReshapeOptions", {"NewShape": ints(1, -1)})),
        operator(2, (0,), (5,), ("ReshapeOptions", {})),
        operator(3, (), (6,), ("VarHandleOptions", {"Container": "", "SharedName": strange})),
        operator(4, (0,), (5,), ("StablehloScatterOptions", {"IndicesAreSorted": True, "IndexVectorDim": -(2**40)})),
        operator(5, (0, 0), (5,), ("StablehloCustomCallOptions", {"CallTargetName": "f", "CustomAttributes": b"\xff"})),
        operator(2, (0,), (5,), MutatingVariableInputs=np.array([True, False]), DebugMetadataIndex=7),
        operator(6, (0,), (5,), ("BucketizeOptions", {"Boundaries": np.array([0.5, 1.5], np.float32)})),
    ]
    second = {"Tensors": [tensor("only", (1,), "FLOAT32")], "Inputs": ints(0), "Outputs": ints(0), "Name": "second"}
    signature = {
        "Inputs": [("TensorMap", {"Name": "image", "TensorIndex": 0})],
        "Outputs": [("TensorMap", {"Name": "scores", "TensorIndex": 3})],
        "SignatureKey": "serving_default",
    }
    codes = ["CONV_2D", "CUSTOM", "RESHAPE", "VAR_HANDLE", "STABLEHLO_SCATTER", "STABLEHLO_CUSTOM_CALL", "BUCKETIZE"]
    buffers = [b"", bytes(72), bytes(16), bytes(8), bytes((0x21, 0x83, 0x0F)), b"1.5.0\x00\x00\x00", b"left over"]
    return build(
        {
            "Description": strange,
            "OperatorCodes": [opcode(c, **({"CustomCode": "MyOp"} if c == "CUSTOM" else {})) for c in codes],
            "Subgraphs": [
                ("SubGraph", {"Tensors": tensors, "Inputs": ints(0), "Outputs": ints(3), "Operators": operators}),
                ("SubGraph", second),
            ],
            "Buffers": [("Buffer", {"Data": b} if b else {}) for b in buffers],
            "MetadataBuffer": ints(5),
            "Metadata": [("Metadata", {"Name": "min_runtime_version", "Buffer": 5})],
            "SignatureDefs": [("SignatureDef", signature)],
        }
    )


def _sparsity() -> Spec:
    rows = {"Format": 0, "DenseSize": 2}
    columns = {"Format": 1, "ArraySegments": (1, ("Int32Vector", {"Values": ints(0, 1, 2)}))}
    columns["ArrayIndices"] = (3, ("Uint8Vector", {"Values": bytes((0, 1))}))
    metadata = [("DimensionMetadata", rows), ("DimensionMetadata", columns)]
    return ("SparsityParameters", {"TraversalOrder": ints(0, 1), "DimMetadata": metadata})


def _custom_quantization() -> Spec:
    return (
        "QuantizationParameters",
        {"Min": np.array([0.0], np.float32), "Details": (1, ("CustomQuantization", {"Custom": b"q"}))},
    )


SEEDS = {
    "dense_int8": dense,
    "dense_float": lambda: dense("FLOAT32", "FLOAT32"),
    "dense_wrapped": lambda: dense(wrapped=True),
    "zoo": zoo,
}
"""Small models that mutation starts from."""
