"""Models with state: many steps, several streams at once, equal to the runtime on every output element."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.conformance.cases_state import register  # noqa: E402
from lift.models import streams  # noqa: E402
from tinymlsec.errors import UnsupportedModelError  # noqa: E402
from tinymlsec.lift.border import LogitsView  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402
from tinymlsec.target.space import input_space  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402
from tinymlsec.target.tflite.graph import Model  # noqa: E402
from tinymlsec.target.tflite.reader import read_model  # noqa: E402
from tinymlsec.target.tflite.writer import write_model  # noqa: E402

needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
STEPS = 200


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(1) as made:
        yield made


def accumulator(first: int | None = None) -> Model:
    """Adds its int8 input to what it remembers; starts from `first`, or as the runtime fills the variable."""
    builder = GraphBuilder("accumulator")
    x = builder.input((1, 3), "int8", 0.5, 7)
    if first is not None:
        once = builder.subgraph("first value")
        builder.op_many("CALL_ONCE", [], [], {"init_subgraph_index": once.index})
        value = once.constant(np.full((1, 3), first, np.int8), 0.5, 7)
        once.op_many("ASSIGN_VARIABLE", [once.variable_handle("sum"), value], [])
    handle = builder.variable_handle("sum")
    old = builder.op("READ_VARIABLE", [handle], (1, 3), "int8", 0.5, 7)
    new = builder.op("ADD", [old, x], scale=0.5, zero_point=7)
    builder.op_many("ASSIGN_VARIABLE", [handle, new], [])
    builder.output(new)
    return builder.build()


def lifted(model: Model, x: NDArray[np.generic]) -> NDArray[np.float32]:
    with torch.no_grad():
        result: NDArray[np.float32] = LiftedGraph(model).sequence(torch.from_numpy(x.astype(np.float32))).numpy()
    return result


@needs_runtime
@pytest.mark.parametrize("name", ["alexa", "vad"])
def test_wake_word_models_equal_the_runtime(pool, shared_data, name) -> None:  # type: ignore[no-untyped-def]
    data = (shared_data / f"microwakeword/{name}.tflite").read_bytes()
    x = streams((3, 40), STEPS)
    expected = pool.open(data, stateful=True).run_sequences(x)
    assert len(np.unique(expected)) > 5, "these streams do not move the score"
    assert np.array_equal(lifted(read_model(data), x).reshape(expected.shape), expected)


@needs_runtime
def test_accumulator_equals_the_runtime(pool: OraclePool) -> None:
    x = np.random.default_rng(1).integers(-20, 40, (5, 40, 3)).astype(np.int8)
    expected = pool.open(write_model(accumulator()), stateful=True).run_sequences(x)
    assert np.array_equal(lifted(accumulator(), x).reshape(expected.shape), expected)


@needs_runtime
@pytest.mark.parametrize("number", range(6))
def test_first_values_hold_for_every_stream(pool: OraclePool, number: int) -> None:
    """Each stream is checked on a file of its own: only a newly loaded one starts from the first values."""
    case = register(("int8", "int16", "int32", "float32")[number % 4], np.random.default_rng(number), True)
    shape = case.model.main.tensors[case.model.main.inputs[0]].shape
    x = np.random.default_rng(number).integers(-100, 100, (3, 6, *shape)).astype(case.model.main.tensors[0].dtype)
    expected = [
        pool.open(write_model(replace(case.model, description=f"{number} {k}")), stateful=True).run_sequences(row[None])
        for k, row in enumerate(x)
    ]
    ours = lifted(case.model, x) if x.dtype != np.int32 else _wide(case.model, x)
    assert np.array_equal(ours.reshape(3, -1), np.concatenate(expected).reshape(3, -1))


def _wide(model: Model, x: NDArray[np.generic]) -> NDArray[np.generic]:
    with torch.no_grad():
        result: NDArray[np.generic] = LiftedGraph(model).sequence(torch.from_numpy(x.astype(np.int64))).numpy()
    return result


def test_first_value_counts_and_calls_do_not_leak() -> None:
    x = np.full((2, 4, 3), 9, np.int8)
    assert lifted(accumulator(50), x)[0, :, 0, 0].tolist() == [52, 54, 56, 58]
    graph = LiftedGraph(accumulator(50))
    one = torch.from_numpy(x[:, 0].astype(np.float32))
    assert torch.equal(graph(one), graph(one)), "an inference starts from the initial state"


def test_gradients_reach_earlier_steps() -> None:
    codes = torch.full((2, 5, 3), 8.0, requires_grad=True)
    LiftedGraph(accumulator()).sequence(codes)[:, -1].sum().backward()
    assert codes.grad is not None
    assert torch.allclose(codes.grad, torch.ones_like(codes)), "every step adds one for one"


def test_scores_of_streams(shared_data) -> None:  # type: ignore[no-untyped-def]
    model = read_model((shared_data / "microwakeword/vad.tflite").read_bytes())
    view = LogitsView(LiftedGraph(model), input_space(model))
    codes = torch.from_numpy(streams((3, 40), 30)[:3].astype(np.float32)).requires_grad_()
    scores = view(codes)
    assert scores.shape == (3, 1)
    assert torch.equal(scores, view.every_step(codes).amax(dim=1))
    scores.sum().backward()
    assert codes.grad is not None
    assert int((codes.grad.abs().sum(dim=(0, 2, 3)) > 0).sum()) > 3, "the score depends on several steps"


def test_late_initialization_is_refused() -> None:
    model = accumulator(50)
    order = [*model.main.operators[1:], model.main.operators[0]]
    operators = tuple(replace(op, index=k) for k, op in enumerate(order))
    late = replace(model, subgraphs=(replace(model.main, operators=operators), *model.subgraphs[1:]))
    with pytest.raises(UnsupportedModelError, match=r"CALL_ONCE.*before they are initialized"):
        LiftedGraph(late)


def test_a_variable_that_nothing_assigns_is_refused() -> None:
    model = accumulator()
    operators = tuple(op for op in model.main.operators if op.name != "ASSIGN_VARIABLE")
    with pytest.raises(UnsupportedModelError, match=r"READ_VARIABLE.*never assigned"):
        LiftedGraph(replace(model, subgraphs=(replace(model.main, operators=operators),)))
