"""The timing report on the real models: every kernel style on some devices, as a Markdown table.

    python benchmarks/timing_table.py ../shared/data [--effort standard] [--devices stm32l4r5zi,rp2040] [--styles plain]

Writes the table to standard output, a row at a time.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinymlsec.attacks.side_channel.timing_leakage import timing_leakage
from tinymlsec.context import Context
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.registry import EffortLevel
from tinymlsec.target.data import load_dataset
from tinymlsec.target.device import load_device
from tinymlsec.target.space import input_space
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.reader import read_model

MODELS = {
    "hello_world": "tflm_hello_world/hello_world_int8.tflite",
    "micro_speech": "tflm_micro_speech/micro_speech_quantized.tflite",
    "vad": "microwakeword/vad.tflite",
    "alexa": "microwakeword/alexa.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "vww": "mlperf_tiny_vww/vww_96_int8.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "ic float32": "mlperf_tiny_ic/pretrainedResnet.tflite",
}
DATA = {"kws": "mlperf_tiny_kws/kws01.npz"}
HEAD = (
    "| model | device, core | style | verdict | inputs | instructions | constant layers | cycles apart | bits about "
    "the input | bits about the class | inputs part after | s |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--effort", default="standard")
    parser.add_argument("--devices", default="stm32l4r5zi")
    parser.add_argument("--styles", default="plain,unrolled,dsp")
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    print(HEAD, flush=True)
    for name in options.models.split(","):
        for device in options.devices.split(","):
            for style in options.styles.split(","):
                print(row(options.folder, name, device, style, EffortLevel(options.effort)), flush=True)


def row(folder: Path, name: str, device: str, style: str, effort: EffortLevel) -> str:
    began = time.monotonic()
    target = target_of(folder, name, device)
    try:
        seen = run(target, timing_leakage.configure(effort, {"style": style}))
    except CapabilityMissing as missing:
        return f"| {name} | {device} | {style} | skipped | | | | | | | {missing.message} {missing.found or ''} | |"
    return f"| {name} | {device}, {target.twin(style).core.id} | {style} | " + cells(seen, time.monotonic() - began)


def target_of(folder: Path, name: str, device: str) -> Target:
    data = (folder / MODELS[name]).read_bytes()
    model = read_model(data)
    space = input_space(model)
    dataset = load_dataset(folder / DATA[name], space, frames=False) if name in DATA else None
    return Target(name, data, model, space, dataset=dataset, device=load_device(device))


def run(target: Target, config: Any) -> Observation:
    def nobody(data: bytes) -> Any:
        raise AssertionError("no victim is asked")

    said = sys.stderr.isatty()

    def progress(done: int, total: int, what: str) -> None:
        if said:
            print(f"\r{target.name}: {what} {done}/{total}   ", end="", file=sys.stderr)

    return timing_leakage(target, config, Context(np.random.default_rng(1), nobody, None, progress))


def cells(seen: Observation, seconds: float) -> str:
    facts = seen.facts
    if not facts:
        return f"{seen.verdict.kind.value} | | | | | | | {seen.verdict.reason} | {seconds:.0f} |"
    layers = facts["layers"]
    constant = sum(layer["time"] == "constant" for layer in layers)
    low, high = (max(span) - min(span) for span in facts["latency_cycles"].values())
    bits = {m.label.split(",")[0]: m for m in seen.metrics if m.name == "bits_per_query"}
    parting = facts["first_divergence"]
    where = "they do not"
    if parting is not None:
        where = f"`{parting['instruction']}` {parting['line']} ({parting['operator']}: {parting['operator_name']})"
    elif facts["proof"]["gap"] != "none":
        where = f"not seen; {facts['proof']['gap']}"
    instructions = sum(layer["instructions"] for layer in layers)
    told = f"{between(bits['about the input'])} | {between(bits['about the class'])}"
    return (
        f"{seen.verdict.kind.value} | {facts['inputs']['compared']} | {instructions:,} | {constant} of {len(layers)} | "
        f"{low:,.0f} to {high:,.0f} | {told} | {where} | {seconds:.0f} |"
    )


def between(metric: Any) -> str:
    if metric.value == 0 and not metric.high:
        return "0"
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"


if __name__ == "__main__":
    main()
