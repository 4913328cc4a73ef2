"""Runtime skew: what a PC answers rightly and the device wrongly, and LiteRT in its own process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attacks.attack_targets import Workbench, dataset, float_linear
from tinymlsec.attacks.evasion import runtime_skew as module
from tinymlsec.attacks.evasion._tie_twin import tie_inputs, tie_twin
from tinymlsec.attacks.evasion.runtime_skew import runtime_skew
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.target.litert import litert_available, litert_pool
from tinymlsec.target.target import Target

torch = pytest.importorskip("torch", reason="the lift needs PyTorch")
needs_litert = pytest.mark.skipif(not litert_available(), reason="LiteRT is not installed")

SMALL: dict[str, Any] = {"samples": 60, "eps_steps": 1, "noise_draws": 3, "rounds": 10, "noise_limit": 1.0}


def ties(bench: Workbench, n: int = 60) -> Target:
    x = tie_inputs(np.random.default_rng(2), n)
    return bench.target(tie_twin(), dataset(x, np.zeros(n, np.int64)))


def by_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_litert", lambda *arguments: None)


def test_a_model_with_scores_on_halves_is_skewed(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    by_profile(monkeypatch)
    seen = bench.run(runtime_skew, ties(bench), **SMALL)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.SIMULATED
    assert seen.facts["pc"] == {"xnnpack": "profile", "ruy": "profile"}
    assert any("simulated by its profile" in limit for limit in seen.limits)


@needs_litert
def test_litert_itself_confirms_where_it_is_installed(bench: Workbench) -> None:
    seen = bench.run(runtime_skew, ties(bench), **SMALL)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.EXECUTED
    assert seen.facts["confirmed"] == seen.facts["found"] > 30
    assert seen.facts["pc"]["xnnpack"] == "LiteRT"


def test_a_model_that_runtimes_compute_alike_is_resistant(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    by_profile(monkeypatch)
    seen = bench.run(runtime_skew, bench.linear(distance=1024), **SMALL)
    assert seen.verdict.kind is VerdictKind.RESISTANT
    assert seen.facts["crossed_the_border"] == 0
    assert {m.value for m in seen.metrics if m.name == "fidelity"} == {1.0}


def test_same_seed_same_observation(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    by_profile(monkeypatch)
    first, again = (bench.run(runtime_skew, ties(bench), 4, **SMALL) for _ in range(2))
    assert first == again


def test_floating_point_is_not_examined(bench: Workbench) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (20, 16)).astype(np.float32)
    seen = bench.run(runtime_skew, bench.target(float_linear(), dataset(x, (x.sum(1) > 0).astype(np.int64))))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE


def test_bisection_ends_at_two_points_that_differ_in_one_value(bench: Workbench) -> None:
    from tinymlsec.attacks._white_box import white_box
    from tinymlsec.attacks.evasion._skew_search import first_wrong

    box, x = white_box(bench.victim_of(tie_twin())), tie_inputs(np.random.default_rng(0), 30)
    labels = np.zeros(30, np.int64)
    near = first_wrong(box, x, (x - 1).astype(np.int8), labels, np.random.default_rng(1))
    assert (box.decide(near) == 1).all()
    changed = near != x
    for row in range(30):
        back = np.repeat(near[row : row + 1], int(changed[row].sum()), axis=0)
        back[np.arange(len(back)), np.flatnonzero(changed[row])] += 1
        assert (box.decide(back) == 0).any()


@needs_litert
@pytest.mark.parametrize(("profile", "score"), [("xnnpack", 0), ("ruy", 0)])
def test_litert_rounds_a_negative_half_upwards(bench: Workbench, profile: str, score: int) -> None:
    x = np.zeros((1, 16), np.int8)
    x[0, 0] = -2
    assert bench.victim_of(tie_twin()).raw(x).ravel()[0] == -1
    with litert_pool(profile) as pool:
        assert pool.open(tie_twin()).run(x).ravel()[0] == score


@needs_litert
def test_a_broken_file_is_refused_by_the_worker_of_litert() -> None:
    from tinymlsec.errors import OracleError

    with litert_pool("xnnpack") as pool, pytest.raises(OracleError):
        pool.open(tie_twin()[:200])
