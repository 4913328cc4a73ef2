"""The leakage assessment as an attack: what leaks, what is silent, what the verdict says, and false alarms."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from attacks.timing_targets import M0, M4, RISCV, dense, pooled, run, softmax, target_of
from tinymlsec.attacks.side_channel import _assess_test
from tinymlsec.attacks.side_channel._assess_points import worst_points
from tinymlsec.attacks.side_channel._assess_run import ALPHA
from tinymlsec.attacks.side_channel._assess_run import run as assessed
from tinymlsec.attacks.side_channel._assess_test import Plan
from tinymlsec.attacks.side_channel._assess_windows import REACH
from tinymlsec.attacks.side_channel.leakage_assessment import LeakageAssessmentConfig, leakage_assessment
from tinymlsec.context import Context
from tinymlsec.errors import UsageError
from tinymlsec.evidence import Observation
from tinymlsec.examples import digits_model
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.registry import EffortLevel
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.classifiers import dense_int8

RNG = np.random.default_rng
SILENT_CAMPAIGNS, MOST_FALSE = 200, 2


def checked(seen: Observation) -> None:
    assert seen.basis is Basis.SIMULATED
    assert seen.verdict.kind is not VerdictKind.VULNERABLE
    assert seen.positive_control
    assert seen.positive_control.succeeded
    assert seen.negative_control
    assert seen.negative_control.succeeded
    assert seen.facts["threshold"]["false_alarm_probability_in_all"] == pytest.approx(ALPHA)


def test_digits_leak_and_nothing_is_extracted() -> None:
    seen = run(leakage_assessment, target_of(digits_model()))
    checked(seen)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "nothing was extracted" in seen.verdict.reason
    layers = {row["operator"]: row for row in seen.facts["layers"]}
    weighted = [row for row in layers.values() if row["name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    assert len(weighted) == 4
    for row in weighted:
        for against in ("inputs", "weights"):
            assert row[against]["largest_t_of_means"] > row[against]["threshold"]
            assert row[against]["traces_on_another_path"] == 0
        sums = row["weights"]["ratios"]["accumulator"]
        assert sums["ratio"] > 0.3 > sums["largest_with_shuffled_labels"] > sums["chance"]
        assert row["weights"]["ratios"]["weight"]["chance"] < 0.05
    assert "weights" not in layers[6]
    assert layers[6]["inputs"]["traces_on_another_path"] > 0, "the softmax has choices"
    assert layers[6]["inputs"]["left_out_not_in_every_trace"] > 0
    worst = seen.facts["worst_points"][0]
    assert worst["line"].startswith("kernels/")
    assert worst["instruction"]
    assert {f.id for f in seen.findings} == {"LEAK-INPUTS", "LEAK-WEIGHTS"}
    needed = [m for m in seen.metrics if m.name == "traces_to_success"]
    assert all(4 <= m.low <= m.value <= m.high < 600 for m in needed if m.low and m.high)
    assert len(needed) == 2
    assert max(len(metric.label) for metric in seen.metrics) <= 80, "what a report shows in full"
    titles = [curve.title for curve in seen.curves]
    assert sum("by layer" in title for title in titles) == 2
    assert sum("over the ratio" in title for title in titles) == 2
    noisier = next(curve for curve in seen.curves if "over the ratio" in curve.title).points
    assert all(a.y >= b.y for a, b in pairwise(noisier)), "less noise, fewer traces"
    time, layers_map = seen.series
    assert len(time.lines) in (2, 4)
    assert layers_map.tracks[0].spans[0].label == "0: CONV_2D"


def test_the_same_seed_gives_the_same_evidence() -> None:
    first, second = (run(leakage_assessment, target_of(dense()), seed=4, traces=100) for _ in range(2))
    assert first.model_dump() == second.model_dump()
    assert run(leakage_assessment, target_of(dense()), seed=5, traces=100).metrics != first.metrics


def fed_by_a_constant() -> bytes:
    """A dense layer without weights but zeros, whose output is its bias, and one behind it."""
    builder, rng = GraphBuilder("fed by a constant"), RNG(3)
    x = builder.input((1, 16), "int8", 0.05, 3)
    kernel = builder.constant(np.zeros((8, 16), np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-9000, 9000, 8).astype(np.int32), scale=0.0005)
    hidden = builder.op("FULLY_CONNECTED", [x, kernel, bias], scale=0.05, zero_point=0, options={})
    builder.output(dense_int8(builder, hidden, rng.normal(0, 1, (4, 8)), np.zeros(4), output_scale=0.2,
                              output_zero_point=0))  # fmt: skip
    return builder.tobytes()


def without_data() -> bytes:
    """An input that nobody reads, and a softmax of a constant."""
    builder = GraphBuilder("without data")
    builder.input((1, 4), "int8", 0.05, 0)
    fixed = builder.constant(np.arange(-8, 8, dtype=np.int8).reshape(1, 16), scale=0.1)
    builder.output(builder.op("SOFTMAX", [fixed], scale=1 / 256, zero_point=-128, options={"beta": 1.0}))
    return builder.tobytes()


def test_a_layer_that_is_fed_a_constant_is_silent_against_inputs() -> None:
    first, second = run(leakage_assessment, target_of(fed_by_a_constant())).facts["layers"]
    assert first["inputs"]["share_of_samples_that_alarm"] > 0, "it loads its inputs"
    assert second["inputs"]["share_of_samples_that_alarm"] == 0
    assert second["inputs"]["signal_constant"] == second["samples"]
    assert second["weights"]["share_of_samples_that_alarm"] > 0


def test_what_computes_with_no_data_is_resistant() -> None:
    seen = run(leakage_assessment, target_of(without_data()))
    checked(seen)
    assert seen.verdict.kind is VerdictKind.RESISTANT
    assert "would have raised one with 95 %" in seen.verdict.reason
    assert not seen.findings


def real() -> bytes:
    """A dense layer of float32."""
    builder, rng = GraphBuilder("real"), RNG(3)
    x = builder.input((1, 16), "float32")
    kernel = builder.constant(rng.normal(0, 1, (4, 16)).astype(np.float32))
    bias = builder.constant(np.zeros(4, np.float32))
    builder.output(builder.op("FULLY_CONNECTED", [x, kernel, bias], options={"fused_activation_function": "NONE"}))
    return builder.tobytes()


def test_registers_that_are_not_recorded_are_not_silent() -> None:
    """A floating-point unit computes where the emulator does not look; on the bus its data shows, and so does it on a
    core without one."""
    unseen = run(leakage_assessment, target_of(real()), traces=400)
    assert unseen.facts["layers"][0]["inputs"]["share_of_samples_that_alarm"] == 0
    assert unseen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "floating-point registers" in unseen.verdict.reason
    assert any("Floating-point registers" in limit for limit in unseen.limits)
    for device, leakage in ((M4, "bus"), (M0, "hamming_weight")):
        seen = run(leakage_assessment, target_of(real(), device), traces=400, leakage=leakage)
        row = seen.facts["layers"][0]
        assert all(row[against]["share_of_samples_that_alarm"] > 0 for against in ("inputs", "weights"))


def test_in_noise_silence_shows_nothing() -> None:
    seen = run(leakage_assessment, target_of(dense()), snr=1e-6, traces=200)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "neither in the control that leaks" in seen.verdict.reason


def test_half_an_assessment_is_not_resistance() -> None:
    target = target_of(fed_by_a_constant())
    seen = assessed(target, config_of(traces=200, against="inputs"), context(1), silent=True)
    from tinymlsec.attacks.side_channel._assess_verdict import judge

    verdict = judge(seen)
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert "not assessed against other weights" in verdict.reason


@pytest.mark.parametrize("device", [M0, RISCV])
def test_paths_that_part_are_said_to(device: str) -> None:
    """Without conditional instructions every clamp is a pair of branches."""
    seen = run(leakage_assessment, target_of(dense(), device), channels=4)
    checked(seen)
    last = seen.facts["layers"][-1]["inputs"]
    assert last["traces_on_another_path"] > 0
    assert last["first_parting_at_instruction"] > 0
    assert last["instructions_of_a_trace"][0] < last["instructions_of_a_trace"][1]
    assert any("Paths depend on the data" in limit for limit in seen.limits)


@pytest.mark.parametrize("leakage", ["hamming_distance", "bus", "mixed"])
def test_every_leakage_model_finds_a_dense_layer(leakage: str) -> None:
    seen = run(leakage_assessment, target_of(dense()), leakage=leakage, traces=400)
    checked(seen)
    assert all(row[a]["share_of_samples_that_alarm"] > 0 for row in seen.facts["layers"] for a in ("inputs", "weights"))
    assert seen.facts["noise"]["leakage_model"] == leakage


@pytest.mark.parametrize(
    ("style", "data"), [("unrolled", softmax), ("dsp", softmax), ("plain", pooled)], ids=["unrolled", "dsp", "pooled"]
)
def test_every_style(style: str, data: Any) -> None:
    seen = run(leakage_assessment, target_of(data()), style=style, traces=400)
    checked(seen)
    assert seen.facts["layers"][0]["inputs"]["share_of_samples_that_alarm"] > 0


def test_worst_points_are_where_t_is_largest() -> None:
    found = assessed(target_of(dense()), config_of(traces=400), context(1))
    for window in found.windows:
        points = worst_points(found.twin, window, 5)
        assert abs(points[0].t) == max(window.largest)
        assert len({point.spot.address for point in points}) == len(points)
        assert [abs(p.t) for p in points] == sorted((abs(p.t) for p in points), reverse=True)
        assert window.pcs[list(window.records).index(points[0].record)] == points[0].spot.address


def test_long_layers_are_run_from_their_beginning() -> None:
    builder = GraphBuilder("long")
    x = builder.input((1, 48, 48, 4), "int8", 0.05, 3)
    builder.output(builder.op("LOGISTIC", [x], scale=1 / 256, zero_point=-128, options={}))
    seen = run(leakage_assessment, target_of(builder.tobytes()), traces=60)
    (row,) = seen.facts["layers"]
    assert row["layer_goes_on_behind_the_window"]
    assert row["instructions"] == REACH < row["of_the_layer"]
    assert row["samples"] == LeakageAssessmentConfig().points
    assert row["inputs"]["share_of_samples_that_alarm"] > 0


@pytest.mark.parametrize(
    "change", [{"traces": 1}, {"snr": 0.0}, {"leakage": "light"}, {"against": "none"}, {"points": 1}]
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not accept"):
        leakage_assessment.configure(EffortLevel.QUICK, change)


def config_of(**changes: Any) -> LeakageAssessmentConfig:
    made = leakage_assessment.configure(EffortLevel.QUICK, changes)
    assert isinstance(made, LeakageAssessmentConfig)
    return made


def context(seed: int) -> Context:
    def nobody(data: bytes) -> Any:
        raise AssertionError("no victim is asked")

    return Context(RNG(seed), nobody)


# Acceptance


def test_silent_firmware_does_not_alarm() -> None:
    found = assessed(target_of(digits_model()), config_of(traces=200), context(7), silent=True)
    assert len(found.windows) == 11
    assert not any(window.alarms.any() for window in found.windows)


@pytest.mark.slow
@pytest.mark.parametrize("traces", [200, 600])
def test_false_alarms_of_silent_campaigns(traces: int) -> None:
    """200 whole assessments of silent firmware: at most 1 % may alarm anywhere; 0.1 % are meant."""
    target, alarmed = target_of(digits_model()), []
    for seed in range(SILENT_CAMPAIGNS):
        found = assessed(target, config_of(traces=traces, inferences=1), context(seed), silent=True)
        silent = not any(window.alarms.any() for window in found.windows)
        alarmed += [] if silent and found.negative.succeeded else [seed]
    print(f"{len(alarmed)} of {SILENT_CAMPAIGNS} silent campaigns of {traces} traces alarm: {alarmed}")
    assert len(alarmed) <= MOST_FALSE


FILES = {
    "hello_world": "tflm_hello_world/hello_world_int8.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "vww": "mlperf_tiny_vww/vww_96_int8.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "micro_speech": "tflm_micro_speech/micro_speech_quantized.tflite",
    "vad": "microwakeword/vad.tflite",
    "alexa": "microwakeword/alexa.tflite",
}


def test_hello_world(shared_data: Any) -> None:
    seen = run(leakage_assessment, target_of((shared_data / FILES["hello_world"]).read_bytes()))
    checked(seen)
    assert all(row["inputs"]["share_of_samples_that_alarm"] > 0 for row in seen.facts["layers"])


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_real_models_at_standard(name: str, shared_data: Any) -> None:
    target = target_of((shared_data / FILES[name]).read_bytes(), M4)
    seen = leakage_assessment(target, leakage_assessment.configure(EffortLevel.STANDARD), context(1))
    checked(seen)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    weighted = [row for row in seen.facts["layers"] if "weights" in row]
    assert weighted
    assert all(row["weights"]["share_of_samples_that_alarm"] > 0 for row in weighted)


def test_the_plan_of_checkpoints_ends_at_the_traces() -> None:
    assert list(_assess_test._sizes([20, 100, 230], 64)) == [20, 64, 16, 64, 64, 2]
    assert replace(Plan(10, 1.0, 0.1, 0), silent=True).silent
