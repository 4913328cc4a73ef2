"""Real models with one number changed: the finding, and nothing else that the sound model does not have."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from rules.corpus.base import spans
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan.models import run_model_rules
from tinymlsec.target.tflite.reader import read_model

DATA = Path(__file__).parents[3] / "shared" / "data"
KWS = "mlperf_tiny_kws/kws_ref_model.tflite"
AD = "mlperf_tiny_ad/ad01_int8.tflite"


def real(name: str) -> bytes:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    return path.read_bytes()


def found(data: bytes) -> set[tuple[str, str]]:
    return {(f.id, f.message) for f in run_model_rules(data, runtime=load_runtime()) if f.severity.rank > 1}


def changed(
    data: bytes, owner: str, code: str, value: float, *, which: int = 0, kind: str = "scalar", at: int = 0
) -> bytes:
    span = spans(data)[owner, kind][which]
    result = bytearray(data)
    struct.pack_into(f"<{code}", result, span.start + at, value)
    return bytes(result)


def shape_span(data: bytes, tensor: int) -> int:
    """Which of the shape vectors is a tensor's."""
    shape = read_model(data).main.tensors[tensor].shape
    wanted = struct.pack(f"<I{len(shape)}i", len(shape), *shape)
    return next(i for i, s in enumerate(spans(data)["Tensor.shape", "vector"]) if data[s.start : s.end] == wanted)


@pytest.mark.parametrize(
    ("owner", "code", "value", "rule"),
    [
        ("Conv2DOptions.stride_w", "i", 0, "OPT-01"),
        ("Conv2DOptions.stride_h", "i", 0x10000, "OPT-04"),
        ("DepthwiseConv2DOptions.stride_w", "i", -1, "OPT-01"),
        ("DepthwiseConv2DOptions.depth_multiplier", "i", 7, "OPT-13"),
        ("Pool2DOptions.filter_width", "i", 0, "OPT-03"),
        ("Conv2DOptions.fused_activation_function", "b", 9, "OPT-09"),
    ],
)
def test_an_option_of_the_keyword_model(owner: str, code: str, value: int, rule: str) -> None:
    data = real(KWS)
    assert found(data) == set()
    assert {name for name, _ in found(changed(data, owner, code, value))} == {rule}


@pytest.mark.parametrize(("value", "rule"), [(0.0, "QUANT-01"), (float("nan"), "QUANT-01"), (-0.1, "QUANT-01")])
def test_a_scale(value: float, rule: str) -> None:
    data = real(AD)
    assert found(data) == set()
    damaged = changed(data, "QuantizationParameters.scale", "f", value, kind="vector", at=4)
    assert {name for name, _ in found(damaged)} == {rule}


def test_a_declared_output() -> None:
    data = real(AD)
    op = read_model(data).main.operators[0]
    which = shape_span(data, op.outputs[0])
    rules = {name for name, _ in found(changed(data, "Tensor.shape", "i", 64, which=which, kind="vector", at=8))}
    # Converters let tensors share a vector of dimensions: every layer with an output of this shape has another one now.
    assert rules <= {"SHAPE-01", "SHAPE-12"}
    assert "SHAPE-01" in rules
