"""Real numbers: the float32 image classifier, and float borders around integer cores."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from tinymlsec.examples import digits_model  # noqa: E402
from tinymlsec.lift.border import LogitsView, core_entry, forward_from_codes, logits_tensor  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402
from tinymlsec.target.space import input_space  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402
from tinymlsec.target.tflite.float_wrap import wrap_float  # noqa: E402
from tinymlsec.target.tflite.graph import Model  # noqa: E402
from tinymlsec.target.tflite.reader import read_model  # noqa: E402
from tinymlsec.target.tflite.writer import write_model  # noqa: E402

needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
IMAGES = 200


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(1) as made:
        yield made


@pytest.fixture(scope="module")
def digits() -> Model:
    return read_model(digits_model())


def images(archive: Path, count: int) -> NDArray[np.float32]:
    """Every so many images of an archive of JPEG files, 0 to 255."""
    from PIL import Image

    with zipfile.ZipFile(archive) as file:
        names = [name for name in sorted(file.namelist()) if name.endswith(".jpg")]
        chosen = names[:: len(names) // count][:count]
        return np.stack([np.asarray(Image.open(io.BytesIO(file.read(n)))) for n in chosen]).astype(np.float32)


@needs_runtime
def test_float_classifier_equals_the_runtime(pool, shared_data) -> None:  # type: ignore[no-untyped-def]
    data = (shared_data / "mlperf_tiny_ic/pretrainedResnet.tflite").read_bytes()
    x = images(shared_data / "cifar10_jpeg/cifar10_jpeg_test2000.zip", IMAGES)
    expected = pool.open(data).run(x)
    ours = LiftedGraph(read_model(data)).predict(x).reshape(expected.shape)
    assert len(np.unique(expected.argmax(axis=1))) == 10
    worst = (np.abs(ours - expected).max(axis=1) / np.abs(expected).max(axis=1)).max()
    assert worst < 1e-5, f"largest difference {worst:.2g} of the largest output"
    assert np.array_equal(ours.argmax(axis=1), expected.argmax(axis=1))


def test_weights_of_float_layers_can_be_trained(shared_data) -> None:  # type: ignore[no-untyped-def]
    graph = LiftedGraph(read_model((shared_data / "mlperf_tiny_ic/pretrainedResnet.tflite").read_bytes()))
    x = torch.rand(2, 32, 32, 3) * 255
    graph.run(x, {})[0].log().sum().backward()
    assert len(graph.weights()) == 10
    assert all(w.grad is not None and bool(w.grad.abs().sum() > 0) for w in graph.weights().values())


@needs_runtime
def test_float_border_equals_the_runtime(pool: OraclePool, digits: Model) -> None:
    wrapped = wrap_float(digits)
    space = input_space(wrapped)
    codes = np.random.default_rng(2).integers(-128, 128, (50, *space.sample_shape)).astype(np.int8)
    x = space.to_device(codes).reshape(50, *space.shape)
    expected = pool.open(write_model(wrapped)).run(x)
    assert np.array_equal(LiftedGraph(wrapped).predict(x).reshape(expected.shape), expected)


def test_scores_and_gradients_do_not_depend_on_the_border(digits: Model) -> None:
    wrapped = wrap_float(digits)
    space = input_space(digits)
    start = np.random.default_rng(3).integers(-128, 128, (4, *space.sample_shape)).astype(np.float32)
    results = []
    for model in (digits, wrapped):
        codes = torch.from_numpy(start.copy()).requires_grad_()
        scores = LogitsView(LiftedGraph(model), input_space(model))(codes)
        scores.sum().backward()
        results.append((scores.detach(), codes.grad))
    assert results[0][0].shape == (4, 10)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert bool(results[0][1].abs().sum() > 0)


def test_where_attacks_take_hold(digits: Model) -> None:
    wrapped = wrap_float(digits)
    assert core_entry(digits) == core_entry(wrapped) == digits.main.inputs[0]
    softmax = next(op for op in digits.main.operators if op.name == "SOFTMAX")
    assert logits_tensor(digits) == logits_tensor(wrapped) == softmax.inputs[0]


def test_without_a_squashing_end_the_output_is_the_score() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8", 0.25, -3)
    builder.output(builder.op("RELU", [x], scale=0.25, zero_point=-3))
    model = builder.build()
    assert logits_tensor(model) == model.main.outputs[0]
    scores = forward_from_codes(LiftedGraph(model), torch.tensor([[-10.0, -3.0, 1.0, 5.0]]))
    assert scores.tolist() == [[0.0, 0.0, 1.0, 2.0]]


def test_a_squashing_inside_is_not_the_end() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), "float32")
    gate = builder.op("LOGISTIC", [x])
    builder.output(builder.op("MUL", [x, gate], options={}))
    model = builder.build()
    assert logits_tensor(model) == model.main.outputs[0]
