"""The Square attack from target to evidence, on the real runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attacks.attack_targets import Workbench, dataset, detector, float_linear
from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks.evasion._verdict import judge
from tinymlsec.attacks.evasion.square import square
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Control, Metric, VerdictKind
from tinymlsec.target.task import Task, TaskKind
from tinymlsec.target.tflite.float_wrap import wrap_float
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

SMALL = {"samples": 60, "max_queries": 150, "noise_draws": 3}


def metric(observation: Observation, name: str, label: str = "") -> Metric:
    return next(m for m in observation.metrics if m.name == name and m.label == label)


def test_a_model_with_small_margins_is_vulnerable(bench: Workbench) -> None:
    seen = bench.run(square, bench.linear(distance=200), **SMALL)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.EXECUTED
    assert metric(seen, "clean_accuracy").value == 1.0
    success, robust = metric(seen, "attack_success_rate"), metric(seen, "robust_accuracy")
    assert success.value >= 0.9
    assert success.value + robust.value == pytest.approx(1.0)
    assert metric(seen, "perturbation").value == 8.0
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded


def test_the_kept_inputs_are_adversarial_within_eps(bench: Workbench, tmp_path: Path) -> None:
    target = bench.linear(distance=200)
    seen = bench.run(square, target, folder=tmp_path, **SMALL)
    with np.load(tmp_path / seen.artifacts[0].sha256, allow_pickle=False) as kept:
        victim = target.require_victim()
        assert (victim.decisions(victim.scores(kept["adversarial"])) != kept["y"]).all()
        assert np.abs(kept["adversarial"].astype(int) - kept["original"].astype(int)).max() <= 8
        assert target.dataset is not None
        assert (target.dataset.x[kept["sample"]] == kept["original"]).all()
        assert len(kept["y"]) == metric(seen, "perturbation").n


def test_a_model_with_large_margins_is_resistant_given_enough_inputs(bench: Workbench) -> None:
    seen = bench.run(square, bench.linear(distance=1024), **SMALL)
    assert seen.verdict.kind is VerdictKind.RESISTANT
    assert metric(seen, "attack_success_rate").value == 0.0
    assert metric(seen, "queries", "spent in all").value == 60 * 150 == seen.effort.queries
    few = bench.run(square, bench.linear(distance=1024, n=40), **SMALL)
    assert few.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "needs 50" in few.verdict.reason


def test_every_inference_is_accounted_for(bench: Workbench) -> None:
    target = bench.linear(distance=1024, n=50)
    _ = target.clean
    before = bench.pool.inferences
    seen = bench.run(square, target, samples=50, max_queries=20, noise_draws=3, control_samples=10)
    strong_twin, weak = 10 * 20, seen.positive_control
    assert weak is not None
    spent = bench.pool.inferences - before
    # attack, noise, the twins' labels, the strong twin; the weak twin stops early
    known = 50 * 20 + 50 * 3 + 2 * 10 + strong_twin
    assert known + 10 <= spent <= known + 10 * 20
    assert seen.effort.queries == 50 * 20


def test_same_seed_same_observation(bench: Workbench) -> None:
    first, again, other = (bench.run(square, bench.linear(distance=300), seed, **SMALL) for seed in (3, 3, 4))
    assert first == again
    assert first.metrics != other.metrics


def test_wrong_answers_are_not_attacked_and_count_as_not_robust(bench: Workbench) -> None:
    target = bench.linear(distance=1024)
    assert target.dataset is not None
    assert target.dataset.y is not None
    target.dataset.y[:15] ^= 1
    seen = bench.run(square, target, **SMALL)
    assert metric(seen, "clean_accuracy").value == metric(seen, "robust_accuracy").value == 0.75
    assert metric(seen, "attack_success_rate").n == 45


def test_nothing_answered_correctly(bench: Workbench) -> None:
    target = bench.linear(distance=1024, n=20)
    assert target.dataset is not None
    assert target.dataset.y is not None
    target.dataset.y[:] ^= 1
    seen = bench.run(square, target, **SMALL)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "nothing to attack" in seen.verdict.reason


def test_without_labels_the_models_own_answers_count(bench: Workbench) -> None:
    target = bench.linear(distance=200)
    assert target.dataset is not None
    unlabeled = bench.target(target.data, dataset(target.dataset.x, None))
    seen = bench.run(square, unlabeled, **SMALL)
    assert metric(seen, "clean_accuracy").value == 1.0
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert any("no labels" in limit for limit in seen.limits)


def test_the_size_is_halved_while_noise_alone_breaks_too_much(bench: Workbench) -> None:
    # Inputs that one step can move over the border: noise of 8 steps breaks nearly all of them.
    seen = bench.run(square, bench.linear(distance=16), **SMALL)
    assert seen.facts["eps_steps"] < 8
    assert any("reduced from 8" in limit for limit in seen.limits)
    kept = bench.run(square, bench.linear(distance=16), noise_limit=1.0, **SMALL)
    assert kept.facts["eps_steps"] == 8


def test_curves_count_successes_by_queries_and_by_size(bench: Workbench) -> None:
    seen = bench.run(square, bench.linear(distance=200), eps_curve=(2, 4), **SMALL)
    by_queries, by_size = seen.curves
    assert [p.x for p in by_queries.points] == [1, 3, 10, 30, 100, 150]
    assert [p.y for p in by_queries.points] == sorted(p.y for p in by_queries.points)
    assert by_queries.points[-1].y == metric(seen, "attack_success_rate").value
    assert [p.x for p in by_size.points] == [2, 4, 8]
    assert by_size.points[0].y == 0.0 < by_size.points[-1].y  # 2 steps move 128 at most, 200 were needed


@pytest.mark.parametrize("kind", ["float-wrapped", "float", "detection"])
def test_other_spaces_and_tasks(bench: Workbench, kind: str) -> None:
    rng = np.random.default_rng(0)
    if kind == "float-wrapped":
        plain = bench.linear(distance=200)
        assert plain.dataset is not None
        target = bench.target(write_model(wrap_float(read_model(plain.data))), plain.dataset)
        assert target.space is not None
        assert target.space.wrapped
    elif kind == "float":
        x = rng.uniform(-1, 1, (60, 16)).astype(np.float32)
        x += (rng.choice([-0.4, 0.4], 60) - x.sum(axis=1))[:, None].astype(np.float32) / 16
        target = bench.target(float_linear(), dataset(x, (x.sum(axis=1) > 0).astype(np.int64)))
    else:
        x = rng.integers(-20, 20, (60, 16), dtype=np.int8)
        target = bench.target(detector(), dataset(x, None), Task(TaskKind.DETECTION, "test", threshold=0.5))
    seen = bench.run(square, target, **SMALL)
    assert metric(seen, "attack_success_rate").value > 0.5
    assert metric(seen, "perturbation").value <= 8.0


def test_a_stream_is_attacked_over_its_frames(bench: Workbench) -> None:
    """A stateless model behind the interface for streams: the largest output over the steps decides."""
    rng = np.random.default_rng(0)
    x = rng.integers(-12, 9, (55, 4, 16), dtype=np.int8)
    target = bench.target(detector(), dataset(x, None), Task(TaskKind.DETECTION, "test", frames=True, threshold=0.9))
    seen = bench.run(square, target, **SMALL)
    assert metric(seen, "attack_success_rate").value > 0.3
    assert metric(seen, "perturbation").value <= 8.0


def control(kind: str, succeeded: bool) -> Control:
    return Control(kind=kind, twin="twin", succeeded=succeeded, detail="detail")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "n", "noisy", "weak_fell", "strong_stood", "kind"),
    [
        (40, 50, 2, True, True, VerdictKind.VULNERABLE),
        (40, 50, 2, False, False, VerdictKind.VULNERABLE),  # what was executed and confirmed needs no control
        (40, 50, 39, True, True, VerdictKind.INCONCLUSIVE),  # noise does as well
        (6, 50, 0, True, True, VerdictKind.INCONCLUSIVE),  # the interval includes 10 %
        (0, 49, 0, True, True, VerdictKind.INCONCLUSIVE),  # too few
        (0, 50, 0, True, True, VerdictKind.RESISTANT),
        (0, 50, 0, False, True, VerdictKind.INCONCLUSIVE),
        (0, 50, 0, True, False, VerdictKind.INCONCLUSIVE),
        (0, 0, 0, True, True, VerdictKind.INCONCLUSIVE),
    ],
)
def test_the_verdict_rule(
    broken: int, n: int, noisy: int, weak_fell: bool, strong_stood: bool, kind: VerdictKind
) -> None:
    verdict = judge(
        share_of(broken, n), share_of(noisy, n), control("positive", weak_fell), control("negative", strong_stood)
    )
    assert verdict.kind is kind
    assert verdict.reason


def test_kws_as_deployed(bench: Workbench, shared_data: Path) -> None:
    from tinymlsec.loading import Sources, load_target

    folder = shared_data / "mlperf_tiny_kws"
    sources = Sources(model=folder / "kws_ref_model.tflite", data=folder / "kws01.npz")
    seen = bench.run(square, load_target(sources, bench.pool), samples=20, max_queries=100)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert metric(seen, "attack_success_rate").value >= 0.7
    assert seen.facts["not_confirmed"] == 0
