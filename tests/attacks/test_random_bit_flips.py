"""The campaign of random bit flips from target to evidence, on the real runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attacks.attack_targets import Workbench, dataset, float_linear, regression
from tinymlsec.attacks.fault._damage import Meter
from tinymlsec.attacks.fault.random_bit_flips import WEAK, random_bit_flips
from tinymlsec.errors import OracleCrash
from tinymlsec.evidence import Observation
from tinymlsec.records import VerdictKind
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.victim import Victim

SMALL = {"counts": (1, 10, 100, 1000), "seeds": 4, "samples": 60}


def values(seen: Observation, name: str) -> dict[str, float]:
    return {m.label: m.value for m in seen.metrics if m.name == name}


def controls_hold(seen: Observation) -> bool:
    return bool(
        seen.positive_control
        and seen.positive_control.succeeded
        and seen.negative_control
        and seen.negative_control.succeeded
    )


def test_small_margins_fall_and_large_ones_stand_longer(bench: Workbench) -> None:
    weak = values(bench.run(random_bit_flips, bench.linear(distance=16), **SMALL), "accuracy")
    strong = values(bench.run(random_bit_flips, bench.linear(distance=2048), **SMALL), "accuracy")
    assert weak["100 flips"] < 0.9 < strong["1 flip"] == strong["10 flips"] == strong["100 flips"] == 1.0


def target_for(bench: Workbench, kind: str) -> Target:
    if kind == "labels":
        return bench.linear(distance=60)
    if kind == "no-labels":
        labeled = bench.linear(distance=60)
        assert labeled.dataset is not None
        return bench.target(labeled.data, dataset(labeled.dataset.x, None))
    if kind == "no-data":
        return bench.target(bench.linear(distance=60).data)
    if kind == "float":
        return bench.target(float_linear())
    return bench.target(regression([1.0, -2.0, 3.0, 4.0]))


@pytest.mark.parametrize("kind", ["labels", "no-labels", "no-data", "float", "regression"])
def test_the_verdict_is_never_more_than_inconclusive(bench: Workbench, kind: str) -> None:
    seen = bench.run(random_bit_flips, target_for(bench, kind), **SMALL)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert seen.verdict.reason == WEAK
    assert controls_hold(seen)


def test_metric_follows_what_is_known(bench: Workbench) -> None:
    for kind, name, curves in (
        ("labels", "accuracy", ["accuracy"]),
        ("no-labels", "fidelity", ["fidelity", "mae"]),
        ("regression", "mae", ["mae"]),
    ):
        seen = bench.run(random_bit_flips, target_for(bench, kind), **SMALL)
        assert [c.metric for c in seen.curves] == curves
        assert values(seen, name)
        assert bool(values(seen, "sdc_rate")) == (kind != "regression")
        assert bool(values(seen, "clean_accuracy")) == (kind == "labels")


def test_random_inputs_are_said_to_be_random(bench: Workbench) -> None:
    with_data, without = (bench.run(random_bit_flips, target_for(bench, k), **SMALL) for k in ("labels", "no-data"))
    assert not any("random codes" in limit for limit in with_data.limits)
    assert any("random codes" in limit for limit in without.limits)


def test_accuracy_and_silent_corruption_add_up_where_the_model_was_right(bench: Workbench) -> None:
    seen = bench.run(random_bit_flips, bench.linear(distance=60), **SMALL)
    accuracy, silent = values(seen, "accuracy"), values(seen, "sdc_rate")
    assert all(accuracy[label] + silent[label] == pytest.approx(1.0) for label in accuracy)
    assert [(p.x, p.y) for p in seen.curves[0].points] == [
        (c, accuracy[f"{c} flip{'s' * (c > 1)}"]) for c in SMALL["counts"]
    ]
    assert (seen.curves[0].chance, seen.curves[0].reference) == (0.5, 1.0)


def test_same_seed_same_observation(bench: Workbench) -> None:
    first, again, other = (bench.run(random_bit_flips, bench.linear(distance=60), s, **SMALL) for s in (1, 1, 2))
    assert first == again
    assert first.metrics != other.metrics


def test_more_flips_than_bits_are_left_out(bench: Workbench) -> None:
    seen = bench.run(random_bit_flips, bench.linear(distance=60), counts=(5000, 1024, 1), seeds=2, samples=20)
    assert [p.x for p in seen.curves[0].points] == [1, 1024]  # 2 x 64 int8 weights
    assert any("1,024 bits" in limit for limit in seen.limits)


def test_inferences_are_as_many_as_announced(bench: Workbench) -> None:
    target = bench.linear(distance=60)
    _ = target.clean
    before = bench.pool.inferences
    bench.run(random_bit_flips, target, counts=(1, 10), seeds=3, samples=25)
    # unchanged once, every variant, the positive control, the negative control on both sides
    assert bench.pool.inferences - before == 25 * (1 + 2 * 3 + 1 + 2)


def test_a_crash_is_an_outcome(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    target = bench.linear(distance=60)
    honest, calls = Victim.variant, []

    def variant(self: Victim, data: bytes) -> Victim:
        calls.append(data)
        if len(calls) == 1:
            raise_from = honest(self, data)
            monkeypatch.setattr(raise_from, "scores", crash, raising=False)
            return raise_from
        return honest(self, data)

    def crash(codes: np.ndarray, progress: object = None) -> None:
        raise OracleCrash("the worker died", signal="SIGSEGV")

    monkeypatch.setattr(Victim, "variant", variant)
    seen = bench.run(random_bit_flips, target, counts=(1,), seeds=2, samples=20)
    assert seen.facts["crashes"] == {"1": 1}
    assert values(seen, "accuracy")["1 flip"] <= 0.5
    assert values(seen, "sdc_rate")["1 flip"] <= 0.5  # a crash is not silent


def test_outputs_that_are_no_numbers_are_cut_off(bench: Workbench) -> None:
    target = bench.target(float_linear())
    meter = Meter(target, 20, 1, np.random.default_rng(0))
    meter.decides = False
    meter.outputs = np.full_like(meter.outputs, np.nan)
    damage = meter.damage(target.data)
    assert np.isfinite(damage.error).all()
    assert (damage.error == meter.cap).all()


def test_a_model_without_weights_says_so(bench: Workbench) -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8", 1.0, 0)
    builder.output(builder.op("ADD", [x, x], scale=2.0, options={}))
    seen = bench.run(random_bit_flips, bench.target(builder.tobytes()), **SMALL)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "no operator with constant weights" in seen.verdict.reason


def test_kws_decays_as_measured(bench: Workbench, shared_data: Path) -> None:
    from tinymlsec.loading import Sources, load_target

    folder = shared_data / "mlperf_tiny_kws"
    sources = Sources(model=folder / "kws_ref_model.tflite", data=folder / "kws01.npz")
    target = load_target(sources, bench.pool)
    seen = bench.run(random_bit_flips, target, counts=(1, 3000), seeds=3, samples=60)
    accuracy = values(seen, "accuracy")
    assert accuracy["1 flip"] > 0.8
    assert accuracy["3000 flips"] < 0.6
    assert seen.facts["weight_bits"] == 8 * 22_016
    assert controls_hold(seen)
