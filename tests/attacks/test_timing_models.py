"""The timing report on the real models, in every style of kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from attacks.timing_targets import run, target_of
from tinymlsec.attacks.side_channel.timing_leakage import timing_leakage
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.records import VerdictKind

FILES = {
    "hello_world": "tflm_hello_world/hello_world_int8.tflite",
    "micro_speech": "tflm_micro_speech/micro_speech_quantized.tflite",
    "vad": "microwakeword/vad.tflite",
    "alexa": "microwakeword/alexa.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "vww": "mlperf_tiny_vww/vww_96_int8.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
}
CONSTANT = ("hello_world", "ad")
NO_C = ("tflm_micro_speech/audio_preprocessor_int8.tflite", "mlperf_tiny_kws/kws_ref_model_float32.tflite")
STYLES = ("plain", "unrolled", "dsp")


def report(folder: Path, name: str, style: str) -> Observation:
    return run(timing_leakage, target_of((folder / FILES[name]).read_bytes()), style=style)


def check(seen: Observation, name: str) -> None:
    assert seen.positive_control
    assert seen.positive_control.succeeded
    assert seen.negative_control
    assert seen.negative_control.succeeded
    assert seen.facts["proof"]["gap"] == "none"
    varied = [layer for layer in seen.facts["layers"] if layer["time"] != "constant"]
    if name in CONSTANT:
        assert seen.verdict.kind is VerdictKind.RESISTANT
        assert not varied
        return
    assert seen.verdict.kind in (VerdictKind.VULNERABLE, VerdictKind.INCONCLUSIVE)
    assert {layer["name"] for layer in varied} <= {"SOFTMAX", "LOGISTIC"}
    assert seen.facts["first_divergence"]["operator_name"] in ("SOFTMAX", "LOGISTIC")
    assert seen.facts["first_divergence"]["line"].startswith(("kernels/curves.c:", "kernels/squash.c:"))


@pytest.mark.parametrize("name", ["hello_world", "vad"])
def test_small_models(name: str, shared_data: Path) -> None:
    check(report(shared_data, name, "plain"), name)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", FILES)
def test_every_model_in_every_style(name: str, style: str, shared_data: Path) -> None:
    check(report(shared_data, name, style), name)


@pytest.mark.parametrize("file", NO_C)
def test_models_without_c_are_skipped_with_the_operator(file: str, shared_data: Path) -> None:
    with pytest.raises(CapabilityMissing, match="no C is generated"):
        run(timing_leakage, target_of((shared_data / file).read_bytes()))
