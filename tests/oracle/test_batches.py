"""Batches: equal to the runtime called in-process, however they are cut and whoever runs them."""

from __future__ import annotations

import numpy as np
import pytest

from oracle.oracle_models import relu, sine, sum_and_relu
from tinymlsec.errors import InputError, UsageError
from tinymlsec.target.oracle import Limits, OraclePool

REAL = [
    "mlperf_tiny_kws/kws_ref_model.tflite",
    "mlperf_tiny_ad/ad01_int8.tflite",
    "mlperf_tiny_ic/pretrainedResnet.tflite",
    "tflm_hello_world/hello_world_int8.tflite",
    "tflm_micro_speech/micro_speech_quantized.tflite",
]


def inputs(detail, count, seed=0):
    rng = np.random.default_rng(seed)
    if detail.dtype == "float32":
        return rng.normal(size=(count, *detail.shape)).astype(np.float32)
    bounds = np.iinfo(detail.dtype)
    return rng.integers(bounds.min, bounds.max + 1, (count, *detail.shape)).astype(detail.dtype)


def test_batch_equals_one_by_one_and_mathematics(pool):
    handle = pool.open(sine())
    x = np.linspace(0, 6.28, 200, dtype=np.float32).reshape(-1, 1, 1)
    batch = handle.run(x)
    assert batch.shape == (200, 1)
    assert np.array_equal(batch, np.concatenate([handle.run(row[None]) for row in x]))
    assert np.abs(batch[:, 0] - np.sin(x[:, 0, 0])).max() < 0.2


@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 500])
def test_two_workers_equal_one(pool, pair, count):
    x = np.linspace(-3, 9, count, dtype=np.float32).reshape(-1, 1)
    assert np.array_equal(pool.open(sine()).run(x), pair.open(sine()).run(x))


@pytest.mark.parametrize("name", REAL)
def test_worker_equals_the_runtime_itself(pair, real_model, name):
    from tflite_micro import runtime  # these files are known to be harmless, so here it may run in this process

    data = real_model(name)
    handle, direct = pair.open(data), runtime.Interpreter.from_bytes(data)
    x = inputs(handle.inputs[0], 40)
    expected = []
    for row in x:
        direct.set_input(row, 0)
        direct.invoke()
        expected.append(direct.get_output(0))
    assert np.array_equal(handle.run(x), np.stack(expected).reshape(40, *handle.outputs[0].sample_shape))


def test_output_without_batch_dimension_and_int16_input(pool, real_model):
    handle = pool.open(real_model("tflm_micro_speech/audio_preprocessor_int8.tflite"), stateful=True)
    assert (handle.inputs[0].dtype, handle.inputs[0].shape, handle.outputs[0].shape) == ("int16", (1, 480), (40,))
    assert handle.run(np.zeros((3, 480), np.int16)).shape == (3, 40)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 3), (1, 2, 3)])
def test_shapes(pool, shape):
    handle = pool.open(relu(*shape))
    x = inputs(handle.inputs[0], 5)
    result = handle.run(x)
    assert result.shape == (5, *(shape[1:] if len(shape) > 1 and shape[0] == 1 else shape))
    assert np.array_equal(result.reshape(x.shape), np.maximum(x, 0))


def test_leading_one_may_be_left_out(pool):
    handle = pool.open(relu(1, 3))
    x = inputs(handle.inputs[0], 4)
    assert np.array_equal(handle.run(x), handle.run(x[:, 0]))


def test_several_inputs_and_outputs(pair):
    handle = pair.open(sum_and_relu(1, 4))
    a, b = inputs(handle.inputs[0], 50, 1), inputs(handle.inputs[1], 50, 2)
    total, positive = handle.run_all([a, b])
    assert np.array_equal(total, (a + b)[:, 0])
    assert np.array_equal(positive, np.maximum(a, 0)[:, 0])
    with pytest.raises(UsageError, match="one input"):
        handle.run(a)


def test_large_inputs_and_outputs_do_not_block_each_other(pair):
    handle = pair.open(relu(1, 300_000))
    x = inputs(handle.inputs[0], 30)
    assert np.array_equal(handle.run(x), np.maximum(x, 0)[:, 0])


def test_nothing_in_nothing_out(pool):
    assert pool.open(relu(1, 3)).run(np.zeros((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize(
    ("x", "found", "expected"),
    [
        (np.zeros((2, 3), np.float64), "float64", "float32"),
        (np.zeros((2, 3), np.int8), "int8", "float32"),
        (np.zeros((2, 3), ">f4"), ">f4", "float32"),
        (np.zeros((2, 4), np.float32), "(2, 4)", "(n, 1, 3) or (n, 3)"),
        (np.zeros(3, np.float32), "(3,)", "(n, 1, 3) or (n, 3)"),
    ],
)
def test_inputs_that_do_not_fit(pool, x, found, expected):
    with pytest.raises(InputError) as caught:
        pool.open(relu(1, 3)).run(x)
    assert (caught.value.found, caught.value.expected) == (found, expected)


def test_progress_adds_up(pair):
    seen: list[int] = []
    handle = pair.open(sine())
    handle.run(np.zeros((1000, 1), np.float32), seen.append)
    assert sum(seen) == 1000
    assert min(seen) > 0


def test_many_variants_through_few_interpreters():
    with OraclePool(2, Limits(models_per_worker=2)) as pool:
        handles = [pool.open(relu(1, k)) for k in range(1, 7)]
        for _ in range(2):
            for k, handle in enumerate(handles, start=1):
                x = np.full((64, k), -1.0, np.float32)
                assert handle.run(x).shape == (64, k)
        assert pool.open(relu(1, 3)).outputs == handles[2].outputs
        assert pool.restarts == 0
        assert all(len(w.loaded) <= 2 for w in pool._slots if w is not None)


def test_outputs_of_a_call_are_bounded():
    with OraclePool(1, Limits(result_bytes=1000)) as pool, pytest.raises(UsageError, match="outputs of this batch"):
        pool.open(relu(1, 10)).run(np.zeros((26, 10), np.float32))
