"""The main job on each kind of target: float border around an int8 core, regression, hybrid, several inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinymlsec.assessment import Assessment, Options, Sources, assess
from tinymlsec.errors import UsageError
from tinymlsec.examples import digits_model, digits_paths
from tinymlsec.records import VerdictKind
from tinymlsec.registry import EffortLevel
from tinymlsec.target.oracle import runtime_available
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.float_wrap import wrap_float
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])

ONLY = ("static-extraction", "random-bit-flips", "square")
SMALL = {
    "random-bit-flips": {"counts": (1, 100), "seeds": 2, "samples": 50},
    "square": {"samples": 20, "max_queries": 30},
}


def run(model: bytes, data: Path | None = None, **options: object) -> Assessment:
    return assess(
        Sources(model, data=data), None, Options(effort=EffortLevel.QUICK, overrides=SMALL, only=ONLY, **options)
    )  # type: ignore[arg-type]


def verdicts(result: Assessment) -> dict[str, VerdictKind]:
    return {e.attack: e.verdict.kind for e in result.evidence}


def test_float_border_is_the_int8_target_it_wraps() -> None:
    wrapped = write_model(wrap_float(read_model(digits_model())))
    with digits_paths() as paths:
        plain, outer = run(digits_model(), paths.data), run(wrapped, paths.data)
    assert outer.run.model is not None
    assert outer.run.model.kind == "float_wrapped"
    assert outer.run.baseline == plain.run.baseline
    (first,), (second,) = ([e for e in r.evidence if e.attack == "square"] for r in (plain, outer))
    assert first.metrics == second.metrics  # the same codes, the same answers, step by step
    assert VerdictKind.SKIPPED not in verdicts(outer).values()


def regression() -> bytes:
    rng = np.random.default_rng(0)
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8", 0.1, 0, "x")
    weights = builder.constant(rng.integers(-127, 128, (1, 4)).astype(np.int8), scale=0.01)
    bias = builder.constant(np.zeros(1, np.int32), scale=0.001)
    builder.output(builder.op("FULLY_CONNECTED", [x, weights, bias], dtype="int8", scale=0.2, zero_point=0))
    return builder.tobytes()


def test_what_has_no_meaning_for_a_task_is_skipped_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(60, 4)).astype(np.float32), y=rng.normal(size=60))
    result = run(regression(), tmp_path / "d.npz")
    assert result.run.task is not None
    assert result.run.task.kind == "regression"
    assert result.run.baseline is not None
    assert result.run.baseline.metrics[0].name == "mae"
    (square,) = (e for e in result.evidence if e.attack == "square")
    assert square.verdict.kind is VerdictKind.SKIPPED
    assert "no meaning for a regression" in square.verdict.reason
    assert verdicts(result)["random-bit-flips"] is VerdictKind.INCONCLUSIVE


@pytest.mark.parametrize("task", ["anomaly", "detection_threshold"])
def test_a_task_that_the_output_cannot_carry_is_refused(tmp_path: Path, task: str) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 8, 8, 1), np.float32), y=[0, 1, 0], task=task)
    with pytest.raises(UsageError, match="does not fit this model"):
        run(digits_model(), tmp_path / "d.npz")


def test_several_inputs_leave_the_static_parts() -> None:
    builder = GraphBuilder()
    a, b = (builder.input((1, 3), "int8", 0.1, 0, name) for name in "ab")
    builder.output(builder.op("ADD", [a, b], scale=0.2))
    result = run(builder.tobytes())
    assert verdicts(result)["square"] is VerdictKind.SKIPPED
    assert all("2 inputs" in why for why in result.run.obstacles.values())
    assert "static-extraction" in verdicts(result)


def test_hybrid_model_is_read_and_explained(shared_data: Path) -> None:
    result = run((shared_data / "mlperf_tiny_kws" / "kws_ref_model_float32.tflite").read_bytes())
    assert result.run.model is not None
    assert result.run.model.kind == "hybrid"
    assert not result.run.model.runs
    assert "int8 weights with float activations" in result.run.model.runtime
    assert verdicts(result)["static-extraction"] is VerdictKind.VULNERABLE


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("mlperf_tiny_vww/vww_96_int8", "classification"),
        ("mlperf_tiny_ad/ad01_int8", "anomaly"),
        ("tflm_micro_speech/micro_speech_quantized", "classification"),
        ("tflm_micro_speech/audio_preprocessor_int8", "unknown"),
        ("tflm_hello_world/hello_world_int8", "regression"),
        ("microwakeword/alexa", "detection_threshold"),
        ("microwakeword/vad", "detection_threshold"),
    ],
)
def test_real_models_without_data(shared_data: Path, name: str, task: str) -> None:
    result = run((shared_data / f"{name}.tflite").read_bytes())
    assert result.run.task is not None
    assert result.run.task.kind == task
    assert verdicts(result)["square"] is VerdictKind.SKIPPED
    assert VerdictKind.ERROR not in verdicts(result).values()
    assert len(result.threats) == 41
