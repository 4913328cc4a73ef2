"""Makes models by hand: for tests, for controls of attacks, for the bundled example.

>>> import numpy as np
>>> builder = GraphBuilder("doubles its input")
>>> x = builder.input((1, 4), "int8", scale=0.5)
>>> builder.output(builder.op("ADD", [x, x], scale=1.0, options={}))
>>> [op.name for op in builder.build().main.operators]
['ADD']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.graph import (
    Buffer,
    Metadata,
    Model,
    Opcode,
    Operator,
    OptionValue,
    Quantization,
    Signature,
    Subgraph,
    Tensor,
)
from tinymlsec.target.tflite.op_options import make_options
from tinymlsec.target.tflite.schema import SCHEMA_VERSION, element_dtype, enum_number, tensor_type_number
from tinymlsec.target.tflite.shapes import infer_output_shapes
from tinymlsec.target.tflite.writer import write_model

LARGEST_OLD_CODE = 127
"""The operator number was a signed byte once; larger ones put this value there."""
VALUES_INPUT = {"SPLIT": 1, "TRANSPOSE_CONV": 2, "CONV_3D_TRANSPOSE": 2, "EMBEDDING_LOOKUP": 1}
"""Input that an output resembles in type and quantization, where that is not the first one."""


@dataclass(frozen=True)
class TensorSpec:
    """What an operator's output shall look like; what is left out is inferred or taken from the input."""

    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    scale: ArrayLike | None = None
    zero_point: ArrayLike = 0
    dimension: int = 0
    name: str = ""


@dataclass
class _File:
    """What the subgraphs of a model share."""

    description: str
    opcodes: list[Opcode] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=lambda: [Buffer(0, b"")])
    metadata: list[Metadata] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    graphs: list[GraphBuilder] = field(default_factory=list)

    def opcode(self, name: str, version: int, custom: bool) -> int:
        """Index of the operator's code, added if it is new."""
        builtin = enum_number("BuiltinOperator", "CUSTOM" if custom else name)
        old = min(builtin, LARGEST_OLD_CODE)
        code = Opcode(builtin, "CUSTOM" if custom else name, name if custom else "", version, old)
        if code not in self.opcodes:
            self.opcodes.append(code)
        return self.opcodes.index(code)

    def buffer(self, data: bytes) -> int:
        self.buffers.append(Buffer(len(self.buffers), data))
        return len(self.buffers) - 1

    def model(self) -> Model:
        return Model(
            version=SCHEMA_VERSION,
            description=self.description,
            opcodes=tuple(self.opcodes),
            subgraphs=tuple(graph.snapshot() for graph in self.graphs),
            buffers=tuple(self.buffers),
            metadata=tuple(self.metadata),
            signatures=tuple(self.signatures),
        )


class GraphBuilder:
    """Builds one subgraph of a model, tensor by tensor; the first one is the model's main graph.

    Args:
        description: the model's description.
        name: name of the subgraph.
    """

    def __init__(self, description: str = "", name: str = "main") -> None:
        self._attach(_File(description), name)

    def _attach(self, file: _File, name: str) -> None:
        self.name = name
        self.index = len(file.graphs)
        self._file = file
        self._tensors: list[Tensor] = []
        self._operators: list[Operator] = []
        self._inputs: list[int] = []
        self._outputs: list[int] = []
        file.graphs.append(self)

    def subgraph(self, name: str) -> GraphBuilder:
        """A further subgraph of the same model, for IF, WHILE, CALL and CALL_ONCE; its number is ``.index``."""
        other = GraphBuilder.__new__(GraphBuilder)
        other._attach(self._file, name)
        return other

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        *,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        dimension: int = 0,
        name: str = "",
        buffer: int = 0,
        is_variable: bool = False,
        shape_signature: Sequence[int] = (),
    ) -> int:
        """Adds a tensor and nothing else.

        Args:
            shape: dimensions; taken as they are, so malformed models can be made.
            dtype: a tensor type of the schema in lower case.
            scale: one scale, or one per slice of `dimension`; None for a tensor without quantization.
            zero_point: one for all scales, or one each.
            dimension: dimension that several scales run along.
            name: made up where it is empty.
            buffer: number of a buffer; 0 for a computed tensor.
            is_variable: the tensor keeps its value between invocations.
            shape_signature: the shape with -1 for unknown dimensions.

        Returns:
            The tensor's index.
        """
        tensor_type_number(dtype)
        index = len(self._tensors)
        self._tensors.append(
            Tensor(
                index,
                name or f"tensor_{index}",
                tuple(int(size) for size in shape),
                dtype,
                buffer,
                _quantization(scale, zero_point, dimension),
                is_variable,
                tuple(shape_signature),
            )
        )
        return index

    def input(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        name: str = "",
    ) -> int:
        """Adds an input of the subgraph. See `tensor`."""
        name = name or f"input_{len(self._inputs)}"
        index = self.tensor(shape, dtype, scale=scale, zero_point=zero_point, name=name)
        self._inputs.append(index)
        return index

    def constant(
        self,
        array: ArrayLike,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        dimension: int = 0,
        name: str = "",
        dtype: str | None = None,
    ) -> int:
        """Adds a constant tensor.

        Args:
            array: its values; the array's type is the tensor's unless `dtype` names another.
            scale: as for `tensor`.
            zero_point: as for `tensor`.
            dimension: as for `tensor`.
            name: as for `tensor`.
            dtype: a numeric tensor type that NumPy knows.
        """
        values = np.asarray(array)
        kind = dtype or str(values.dtype)
        element = element_dtype(kind)
        if element is None:
            raise UsageError("a constant of this type cannot be made from an array", found=kind, expected="a number")
        buffer = self._file.buffer(values.astype(element).tobytes())
        return self.tensor(
            values.shape, kind, scale=scale, zero_point=zero_point, dimension=dimension, name=name, buffer=buffer
        )

    def ints(self, *values: int) -> int:
        """Adds an int32 vector, as axes, paddings and shapes need."""
        return self.constant(np.array(values, dtype=np.int32))

    def int_scalar(self, value: int) -> int:
        """Adds an int32 scalar."""
        return self.constant(np.array(value, dtype=np.int32))

    def variable(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        name: str = "",
    ) -> int:
        """Adds a state tensor, such as the activation state of SVDF or LSTM."""
        return self.tensor(shape, dtype, scale=scale, zero_point=zero_point, name=name, is_variable=True)

    def variable_handle(self, shared_name: str, container: str = "") -> int:
        """Adds a VAR_HANDLE: the handle of a resource variable, for READ_VARIABLE and ASSIGN_VARIABLE."""
        return self.op("VAR_HANDLE", [], dtype="resource", options={"shared_name": shared_name, "container": container})

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        options: Mapping[str, OptionValue] | None = None,
        *,
        output_name: str = "",
        version: int = 1,
        custom_options: bytes | None = None,
    ) -> int:
        """Adds an operator with one output.

        Args:
            name: builtin name; with `custom_options`, the code of a custom operator.
            inputs: tensor indices; -1 for an optional input that is absent.
            shape: of the output; inferred where it is left out.
            dtype: of the output; that of the first input (of the values) where it is left out.
            scale: of the output; where it is left out and the type stays, the quantization of that input.
            zero_point: of the output, with `scale`.
            options: see `tinymlsec.target.tflite.op_options.make_options`.
            output_name: name of the output tensor.
            version: version of the operator.
            custom_options: bytes for a custom operator (may be empty); None for a builtin one.

        Returns:
            The output's tensor index.

        Raises:
            UsageError: unknown operator or options, or an output whose shape must be given.
            ShapeError: inputs and options that admit no output shape.
        """
        spec = TensorSpec(None if shape is None else tuple(shape), dtype, scale, zero_point, 0, output_name)
        return self.op_many(name, inputs, [spec], options, version=version, custom_options=custom_options)[0]

    def op_many(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[TensorSpec],
        options: Mapping[str, OptionValue] | None = None,
        *,
        version: int = 1,
        custom_options: bytes | None = None,
        intermediates: Sequence[int] = (),
    ) -> tuple[int, ...]:
        """Adds an operator with any number of outputs. See `op`.

        Returns:
            The outputs' tensor indices.
        """
        custom = custom_options is not None
        try:
            code = self._file.opcode(name, version, custom)
        except KeyError:
            raise UsageError("no such builtin operator", found=name, expected="a name of the schema") from None
        table, values = ("NONE", {}) if custom else make_options(name, options or {})
        made = tuple(self._output(spec, name, inputs) for spec in outputs)
        op = Operator(
            len(self._operators),
            code,
            "CUSTOM" if custom else name,
            tuple(inputs),
            made,
            table,
            values,
            name if custom else "",
            custom_options or b"",
            tuple(intermediates),
            version=version,
        )
        self._infer_missing(op, outputs)
        self._operators.append(op)
        return made

    def _output(self, spec: TensorSpec, operator: str, inputs: Sequence[int]) -> int:
        position = VALUES_INPUT.get(operator, 0)
        source = self._tensors[inputs[position]] if position < len(inputs) and inputs[position] >= 0 else None
        dtype = spec.dtype or (source.dtype if source else None)
        if dtype is None:
            raise UsageError(f"the output of {operator} needs a type", expected="dtype=...")
        index = self.tensor(
            spec.shape or (),
            dtype,
            scale=spec.scale,
            zero_point=spec.zero_point,
            dimension=spec.dimension,
            name=spec.name,
        )
        if spec.scale is None and source is not None and source.dtype == dtype and source.quantization is not None:
            self._replace(index, quantization=source.quantization)
        return index

    def _infer_missing(self, op: Operator, outputs: Sequence[TensorSpec]) -> None:
        missing = [position for position, spec in enumerate(outputs) if spec.shape is None]
        if not missing:
            return
        model = self.build()
        inferred = infer_output_shapes(model, model.subgraphs[self.index], op)
        for position in missing:
            shape = inferred[position].shape
            if shape is None:
                reason = inferred[position].reason
                raise UsageError(f"output {position} of {op.label} needs a shape", found=reason, expected="shape=...")
            self._replace(op.outputs[position], shape=shape)

    def _replace(self, index: int, **changes: object) -> None:
        self._tensors[index] = Tensor(**{**vars(self._tensors[index]), **changes})

    def output(self, *tensors: int) -> None:
        """Makes tensors outputs of the subgraph, in order."""
        self._outputs += tensors

    def signature(self, key: str = "serving_default") -> None:
        """Adds a signature that names this subgraph's inputs and outputs by their tensors' names."""
        self._file.signatures.append(Signature(key, self.index, self._named(self._inputs), self._named(self._outputs)))

    def _named(self, indices: Sequence[int]) -> tuple[tuple[str, int], ...]:
        return tuple((self._tensors[index].name, index) for index in indices)

    def metadata(self, name: str, content: bytes) -> None:
        """Adds a metadata entry with its own buffer."""
        self._file.metadata.append(Metadata(name, self._file.buffer(content)))

    def snapshot(self) -> Subgraph:
        """This subgraph as it is now."""
        return Subgraph(
            self.index,
            self.name,
            tuple(self._tensors),
            tuple(self._operators),
            tuple(self._inputs),
            tuple(self._outputs),
        )

    def build(self) -> Model:
        """The whole model as it is now, all subgraphs included."""
        return self._file.model()

    def tobytes(self) -> bytes:
        """The whole model as a .tflite file."""
        return write_model(self.build())


def _quantization(scale: ArrayLike | None, zero_point: ArrayLike, dimension: int) -> Quantization | None:
    if scale is None:
        return None
    scales: NDArray[np.float32] = np.atleast_1d(np.asarray(scale, dtype=np.float32))
    zeros = np.asarray(zero_point, dtype=np.int64)
    return Quantization(scales, np.array(np.broadcast_to(zeros, scales.shape)), dimension)
