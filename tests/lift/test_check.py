"""The self-check: equal graphs pass, a wrong operator is named, and what cannot be lifted is refused by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.models import random_codes, small_network  # noqa: E402
from tinymlsec.capabilities import Capability  # noqa: E402
from tinymlsec.errors import CapabilityMissing  # noqa: E402
from tinymlsec.lift import coverage  # noqa: E402
from tinymlsec.lift.check import RANDOM, check_exactness, probe_codes  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.lift.lifted import lifted_for, require_lifted  # noqa: E402
from tinymlsec.lift.ops import support_table  # noqa: E402
from tinymlsec.lift.rescale import Rescale  # noqa: E402
from tinymlsec.loading import Sources, load_target  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402
from tinymlsec.target.space import input_space  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402
from tinymlsec.target.tflite.cut import cut_model  # noqa: E402
from tinymlsec.target.tflite.reader import read_model  # noqa: E402

needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(1) as made:
        yield made


def unliftable() -> bytes:
    builder = GraphBuilder("one operator that is not lifted")
    x = builder.input((1, 4), "float32")
    builder.output(builder.op("FLOOR", [x]))
    return builder.tobytes()


def test_names_of_operators_are_those_of_the_tables() -> None:
    assert set(support_table()) == coverage.OPERATORS


def test_probes_hold_random_codes_corners_and_the_users_data() -> None:
    space = input_space(small_network().build())
    given = np.full((5, 8, 8, 2), 17, np.int8)
    probes = probe_codes(space, given)
    assert probes.shape == (RANDOM + 4 + 5, 8, 8, 2)
    assert probes.dtype == np.int8
    corners = probes[RANDOM : RANDOM + 4].reshape(4, -1)
    assert [row[:3].tolist() for row in corners] == [[-128] * 3, [127] * 3, [-128, 127, -128], [127, -128, 127]]
    assert (probes[-5:] == 17).all()
    assert np.unique(probes[:RANDOM]).size > 250


def test_probes_of_streams_have_steps() -> None:
    space = input_space(small_network().build())
    assert probe_codes(space, np.zeros((3, 9, 8, 8, 2), np.int8), frames=True).shape == (RANDOM + 4 + 3, 4, 8, 8, 2)


@needs_runtime
def test_an_exact_graph_passes(pool: OraclePool) -> None:
    target = load_target(Sources(model=small_network().tobytes()), pool)
    assert {Capability.GRADIENTS, Capability.LOGITS} <= target.capabilities
    assert target.exactness is None
    lifted = target.lifted
    assert lifted.exactness.exact
    assert lifted.exactness.inputs == RANDOM + 4
    assert target.exactness == lifted.exactness
    assert lifted.graph is target.lifted.graph


@needs_runtime
@pytest.mark.parametrize("broken", [0, 1, 4])
def test_the_first_wrong_operator_is_named(broken: int, pool: OraclePool) -> None:
    """An error in one operator spreads to all later ones; only the first is to blame."""
    content = small_network().tobytes()
    model = read_model(content)
    graph = LiftedGraph(model)
    rescale = next(module for module in graph.main.ops[broken].modules() if isinstance(module, Rescale))
    rescale.offset += 1  # one code too high
    result = check_exactness(graph, pool.open(content), random_codes(model, 12))
    assert not result.exact
    assert result.first is not None
    operator = model.main.operators[broken]
    assert (result.first.operator, result.first.name, result.first.largest) == (broken, operator.name, 1)
    assert result.first.tensor == operator.outputs[0]
    assert f"operator {broken} ({operator.name})" in result.words


@needs_runtime
def test_an_inexact_graph_is_not_handed_out(pool: OraclePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rescale, "staircase", lambda self, sums: sums.to(torch.float64) * 0 + self.zero_point)
    monkeypatch.setattr("tinymlsec.lift.rescale.proven", lambda *_: True)
    target = load_target(Sources(model=small_network().tobytes()), pool)
    with pytest.raises(CapabilityMissing, match=r"operator 0 \(CONV_2D\) is the first to differ"):
        _ = target.lifted
    assert target.exactness is not None
    assert target.exactness.lifted
    assert not target.exactness.exact
    with pytest.raises(CapabilityMissing):
        require_lifted(target.require_victim())


@needs_runtime
def test_a_cut_model_gives_the_intermediate_tensor(pool: OraclePool) -> None:
    model = small_network().build()
    codes = random_codes(model, 6)
    graph = LiftedGraph(model)
    tensors = [index for op in model.main.operators for index in op.outputs]
    with torch.no_grad():
        kept = graph(graph.as_input(codes), keep=tensors)[1]
    for tensor in tensors:
        theirs = pool.open(cut_model(model, tensor)).run(codes)
        np.testing.assert_array_equal(kept[tensor].numpy().reshape(theirs.shape), theirs)


@needs_runtime
def test_what_is_not_lifted_is_refused_by_name(pool: OraclePool) -> None:
    target = load_target(Sources(model=unliftable()), pool)
    assert Capability.GRADIENTS not in target.capabilities
    assert "FLOOR" in target.why_missing(Capability.GRADIENTS)
    graph, exactness = lifted_for(target.require_victim())
    assert graph is None
    assert not exactness.exact
    assert "FLOOR" in exactness.words
    with pytest.raises(CapabilityMissing, match="FLOOR"):
        _ = target.lifted


@needs_runtime
def test_without_pytorch_the_target_says_how_to_install_it(pool: OraclePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "find_spec", lambda name: None)
    target = load_target(Sources(model=small_network().tobytes()), pool)
    assert Capability.GRADIENTS not in target.capabilities
    assert Capability.SCORES in target.capabilities
    assert "pip install 'tinymlsec[lift]'" in target.why_missing(Capability.GRADIENTS)


def test_planning_imports_no_pytorch() -> None:
    import subprocess

    code = (
        "import sys; from tinymlsec.lift.coverage import obstacle; import tinymlsec.target.target, tinymlsec.exactness;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_runtime
@pytest.mark.parametrize("name", ["mlperf_tiny_ic/pretrainedResnet.tflite", "microwakeword/alexa.tflite"])
def test_float_and_streaming_models(name: str, shared_data: Path, pool: OraclePool) -> None:
    target = load_target(Sources(model=shared_data / name), pool)
    assert target.lifted.exactness.exact
