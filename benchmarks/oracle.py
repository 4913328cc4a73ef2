"""Throughput of the oracle: one worker and two, against the runtime called in this very process.

    python benchmarks/oracle.py [MODEL.tflite ...]

Without models, those of ../shared/data are used where they are there, else the one in the runtime's own package. Inputs
are random. Prints a Markdown table: median of five runs, wall-clock time, and processor time of workers and parent
beside it. The runtime is called in-process here because the models given are trusted; the tool itself never does that.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinymlsec.target.oracle import ModelHandle, OraclePool
from tinymlsec.target.oracle_launch import search_path

RUNS = 5
SECONDS = 1.0
MODELS = (
    "tflm_hello_world/hello_world_int8.tflite",
    "mlperf_tiny_ad/ad01_int8.tflite",
    "mlperf_tiny_kws/kws_ref_model.tflite",
    "mlperf_tiny_vww/vww_96_int8.tflite",
    "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
)


def models() -> list[Path]:
    if sys.argv[1:]:
        return [Path(name) for name in sys.argv[1:]]
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    found = [shared / name for name in MODELS if (shared / name).is_file()]
    package = Path(importlib.util.find_spec("tflite_micro").origin).parent
    return found or [package / "python" / "tflite_micro" / "sine_float.tflite"]


def random_inputs(handle: ModelHandle, count: int) -> np.ndarray:
    detail, rng = handle.inputs[0], np.random.default_rng(0)
    if np.dtype(detail.dtype).kind == "f":
        return rng.normal(size=(count, *detail.shape)).astype(detail.dtype)
    bounds = np.iinfo(detail.dtype)
    return rng.integers(bounds.min, bounds.max, (count, *detail.shape), endpoint=True).astype(detail.dtype)


def in_process(data: bytes) -> Callable[[np.ndarray], np.ndarray]:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data)

    def run(x: np.ndarray) -> np.ndarray:
        result = np.empty((len(x), *interpreter.get_output(0).shape), interpreter.get_output(0).dtype)
        for k, row in enumerate(x):
            interpreter.set_input(row, 0)
            interpreter.invoke()
            result[k] = interpreter.get_output(0)
        return result

    return run


def median_seconds(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    run(x[: max(1, len(x) // 10)])  # warm up
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run(x)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def parent_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def row(path: Path, one: OraclePool, two: OraclePool) -> str:
    data = path.read_bytes()
    direct = in_process(data)
    handles = [pool.open(data) for pool in (one, two)]
    probe = random_inputs(handles[0], 20)
    count = int(max(20, min(500_000, SECONDS / max(median_seconds(direct, probe) / 20, 1e-7))))
    x = random_inputs(handles[0], count)
    assert np.array_equal(handles[0].run(x).ravel(), direct(x).ravel()), "the worker differs from the runtime"
    base = median_seconds(direct, x)
    before = parent_cpu()
    single = median_seconds(handles[0].run, x)
    overhead = (parent_cpu() - before) / (RUNS + 0.1) / count
    double = median_seconds(handles[1].run, x)
    rates = " | ".join(f"{count / seconds:,.0f}" for seconds in (base, single, double))
    return (
        f"| {path.name} | {count:,} | {rates} | {base / single:.2f} | {base / double:.2f} | {overhead * 1e6:.2f} us |"
    )


def start_seconds() -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        with OraclePool(1) as pool:
            pool.worker(0)
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def import_seconds() -> float:
    """The part of a start that is NumPy and the runtime's package being imported."""
    code = "import sys, json; sys.path += json.loads(sys.argv[1]); from tflite_micro import runtime"
    command = [sys.executable, "-I", "-B", "-c", code, json.dumps(search_path())]
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def round_trip(pool: OraclePool, path: Path) -> float:
    handle = pool.open(path.read_bytes())
    x = random_inputs(handle, 1)
    handle.run(x)
    times = []
    for _ in range(300):
        began = time.perf_counter()
        handle.run(x)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}\n")
    print(f"start of a worker {start_seconds():.3f} s, of which Python and imports {import_seconds():.3f} s")
    with OraclePool(1) as one, OraclePool(2) as two:
        print(f"round trip of one inference of {models()[0].name}: {round_trip(one, models()[0]) * 1e6:.0f} us\n")
        print(
            "| model | inferences | in-process /s | 1 worker /s | 2 workers /s | 1 : direct | 2 : direct | parent CPU |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for path in models():
            print(row(path, one, two), flush=True)


if __name__ == "__main__":
    main()
