"""The main job on real models: whole `tinymlsec assess` processes, against the bars that were set for them.

    python benchmarks/main_job.py [--runs 5] [--only kws,ic,...]

Needs ../shared/data beside the repository. Prints a Markdown table: wall-clock and processor time (median), peak memory
of the largest process, and what the run found. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DEVICE = "stm32l4r5zi"


@dataclass(frozen=True)
class Job:
    name: str
    model: str
    data: Path | None = None
    settings: tuple[str, ...] = ()
    bar_seconds: float | None = None


def cifar(folder: Path) -> Path:
    """The 2,000 JPEG images as one .npz of int8 pixels, shuffled, so that every prefix holds all classes."""
    images, labels = [], []
    with zipfile.ZipFile(DATA / "cifar10_jpeg" / "cifar10_jpeg_test2000.zip") as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".jpg")):
            images.append(np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")))
            labels.append(int(name.split("_")[0]))
    order = np.random.default_rng(0).permutation(len(images))
    x, y = np.stack(images)[order], np.array(labels)[order]
    np.savez(folder / "cifar.npz", x=(x.astype(np.int16) - 128).astype(np.int8), y=y)
    np.savez(folder / "cifar_float.npz", x=x.astype(np.float32), y=y)
    return folder / "cifar.npz"


def jobs(folder: Path) -> list[Job]:
    images, small = cifar(folder), ("random-bit-flips.samples=100", "square.samples=30")
    kws = DATA / "mlperf_tiny_kws"
    return [
        Job("kws", "mlperf_tiny_kws/kws_ref_model.tflite", kws / "kws01.npz", (), 120),
        Job("ic", "mlperf_tiny_ic/pretrainedResnet_quant.tflite", images, small, 240),
        Job("ic float", "mlperf_tiny_ic/pretrainedResnet.tflite", folder / "cifar_float.npz", small),
        Job("kws hybrid", "mlperf_tiny_kws/kws_ref_model_float32.tflite"),
        Job("vww", "mlperf_tiny_vww/vww_96_int8.tflite"),
        Job("ad", "mlperf_tiny_ad/ad01_int8.tflite"),
        Job("micro_speech", "tflm_micro_speech/micro_speech_quantized.tflite"),
        Job("audio_preprocessor", "tflm_micro_speech/audio_preprocessor_int8.tflite"),
        Job("hello_world", "tflm_hello_world/hello_world_int8.tflite"),
        Job("alexa", "microwakeword/alexa.tflite"),
        Job("vad", "microwakeword/vad.tflite"),
    ]


def run(job: Job, out: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds of all processes, peak memory of the largest one in MB."""
    command = [sys.executable, "-m", "tinymlsec", "assess", str(DATA / job.model), "--device", DEVICE, "--quiet",
               "--workers", "2", "-o", str(out), *(f"--set={s}" for s in job.settings)]  # fmt: skip
    if job.data:
        command += ["--data", str(job.data)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1024


def found(out: Path) -> str:
    report = json.loads((out / "report.json").read_text())
    baseline = (report["run"]["baseline"] or {}).get("metrics", [])
    said = [f"{m['name']} {m['value']:.4g} (n {m['n']})" for m in baseline]
    return "; ".join([*said, *(f"{e['attack']}: {e['verdict']['kind']}" for e in report["evidence"])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, 2 workers, median of {arguments.runs}\n")
    print("| model | bar s | wall s | cpu s | peak MB | found |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for job in jobs(folder):
            if arguments.only and job.name not in arguments.only.split(","):
                continue
            figures = [run(job, folder / f"{job.name} {k}") for k in range(arguments.runs)]
            wall, cpu, peak = (statistics.median(column) for column in zip(*figures, strict=True))
            bar = f"{job.bar_seconds:g}" if job.bar_seconds else ""
            print(f"| {job.name} | {bar} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {found(folder / f'{job.name} 0')} |")


if __name__ == "__main__":
    main()
