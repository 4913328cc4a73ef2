"""ram-residue: what a small layer leaves is found exactly, and a wipe leaves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.attacks._twins import linear_twin
from tinymlsec.attacks.extraction import _residue
from tinymlsec.context import Context
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.registry import EffortLevel, discover
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.device import load_device
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.reader import read_model

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
MODEL = linear_twin(4)


def observe(wiped: str) -> Observation:
    spec = discover().attacks["ram-residue"]
    deployment = Deployment.model_validate({"inference": {"memory_wiped": wiped}})
    target = Target("t", MODEL, read_model(MODEL), device=load_device("stm32l4r5zi"), deployment=deployment)
    config = spec.configure(EffortLevel.QUICK)
    return spec(target, config, Context(np.random.default_rng(1), lambda _: None))  # type: ignore[arg-type, return-value]


@pytest.fixture(scope="module", params=["unknown", "yes"])
def seen(request: pytest.FixtureRequest) -> tuple[str, Observation]:
    return request.param, observe(request.param)


def test_the_verdict_follows_the_wipe(seen: tuple[str, Observation]) -> None:
    wiped, found = seen
    assert found.basis is Basis.SIMULATED
    wanted = VerdictKind.RESISTANT if wiped == "yes" else VerdictKind.VULNERABLE
    assert found.verdict.kind is wanted, found.verdict.reason


def test_both_controls_hold(seen: tuple[str, Observation]) -> None:
    _, found = seen
    assert found.positive_control is not None
    assert found.positive_control.succeeded, found.positive_control.detail
    assert found.negative_control is not None
    assert found.negative_control.succeeded, found.negative_control.detail


def test_the_whole_input_of_the_layer_stays_and_a_restart_clears_it(seen: tuple[str, Observation]) -> None:
    wiped, found = seen
    after, restarted = (metric.value for metric in found.metrics)
    assert (after, restarted) == ((0.0, 0.0) if wiped == "yes" else (1.0, 0.0))
    assert found.facts["outputs_kept"] == ([0.0, 0.0] if wiped == "yes" else [1.0, 1.0])


def test_pieces_are_counted_one_by_one() -> None:
    data = bytes(range(32))
    ram = b"\xff" * 5 + data[:8] + b"\xff" * 3 + data[16:24]
    assert _residue._found([data], ram) == 0.5
    assert _residue._found([data], data) == 1.0
    assert _residue._found([data[:4]], data) == 0.0


def test_outputs_of_zeros_tell_nothing() -> None:
    assert _residue._equal([bytes(4)], [bytes(4)]) == 0.0
    assert _residue._equal([b"\x01\x02\0\0"], [b"\x01\x03\0\0"]) == 0.5


def test_without_a_board_it_is_skipped() -> None:
    with pytest.raises(CapabilityMissing):
        Target("t", MODEL, read_model(MODEL)).twin()
