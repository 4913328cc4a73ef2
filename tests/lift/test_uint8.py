"""uint8 is lifted wherever the runtime computes with it; everywhere else the runtime itself refuses it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.conformance.harness import makers  # noqa: E402
from tinymlsec.errors import OracleRejected, UnsupportedModelError  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402
from tinymlsec.target.tflite.graph import Model, Tensor  # noqa: E402
from tinymlsec.target.tflite.writer import write_model  # noqa: E402

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
ROWS = sorted(row for row in makers() if "int8" in row[1].split(" -> ") and "uint8" not in row[1])
LIFTED = {"DEQUANTIZE", "RESHAPE", "SHAPE", "SQUEEZE"}
"""Operators of these rows that the runtime runs on uint8; QUANTIZE has uint8 rows of its own."""


def as_uint8(tensor: Tensor) -> Tensor:
    """The same tensor with codes that are 128 larger."""
    if tensor.dtype != "int8":
        return tensor
    q = tensor.quantization
    return replace(tensor, dtype="uint8", quantization=q and replace(q, zero_point=q.zero_point + 128))


def uint8_twin(model: Model) -> Model:
    """Every int8 tensor as uint8, constants with it."""
    buffers = list(model.buffers)
    for tensor in (t for graph in model.subgraphs for t in graph.tensors if t.dtype == "int8"):
        data = np.frombuffer(bytes(buffers[tensor.buffer].data), np.int8)
        shifted = (data.astype(np.int16) + 128).astype(np.uint8)
        buffers[tensor.buffer] = replace(buffers[tensor.buffer], data=shifted.tobytes())
    graphs = tuple(replace(g, tensors=tuple(map(as_uint8, g.tensors))) for g in model.subgraphs)
    return replace(model, subgraphs=graphs, buffers=tuple(buffers))


@pytest.fixture(scope="module")
def pool():
    with OraclePool(1) as made:
        yield made


@pytest.mark.parametrize(("op", "types"), ROWS, ids=lambda word: word.replace(" ", ""))
def test_the_runtime_refuses_uint8_where_the_lift_does(op: str, types: str, pool: OraclePool) -> None:
    model = uint8_twin(makers()[op, types](np.random.default_rng(1)).model)
    inputs = [model.main.tensors[i] for i in model.main.inputs]
    zeros = [np.zeros((1, *t.shape), t.dtype) for t in inputs]
    if op in LIFTED:
        theirs = pool.open(write_model(model)).run_all(zeros)
        ours = LiftedGraph(model).predict(zeros[0] if len(zeros) == 1 else zeros)
        np.testing.assert_array_equal(np.asarray(ours).reshape(-1), np.asarray(theirs[0]).reshape(-1))
        return
    with pytest.raises(OracleRejected):
        pool.open(write_model(model)).run_all(zeros)
    with pytest.raises(UnsupportedModelError):
        LiftedGraph(model)
