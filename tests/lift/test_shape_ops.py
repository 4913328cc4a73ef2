"""Operators that move values: what gradients do, and what is refused and how. Equality is in `test_conformance.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.conformance.cases_shapes import MAKERS  # noqa: E402
from tinymlsec.errors import UnsupportedModelError  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.lift.ops import support_table  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402
from tinymlsec.target.tflite.graph import Model  # noqa: E402


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"SHAPE"}))
def test_gradients_go_back_to_where_values_came_from(name: str) -> None:
    """The gradient counts how often each input is in the output, for inputs whose codes are all different."""
    model = MAKERS[name](np.random.default_rng(11), "int16").model
    graph = LiftedGraph(model)
    count = int(np.prod(graph.input.shape))
    codes = (torch.arange(count, dtype=torch.float32) + 20000).reshape(1, *graph.input.shape).requires_grad_()
    output = graph(codes)
    output.sum().backward()
    times = [(output == value).sum().item() for value in codes.detach().reshape(-1)]
    assert codes.grad is not None
    assert codes.grad.reshape(-1).tolist() == times
    assert sum(times) > 0


def concatenation_of_two_scales(builder: GraphBuilder, x: int) -> int:
    other = builder.constant(np.zeros((1, 2), np.int8), 0.25, 0)
    return builder.op("CONCATENATION", [x, other], options={"axis": 1})


def concatenation_with_activation(builder: GraphBuilder, x: int) -> int:
    return builder.op("CONCATENATION", [x, x], options={"axis": 1, "fused_activation_function": "RELU"})


def slice_with_new_axis(builder: GraphBuilder, x: int) -> int:
    ends = [builder.ints(0, 0), builder.ints(1, 2), builder.ints(1, 1)]
    return builder.op("STRIDED_SLICE", [x, *ends], (1, 1, 2), options={"new_axis_mask": 1})


def slice_backwards_of_one(builder: GraphBuilder, x: int) -> int:
    ends = [builder.ints(0, 1), builder.ints(1, 0), builder.ints(1, -1)]
    return builder.op("STRIDED_SLICE", [x, *ends], (1,), options={"shrink_axis_mask": 2})


def computed_slice(builder: GraphBuilder, x: int) -> int:
    sizes = builder.op("SHAPE", [x], dtype="int32", options={"out_type": "int32"})
    return builder.op("STRIDED_SLICE", [x, builder.ints(0, 0), sizes, builder.ints(1, 1)], (1, 2))


def recurrent(builder: GraphBuilder, x: int) -> int:
    features, taps = builder.constant(np.ones((2, 2), np.int8), 0.5), builder.constant(np.ones((2, 3), np.int16), 0.5)
    state = builder.variable((1, 6), "int16", 0.5)
    return builder.op("SVDF", [x, features, taps, -1, state], (1, 2), options={"rank": 1})


def own_operator(builder: GraphBuilder, x: int) -> int:
    return builder.op("SignalWindow", [x], (1, 2), custom_options=b"")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (concatenation_of_two_scales, "CONCATENATION.*another scale"),
        (concatenation_with_activation, "CONCATENATION.*fused activation"),
        (slice_with_new_axis, "STRIDED_SLICE.*new axis"),
        (slice_backwards_of_one, "STRIDED_SLICE.*stride -1"),
        (computed_slice, "STRIDED_SLICE.*computed at run time"),
        (recurrent, "SVDF.*not covered"),
        (own_operator, "SignalWindow.*not covered"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_refusals_name_the_operator_and_what_still_works(make: Callable[[GraphBuilder, int], int], words: str) -> None:
    builder = GraphBuilder()
    builder.output(make(builder, builder.input((1, 2), "int8", 0.5, 0)))
    with pytest.raises(UnsupportedModelError, match=words) as caught:
        LiftedGraph(builder.build())
    assert "list ops" in str(caught.value)
    assert "runtime still work" in str(caught.value)


def test_a_type_without_a_row_is_named() -> None:
    builder = GraphBuilder()
    x = builder.input((2, 2), "int32")
    builder.output(builder.op("TRANSPOSE", [x, builder.ints(1, 0)]))
    with pytest.raises(UnsupportedModelError, match=r"TRANSPOSE.*types int32"):
        LiftedGraph(builder.build())


def test_samples_that_share_a_constant_are_joined() -> None:
    """Constants have one row for all samples; joining them to many samples must not need more."""
    model = _constant_beside_the_input()
    output = LiftedGraph(model)(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert output.tolist() == [[[1, 2, 9]], [[3, 4, 9]]]


def _constant_beside_the_input() -> Model:
    builder = GraphBuilder()
    x = builder.input((1, 2), "int8", 0.5, 0)
    nine = builder.constant(np.array([[9]], np.int8), 0.5, 0)
    builder.output(builder.op("CONCATENATION", [x, nine], options={"axis": 1}))
    return builder.build()


def run(code: str) -> subprocess.CompletedProcess[str]:
    start = "import sys; from tinymlsec.cli import main; "
    return subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120, check=False
    )


def test_list_ops_prints_the_support_table() -> None:
    done = run("main(['list', 'ops', '--format', 'json'])")
    assert done.returncode == 0, done.stderr
    rows = {(row["operator"], row["types"], row["options"]) for row in json.loads(done.stdout)}
    assert rows == {(row.op, row.types, row.options) for rows in support_table().values() for row in rows}


def test_list_ops_without_torch_says_how_to_get_it() -> None:
    done = run("sys.modules['torch'] = None; main(['list', 'ops'])")
    assert done.returncode == 2
    assert "tinymlsec[lift]" in done.stderr


@pytest.mark.parametrize("what", ["attacks", "threats", "devices", "defenses"])
def test_other_lists_do_not_load_torch(what: str) -> None:
    done = run(f"import atexit; atexit.register(lambda: print('torch' in sys.modules)); main(['list', '{what}'])")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "False"
