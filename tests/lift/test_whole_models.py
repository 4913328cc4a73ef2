"""Whole models against the runtime: every output element, also with changed weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.models import FILES, load, random_codes, small_network  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402
from tinymlsec.target.tflite.edit import flip_bits, patch_tensor, tensor_bytes  # noqa: E402
from tinymlsec.target.tflite.reader import read_model  # noqa: E402

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
BRIEF = {"kws": 60, "ic": 24, "vww": 6, "ad": 128, "micro_speech": 64, "hello_world": 256}
FULL = {"kws": 1000, "ic": 2000, "vww": 256, "ad": 256, "micro_speech": 256, "hello_world": 256}


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(2) as made:
        yield made


def assert_equal(content: bytes, codes: np.ndarray, pool: OraclePool) -> np.ndarray:
    """Every element of every output; returns the outputs."""
    theirs = pool.open(content).run(codes)
    ours = LiftedGraph(read_model(content)).predict(codes)
    np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)
    return theirs


@pytest.mark.parametrize("name", FILES)
def test_real_models(name: str, shared_data: Path, pool: OraclePool) -> None:
    _, content, codes = load(shared_data, name, BRIEF[name])
    assert np.unique(assert_equal(content, codes, pool)).size > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_real_models_in_full(name: str, shared_data: Path, pool: OraclePool) -> None:
    _, content, codes = load(shared_data, name, FULL[name])
    assert len(codes) == FULL[name]
    assert_equal(content, codes, pool)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["kws", "ic", "ad"])
def test_real_models_with_changed_weights(name: str, seed: int, shared_data: Path, pool: OraclePool) -> None:
    model, content, codes = load(shared_data, name, 32)
    rng = np.random.default_rng(seed)
    for tensor in LiftedGraph(model).weights():
        info = read_model(content).main.tensors[tensor]
        values = rng.integers(-128, 128, info.shape).astype(np.int8)
        content = patch_tensor(content, read_model(content), 0, tensor, values, allow_shared=True)
    assert_equal(content, codes, pool)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_of_weights_and_biases(seed: int, pool: OraclePool) -> None:
    model = read_model(small_network(seed).tobytes())
    content = small_network(seed).tobytes()
    rng = np.random.default_rng(seed)
    constants = [
        i for op in model.main.operators for i in op.inputs if len(model.buffers[model.main.tensors[i].buffer].data)
    ]
    for tensor in constants:
        info = model.main.tensors[tensor]
        if info.quantization is not None:  # the shape of RESHAPE is none of ours
            start, length = tensor_bytes(model, 0, tensor)
            content = flip_bits(content, 8 * start + rng.integers(0, 8 * length, 3))
    assert_equal(content, random_codes(model, 40, seed), pool)


def test_weights_written_into_the_graph_give_the_changed_file(pool: OraclePool) -> None:
    """What an attacker or a trainer does: set parameters, refresh, and write the same values into the file."""
    content = small_network().tobytes()
    model = read_model(content)
    graph, codes = LiftedGraph(model), random_codes(model, 50)
    before = graph.predict(codes)
    rng = np.random.default_rng(5)
    for tensor, parameter in graph.weights().items():
        values = rng.integers(-128, 128, tuple(parameter.shape)).astype(np.int8)
        parameter.data.copy_(torch.from_numpy(values.astype(np.float32)))
        content = patch_tensor(content, read_model(content), 0, tensor, values)
    graph.refresh()
    after = graph.predict(codes)
    assert (before != after).any()
    np.testing.assert_array_equal(after, pool.open(content).run(codes).reshape(after.shape))


def test_latent_weights_between_integers_act_as_the_nearest() -> None:
    model = read_model(small_network().tobytes())
    graph, codes = LiftedGraph(model), random_codes(model, 20)
    exact = graph.predict(codes)
    for parameter in graph.weights().values():
        parameter.data.add_(torch.empty_like(parameter).uniform_(-0.49, 0.49))
    graph.refresh()
    np.testing.assert_array_equal(graph.predict(codes), exact)


def test_batches_and_kept_tensors_do_not_change_results() -> None:
    model = read_model(small_network().tobytes())
    graph, codes = LiftedGraph(model), random_codes(model, 23)
    whole = graph.predict(codes, batch=23)
    np.testing.assert_array_equal(graph.predict(codes, batch=5), whole)
    every = [index for op in model.main.operators for index in op.outputs]
    output, kept = graph(graph.as_input(codes), keep=every)
    np.testing.assert_array_equal(output.detach().numpy(), whole)
    assert set(kept) == set(every)
    later = graph.main({every[1]: kept[every[1]], every[0]: kept[every[0]]}, {}, (graph.output.index,))
    np.testing.assert_array_equal(later[graph.output.index].detach().numpy(), whole)
    assert every[2] not in later


def test_gradients_reach_inputs_weights_and_biases() -> None:
    model = read_model(small_network().tobytes())
    graph = LiftedGraph(model)
    codes = graph.as_input(random_codes(model, 8)).requires_grad_()
    graph(codes)[:, 0, 0].sum().backward()
    assert codes.grad is not None
    assert (codes.grad[2:] != 0).any()
    assert {name for name, p in graph.named_parameters() if p.grad is not None and (p.grad != 0).any()} == {
        name for name, _ in graph.named_parameters()
    }


def test_gradient_points_uphill() -> None:
    """A step along the gradient raises an output that is not at its end yet, far more than a random step does."""
    model = read_model(small_network(2).tobytes())
    graph = LiftedGraph(model)
    codes = graph.as_input(np.random.default_rng(0).integers(-100, 100, (64, 8, 8, 2)).astype(np.int8)).requires_grad_()
    score = graph(codes)[:, 0, 1]
    (gradient,) = torch.autograd.grad(score.sum(), codes)
    generator = torch.Generator().manual_seed(0)
    random = torch.randint(0, 2, codes.shape, generator=generator) * 2 - 1
    with torch.no_grad():
        along, aside = (graph(codes + 4 * step)[:, 0, 1] - score for step in (gradient.sign(), random))
    assert along.mean() > 3 * aside.abs().mean()
    assert (along[score < 127] > 0).float().mean() > 0.9
