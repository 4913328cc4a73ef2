"""Inputs and outputs as our reader sees them, and as the runtime reports them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinymlsec.errors import OracleRejected
from tinymlsec.examples import digits_model
from tinymlsec.target.oracle import OraclePool, TensorDetail, runtime_available
from tinymlsec.target.tflite.graph import Tensor
from tinymlsec.target.tflite.reader import read_model

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])


def agree(tensor: Tensor, detail: TensorDetail) -> None:
    assert tuple(detail.shape) == tensor.shape
    assert np.dtype(detail.dtype).name == tensor.dtype
    quantization = tensor.quantization
    assert np.allclose(detail.scale, quantization.scale if quantization else [], rtol=0, atol=0)
    assert list(detail.zero_point) == (list(quantization.zero_point) if quantization else [])


def compare(data: bytes) -> None:
    graph = read_model(data).main
    with OraclePool() as pool:
        handle = pool.open(data)
        for index, detail in zip(graph.inputs, handle.inputs, strict=True):
            agree(graph.tensors[index], detail)
        for index, detail in zip(graph.outputs, handle.outputs, strict=True):
            agree(graph.tensors[index], detail)


def test_digits() -> None:
    compare(digits_model())


def test_real_models(shared_data: Path) -> None:
    refused = []
    for path in sorted(shared_data.rglob("*.tflite")):
        try:
            compare(path.read_bytes())
        except OracleRejected as error:
            refused.append((path.name, error.message))
    assert [name for name, _ in refused] == ["kws_ref_model_float32.tflite"]
    assert "Hybrid models are not supported" in refused[0][1]
