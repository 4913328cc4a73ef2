"""PGD from target to evidence, and its search: points stay in the ball, successes hold on the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacks.attack_targets import Workbench, dataset, detector, float_linear
from tinymlsec.attacks.evasion.pgd import pgd
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Metric, VerdictKind
from tinymlsec.registry import EffortLevel
from tinymlsec.target.task import Task, TaskKind
from tinymlsec.target.tflite.float_wrap import wrap_float
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

torch = pytest.importorskip("torch", reason="the lift needs PyTorch")

SMALL: dict[str, Any] = {"samples": 60, "steps": 10, "noise_draws": 3, "masking_inputs": 5, "masking_draws": 16}


def metric(observation: Observation, name: str, label: str = "") -> Metric:
    return next(m for m in observation.metrics if m.name == name and m.label == label)


def test_a_model_with_small_margins_is_vulnerable_and_every_success_is_confirmed(bench: Workbench) -> None:
    seen = bench.run(pgd, bench.linear(distance=200), **SMALL)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.EXECUTED
    assert metric(seen, "attack_success_rate").value == 1.0
    assert metric(seen, "robust_accuracy").value == 0.0
    assert seen.facts["disagreements_with_runtime"] == 0 < seen.facts["compared_with_runtime"]
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded


def test_accuracy_falls_over_size_exactly_where_it_must(bench: Workbench) -> None:
    # 64 values: size s moves the score by 64 s; 230 are needed. In L2, all 64 values by 4 are a length of 32.
    seen = bench.run(pgd, bench.linear(distance=230), eps_curve=(1, 3, 4), l2_curve=(16.0, 24.0, 32.0), **SMALL)
    linf, l2 = seen.curves
    assert [(p.x, p.y) for p in linf.points] == [(0, 1), (1, 1), (3, 1), (4, 0), (8, 0)]
    assert [(p.x, p.y) for p in l2.points] == [(0, 1), (16, 1), (24, 1), (32, 0)]


def test_the_kept_inputs_are_adversarial_within_eps(bench: Workbench, tmp_path: Path) -> None:
    target = bench.linear(distance=100)
    seen = bench.run(pgd, target, folder=tmp_path, **SMALL)
    with np.load(tmp_path / seen.artifacts[0].sha256, allow_pickle=False) as kept:
        victim = target.require_victim()
        assert (victim.decisions(victim.scores(kept["adversarial"])) != kept["y"]).all()
        change = np.abs(kept["adversarial"].astype(int) - kept["original"].astype(int)).reshape(len(kept["y"]), -1)
        assert (change.max(axis=1) <= kept["size"]).all()


def test_a_model_with_large_margins_is_resistant_after_a_check_without_gradients(bench: Workbench) -> None:
    seen = bench.run(pgd, bench.linear(distance=1024), l2_curve=(), **SMALL)
    assert seen.verdict.kind is VerdictKind.RESISTANT
    assert seen.facts["masking"]["checked"]
    assert seen.facts["masking"]["tried"] == 5
    few = bench.run(pgd, bench.linear(distance=1024, n=40), l2_curve=(), **SMALL)
    assert few.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "needs 50" in few.verdict.reason


def test_masked_gradients_are_found_out(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinymlsec.attacks import _white_box

    honest = _white_box.WhiteBox._ask

    def misleading(self: Any, codes: Any, labels: Any, loss: Any) -> Any:
        answers = honest(self, codes, labels, loss)
        if answers.gradient is None or self.space.scale != 1.0 or len(labels) < 30:  # the twins' gradients stay
            return answers
        return _white_box.Answers(answers.margins, answers.wrong, -answers.gradient)

    monkeypatch.setattr(_white_box.WhiteBox, "_ask", misleading)
    config = SMALL | {"masking_inputs": 60, "eps_curve": (), "l2_curve": (), "restarts": 1}
    seen = bench.run(pgd, bench.linear(distance=200), **config)
    assert seen.facts["masking"]["fell_to_measured_slopes"] > 50
    assert seen.verdict.kind is VerdictKind.VULNERABLE  # what falls without gradients has fallen


def test_a_few_inputs_that_fall_without_gradients_forbid_resistant() -> None:
    from tinymlsec.attacks.evasion._masking import MaskingCheck

    def check(fell: int) -> MaskingCheck:
        fallen = np.arange(20) < fell
        return MaskingCheck(np.arange(20), np.zeros((20, 4), np.int8), fallen, np.zeros(20, bool))

    assert not check(1).masked
    assert check(2).masked


def test_same_seed_same_observation(bench: Workbench) -> None:
    config = SMALL | {"restarts": 3, "eps_curve": (2, 3)}
    first, again = (bench.run(pgd, bench.linear(distance=180), 3, **config) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("kind", ["float-wrapped", "float", "detection", "anomaly"])
def test_other_spaces_and_tasks(bench: Workbench, kind: str) -> None:
    rng = np.random.default_rng(0)
    if kind == "float-wrapped":
        plain = bench.linear(distance=200)
        assert plain.dataset is not None
        target = bench.target(write_model(wrap_float(read_model(plain.data))), plain.dataset)
    elif kind == "float":
        x = rng.uniform(-1, 1, (60, 16)).astype(np.float32)
        x += (np.where(x.sum(axis=1) > 0, 0.02, -0.02) - x.mean(axis=1))[:, None].astype(np.float32)
        target = bench.target(float_linear(), dataset(x, (x.sum(axis=1) > 0).astype(np.int64)))
    elif kind == "detection":
        x = rng.integers(-20, 21, (60, 16)).astype(np.int8)
        x[:, 0] += np.where(x.sum(axis=1) >= 0, 5, -5).astype(np.int8)
        target = bench.target(detector(), dataset(x, (x.sum(axis=1, dtype=int) >= 0).astype(np.int64)))
    else:
        x = rng.integers(-20, 21, (60, 16)).astype(np.int8)
        target = bench.target(float_anomaly(), dataset(x, np.zeros(60, np.int64)), ANOMALY)
    seen = bench.run(pgd, target, noise_limit=1.0, **SMALL)
    assert metric(seen, "attack_success_rate").value > 0.5
    assert seen.facts["disagreements_with_runtime"] == 0


ANOMALY = Task(TaskKind.ANOMALY, "test", threshold=200.0, threshold_source="test")


def float_anomaly() -> bytes:
    """An autoencoder that answers 0 everywhere: its error is the mean square of the input."""
    from tinymlsec.target.tflite.builder import GraphBuilder

    builder = GraphBuilder("autoencoder")
    x = builder.input((1, 16), "int8", 1.0, 0)
    kernel = builder.constant(np.zeros((16, 16), np.int8), scale=1.0, name="weights")
    bias = builder.constant(np.zeros(16, np.int32), scale=1.0, name="bias")
    options = {"fused_activation_function": "NONE"}
    builder.output(
        builder.op("FULLY_CONNECTED", [x, kernel, bias], scale=1.0, zero_point=0, options=options, version=4)
    )
    return builder.tobytes()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("size", [1, 3, 7.5])
def test_rounded_points_never_leave_ball_or_bounds(norm: Any, size: float) -> None:
    from attacks.attack_targets import space_of
    from tinymlsec.attacks.evasion._pgd_search import Ball, Reach

    rng = np.random.default_rng(0)
    size = int(size) if norm == "linf" else size
    ball = Ball(space_of((50,), low=-100.0, high=90.0), Reach(norm, size))
    origin = torch.from_numpy(rng.integers(-100, 91, (40, 50)).astype(np.float32))
    change = ball.project(origin, torch.from_numpy(rng.normal(0, 5, (40, 50)).astype(np.float32)))
    codes = ball.codes(origin, change)
    assert bool((codes == codes.round()).all())
    assert -100 <= float(codes.min()) <= float(codes.max()) <= 90
    moved = codes - origin
    length = moved.abs().max() if norm == "linf" else moved.norm(dim=1).max()
    assert 0 < float(length) <= size + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("size", "limit"), [(1, 0.02), (2, 0.01)])
def test_keyword_spotting_falls_within_one_and_two_steps(
    bench: Workbench, shared_data: Path, size: int, limit: float
) -> None:
    from tinymlsec.loading import Sources, load_target

    folder = shared_data / "mlperf_tiny_kws"
    target = load_target(Sources(model=folder / "kws_ref_model.tflite", data=folder / "kws01.npz"), bench.pool)
    config: dict[str, Any] = {"samples": 1000, "eps_steps": size, "eps_curve": (), "l2_curve": (), "restarts": 1}
    config |= {"noise_limit": 1.0, "noise_draws": 1, "control_samples": 10}
    seen = bench.run(pgd, target, **config)
    assert metric(seen, "robust_accuracy").n == 1000
    assert metric(seen, "robust_accuracy").value <= limit
    assert seen.facts["disagreements_with_runtime"] == 0


def test_presets_configure_the_sizes_of_the_page() -> None:
    assert pgd.configure(EffortLevel.STANDARD).model_dump()["eps_curve"] == (1, 2, 4, 8)
