"""What numbers a model computes with, and what its inputs and outputs look like from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinymlsec.target.tflite.graph import Model, Operator, Subgraph, Tensor

NumericKind = Literal["int8", "uint8", "int16", "float32", "hybrid", "float_wrapped", "other"]

DESCRIPTIONS: dict[str, str] = {
    "int8": "fully quantized: int8 weights and int8 activations",
    "uint8": "fully quantized, older scheme: uint8 weights and uint8 activations",
    "int16": "16x8: int16 activations, usually with int8 weights",
    "float32": "float32 weights and activations; no integer grid",
    "hybrid": "integer weights with float activations (dynamic range); microcontroller runtimes refuse many of these",
    "float_wrapped": "float inputs around an integer core, whose grid is that of the QUANTIZE that comes first",
    "other": "no single numeric type that this tool has a name for",
}

DATA_AND_WEIGHTS: dict[str, tuple[int, int]] = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "CONV_3D": (0, 1),
    "FULLY_CONNECTED": (0, 1),
    "SVDF": (0, 1),
    "RNN": (0, 1),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (0, 1),
    "BIDIRECTIONAL_SEQUENCE_RNN": (0, 1),
    "LSTM": (0, 2),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (0, 2),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (0, 2),
    "BATCH_MATMUL": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
    "CONV_3D_TRANSPOSE": (2, 1),
}
"""Operators with weights: places of data and of weights among their inputs. Of an LSTM it is the forget gate's weights,
since the input gate's may be absent."""

_FLOATS = ("float32", "float16", "float64", "bfloat16")
_SMALL_INTEGERS = ("int4", "int8", "uint8")
_CORES: tuple[NumericKind, ...] = ("int8", "uint8", "int16", "float32")
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class PortDetails:
    """One input or output of the main subgraph."""

    position: int
    """Place among the inputs or outputs."""
    tensor: int
    name: str
    signature_name: str | None
    """Its name in the first signature of the main subgraph."""
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    """Of its integer grid: its own, or that of the QUANTIZE or DEQUANTIZE next to a float port. None without a grid."""
    zero_point: int | None
    grid_tensor: int | None
    """Tensor that the grid belongs to; the port itself where that is quantized."""
    grid_dtype: str | None


def numeric_kind(model: Model) -> NumericKind:
    """What the main subgraph computes with.

    Decided by the operators with weights; in a model without any, by all computed tensors that are numbers.
    """
    graph = model.main
    pairs = _weighted(model, graph)
    if any(data in _FLOATS and weights in _SMALL_INTEGERS for data, weights in pairs):
        return "hybrid"
    types = {data for data, _ in pairs} or _activation_types(graph)
    core: NumericKind = next((kind for kind in _CORES if types == {kind}), "other")
    if core in ("int8", "uint8", "int16") and _float_wrapped(_Neighbors(graph)):
        return "float_wrapped"
    return core


def input_details(model: Model) -> tuple[PortDetails, ...]:
    """The inputs of the main subgraph with the integer grid that reaches them."""
    names = _signature_names(model, inputs=True)
    near = _Neighbors(model.main)
    return tuple(_port(near, p, i, names, near.after_input(i)) for p, i in enumerate(model.main.inputs))


def output_details(model: Model) -> tuple[PortDetails, ...]:
    """The outputs of the main subgraph with the integer grid that they come from."""
    names = _signature_names(model, inputs=False)
    near = _Neighbors(model.main)
    return tuple(_port(near, p, i, names, near.before_output(i)) for p, i in enumerate(model.main.outputs))


class _Neighbors:
    """Who reads and who writes each tensor of a subgraph."""

    def __init__(self, graph: Subgraph) -> None:
        self.graph = graph
        self.readers: dict[int, list[Operator]] = {}
        self.writers: dict[int, list[Operator]] = {}
        for op in graph.operators:
            for index in set(op.inputs):
                self.readers.setdefault(index, []).append(op)
            for index in set(op.outputs):
                self.writers.setdefault(index, []).append(op)

    def after_input(self, index: int) -> Tensor | None:
        """Output of the QUANTIZE that a float input goes into, None where something else reads it too."""
        readers = self.readers.get(index, [])
        if not readers or any(op.name != "QUANTIZE" or not op.outputs for op in readers):
            return None
        return self.graph.tensors[readers[0].outputs[0]]

    def before_output(self, index: int) -> Tensor | None:
        """Input of the DEQUANTIZE that a float output comes from."""
        writers = self.writers.get(index, [])
        if len(writers) != 1 or writers[0].name != "DEQUANTIZE" or not writers[0].inputs or writers[0].inputs[0] < 0:
            return None
        return self.graph.tensors[writers[0].inputs[0]]


def _weighted(model: Model, graph: Subgraph) -> set[tuple[str, str]]:
    """(data type, weight type) of every operator with weights."""
    producers = {o: op for op in graph.operators for o in op.outputs}
    pairs = set()
    for op in graph.operators:
        data, weights = DATA_AND_WEIGHTS.get(op.name, (0, 0))
        if weights and max(data, weights) < len(op.inputs) and min(op.inputs[data], op.inputs[weights]) >= 0:
            stored = _stored(model, graph, producers, op.inputs[weights])
            pairs.add((graph.tensors[op.inputs[data]].dtype, stored))
    return pairs


def _stored(model: Model, graph: Subgraph, producers: dict[int, Operator], index: int) -> str:
    """Type in which weights lie in the file: that before a DEQUANTIZE where one unpacks them at run time."""
    maker = producers.get(index)
    if maker is not None and maker.name == "DEQUANTIZE" and maker.inputs and maker.inputs[0] >= 0:
        source = graph.tensors[maker.inputs[0]]
        if len(model.buffers[source.buffer].data):
            return source.dtype
    return graph.tensors[index].dtype


def _activation_types(graph: Subgraph) -> set[str]:
    made = {o for op in graph.operators if op.name not in _CONVERSIONS for o in op.outputs}
    types = {graph.tensors[i].dtype for i in made}
    return types - {"resource", "variant", "string", "bool"}


def _float_wrapped(near: _Neighbors) -> bool:
    """Every float input goes into QUANTIZE alone and every float output comes from DEQUANTIZE."""
    tensors = near.graph.tensors
    inputs = [i for i in near.graph.inputs if tensors[i].dtype in _FLOATS]
    outputs = [o for o in near.graph.outputs if tensors[o].dtype in _FLOATS]
    return (
        bool(inputs)
        and all(near.after_input(i) is not None for i in inputs)
        and all(near.before_output(o) is not None for o in outputs)
    )


def _port(near: _Neighbors, position: int, index: int, names: dict[int, str], neighbor: Tensor | None) -> PortDetails:
    tensor = near.graph.tensors[index]
    grid = neighbor if tensor.dtype in _FLOATS else tensor
    quantization = grid.quantization if grid is not None else None
    gridded = quantization is not None and quantization.scale.size > 0 and quantization.zero_point.size > 0
    return PortDetails(
        position=position,
        tensor=index,
        name=tensor.name,
        signature_name=names.get(index),
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=float(quantization.scale[0]) if quantization is not None and gridded else None,
        zero_point=int(quantization.zero_point[0]) if quantization is not None and gridded else None,
        grid_tensor=grid.index if grid is not None and gridded else None,
        grid_dtype=grid.dtype if grid is not None and gridded else None,
    )


def _signature_names(model: Model, *, inputs: bool) -> dict[int, str]:
    for signature in model.signatures:
        if signature.subgraph == 0:
            return {index: name for name, index in (signature.inputs if inputs else signature.outputs)}
    return {}
