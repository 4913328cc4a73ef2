"""Bounds of what a model needs, against what the real runtime needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.corpus.one_op import CONV, DENSE, POOL, SVDF
from rules.corpus.resources import relu
from tinymlsec.errors import OracleCrash, OracleRejected
from tinymlsec.rules._resource_sums import arena_lower_bound, multiplications
from tinymlsec.target.oracle import OraclePool, runtime_available
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.reader import read_model

DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = (
    "mlperf_tiny_kws/kws_ref_model.tflite",
    "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "mlperf_tiny_ad/ad01_int8.tflite",
    "mlperf_tiny_vww/vww_96_int8.tflite",
    "tflm_hello_world/hello_world_int8.tflite",
    "tflm_micro_speech/micro_speech_quantized.tflite",
)
KNOWN_MACS = {
    "mlperf_tiny_kws/kws_ref_model.tflite": 2_656_768,
    "mlperf_tiny_ad/ad01_int8.tflite": 264_192,
}
"""Counted by hand from the layers: kws has a 10x4x1 convolution to 25x5x64, four pairs of 3x3 depthwise and 1x1
convolutions, and 64x12; ad has ten dense layers."""


def real(name: str) -> bytes:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    return path.read_bytes()


def refused_below(data: bytes) -> None:
    bound, _ = arena_lower_bound(read_model(data))
    assert bound > 0
    with OraclePool(1) as pool:
        # Where not even its own records fit, the runtime does not refuse but dies.
        with pytest.raises((OracleRejected, OracleCrash)):
            pool.open(data, arena_size=bound - 1)
        pool.open(data)  # and it is the arena that was too small


needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])


@needs_runtime
@pytest.mark.parametrize("name", REAL)
def test_no_arena_below_the_bound_is_enough_for_a_real_model(name: str) -> None:
    refused_below(real(name))


@needs_runtime
@pytest.mark.parametrize("model", [CONV, DENSE, POOL, SVDF, relu(1, 200, 200)], ids=lambda model: model.name)
def test_no_arena_below_the_bound_is_enough(model) -> None:
    refused_below(model.file())


def test_only_what_lives_together_counts() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 100), "int8", scale=1.0)
    wide = builder.op("RELU", [x], shape=(1, 1000))
    narrow = builder.op("RELU", [wide], shape=(1, 10))
    last = builder.op("ADD", [narrow, x], shape=(1, 100), options={})
    builder.output(last)
    # At the second operator: its input, its output, and the model's input, which the third reads.
    assert arena_lower_bound(builder.build()) == (1000 + 10 + 100, 1)


def test_a_model_without_operators_needs_nothing() -> None:
    assert arena_lower_bound(GraphBuilder().build()) == (0, 0)


@pytest.mark.parametrize("name", sorted(KNOWN_MACS))
def test_multiplications(name: str) -> None:
    graph = read_model(real(name)).main
    assert sum(multiplications(graph, op) for op in graph.operators) == KNOWN_MACS[name]
