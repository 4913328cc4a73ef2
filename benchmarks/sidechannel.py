"""How fast the statistics of traces are, beside plain BLAS, SCALib called directly, and scared; how fast traces come.

    python -m venv peer && peer/bin/pip install scared
    python benchmarks/sidechannel.py [--scared peer/bin/python] [--repeats 5] [--traces-of kws] [--million FOLDER]

10,000 traces of 2,000 samples, 256 hypotheses, the same data for all, one thread each. Contestants take turns, round
by round, so that a busy machine is busy for all; medians of the rounds after one that is not counted, wall-clock and
processor time, and of each round the ratio to the contestant of the bar. Every contestant must find the guess that
leaks. *BLAS product alone* is `guesses.T @ samples` in float32 by NumPy on the same arrays. Unset what chooses a BLAS's
kernel (OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE, NVPL_BLAS_DEBUG_CPU_TYPE). `--traces-of kws` and `--million` (a million
simulated traces, written and correlated) need ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scalib import __version__ as scalib_version
from scalib.config import Config
from scalib.metrics import SNR, Ttest
from threadpoolctl import threadpool_info, threadpool_limits

from tinymlsec.analysis.correlation import Correlation
from tinymlsec.analysis.snr import Snr
from tinymlsec.analysis.ttest import TTest
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.twin import StartedTwin, build_twin
from tinymlsec.traces.simulated import SimulatedTraces, uniform_inputs
from tinymlsec.traces.traceset import Noise

HERE = Path(__file__).resolve().parent
KWS = HERE.parents[1] / "shared" / "data" / "mlperf_tiny_kws" / "kws_ref_model.tflite"
N, T, GUESSES, KEY, PLACE = 10_000, 2_000, 256, 167, 777
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
Times = tuple[float, float]
Work = Callable[[], Times]


@dataclass(frozen=True)
class Data:
    """What all are given."""

    samples: np.ndarray
    """(N, T) int16"""
    real: np.ndarray
    """The same as float32."""
    guesses: np.ndarray
    """(N, 256) float32"""
    classes: np.ndarray
    """(N,) uint16"""
    groups: np.ndarray
    """(N,) uint16 0 or 1"""


def data() -> Data:
    rng = np.random.default_rng(20261125)
    table = rng.permutation(256)
    byte = rng.integers(0, 256, N)
    guesses = np.bitwise_count(table[byte[:, None] ^ np.arange(GUESSES)].astype(np.uint8)).astype(np.float32)
    samples = np.rint(rng.normal(size=(N, T)) * 40 + 300)
    samples[:, PLACE] += 10 * guesses[:, KEY]
    groups = rng.integers(0, 2, N)
    samples[:, PLACE + 1] += 10 * groups
    classes = table[byte ^ KEY].astype(np.uint16)
    small = samples.astype(np.int16)
    return Data(small, small.astype(np.float32), guesses, classes, groups.astype(np.uint16))


def timed(work: Callable[[], object], right: Callable[[object], bool]) -> Work:
    """Times one run and checks what it found."""

    def run() -> Times:
        wall, cpu = time.perf_counter(), time.process_time()
        found = work()
        times = time.perf_counter() - wall, time.process_time() - cpu
        assert right(found), "a contestant found something else"
        return times

    return run


def contestants(d: Data) -> dict[str, Work]:
    def blas() -> np.ndarray:
        return d.guesses.T @ d.real

    def plain() -> np.ndarray:
        h, x = d.guesses - d.guesses.mean(axis=0), d.real - d.real.mean(axis=0)
        made = h.T @ x
        made /= np.sqrt((h * h).sum(axis=0))[:, None]
        made /= np.sqrt((x * x).sum(axis=0))
        return made

    def ours(samples: np.ndarray, size: int) -> np.ndarray:
        made = Correlation()
        for first in range(0, N, size):
            made.update(d.guesses[first : first + size], samples[first : first + size])
        return made.result().values

    def snr_ours(samples: np.ndarray, engine: str) -> np.ndarray:
        made = Snr(GUESSES, engine=engine, most=N)  # type: ignore[arg-type]
        made.update(samples, d.classes)
        return made.result().values[0]

    def snr_scalib() -> np.ndarray:
        made = SNR(GUESSES)
        made.fit_u(d.samples, d.classes[:, None])
        return made.get_snr()[0]

    def t_ours(orders: int, engine: str) -> np.ndarray:
        made = TTest(orders, engine=engine)  # type: ignore[arg-type]
        made.update(d.samples, d.groups)
        return made.result().values[0]

    def t_scalib(orders: int) -> np.ndarray:
        made = Ttest(orders)
        made.fit_u(d.samples, d.groups)
        return made.get_ttest()[0]

    def peak(found: object) -> bool:
        return bool(np.unravel_index(np.argmax(found), (GUESSES, T)) == (KEY, PLACE))

    def place(at: int) -> Callable[[object], bool]:
        return lambda found: int(np.abs(np.asarray(found)).argmax()) == at

    return {
        "BLAS product alone": timed(blas, lambda found: True),
        "CPA, plain NumPy float32": timed(plain, peak),
        "CPA, ours": timed(lambda: ours(d.real, N), peak),
        "CPA, ours, in batches of 1,000": timed(lambda: ours(d.real, 1000), peak),
        "CPA, ours, int16": timed(lambda: ours(d.samples, N), peak),
        "SNR, SCALib called directly": timed(snr_scalib, place(PLACE)),
        "SNR, ours (SCALib)": timed(lambda: snr_ours(d.samples, "auto"), place(PLACE)),
        "SNR, ours (NumPy)": timed(lambda: snr_ours(d.samples, "numpy"), place(PLACE)),
        "t, SCALib called directly": timed(lambda: t_scalib(1), place(PLACE + 1)),
        "t, ours (SCALib)": timed(lambda: t_ours(1, "auto"), place(PLACE + 1)),
        "t, ours (NumPy)": timed(lambda: t_ours(1, "numpy"), place(PLACE + 1)),
        "t of two orders, SCALib called directly": timed(lambda: t_scalib(2), place(PLACE + 1)),
        "t of two orders, ours (SCALib)": timed(lambda: t_ours(2, "auto"), place(PLACE + 1)),
        "t of two orders, ours (NumPy)": timed(lambda: t_ours(2, "numpy"), place(PLACE + 1)),
    }


BARS = (
    ("CPA, ours", "CPA, plain NumPy float32", "no bar"),
    ("CPA, ours", "BLAS product alone", "at most 1.10"),
    ("CPA, scared", "CPA, ours", "at least 1.5"),
    ("CPA, scared (alternative)", "CPA, ours", "at least 1.5"),
    ("SNR, ours (SCALib)", "SNR, SCALib called directly", "at most 1.15"),
    ("t, ours (SCALib)", "t, SCALib called directly", "at most 1.15"),
    ("t of two orders, ours (SCALib)", "t of two orders, SCALib called directly", "at most 1.15"),
)


@contextmanager
def peer(python: str | None, d: Data) -> Iterator[dict[str, Work]]:
    """scared in a process of its own, which runs when it is its turn."""
    if python is None:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("samples", "classes", "guesses"):
            np.save(Path(folder) / f"{name}.npy", getattr(d, name))
        command = [python, str(HERE / "sidechannel_scared.py"), folder]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD}
        )
        assert process.stdin is not None
        assert process.stdout is not None
        print(f"scared {json.loads(process.stdout.readline())['version']}")

        def turn(word: str, found: list[int]) -> Work:
            def run() -> Times:
                process.stdin.write(word + "\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                told = json.loads(process.stdout.readline())  # type: ignore[union-attr]
                assert told["found"] == found, told
                return told["wall"], told["cpu"]

            return run

        yield {
            "CPA, scared": turn("cpa", [KEY, PLACE]),
            "CPA, scared (alternative)": turn("cpa alternative", [KEY, PLACE]),
            "SNR, scared": turn("snr", [PLACE]),
        }
        process.stdin.close()
        process.wait(30)


def race(works: dict[str, Work], repeats: int) -> dict[str, list[Times]]:
    """Rounds in which everyone has one turn; the first is not counted."""
    rows: dict[str, list[Times]] = {name: [] for name in works}
    for number in range(repeats + 1):
        for name, work in works.items():
            times = work()
            if number:
                rows[name].append(times)
    return rows


def tables(rows: dict[str, list[Times]]) -> None:
    print("\n| what | wall ms | least | most | cpu ms |\n|---|---:|---:|---:|---:|")
    for name, times in rows.items():
        wall, cpu = ([1e3 * t[i] for t in times] for i in (0, 1))
        median = statistics.median(wall), min(wall), max(wall), statistics.median(cpu)
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in median)} |")
    print("\n| ratio of medians | wall | cpu | least and most of a round, cpu | bar |\n|---|---:|---:|---:|---|")
    for over, under, bar in BARS:
        if over in rows and under in rows:
            wall, cpu = (statistics.median(t[i] for t in rows[over]) / statistics.median(t[i] for t in rows[under])
                         for i in (0, 1))  # fmt: skip
            each = [a[1] / b[1] for a, b in zip(rows[over], rows[under], strict=True)]
            print(f"| {over} / {under} | {wall:.2f} | {cpu:.2f} | {min(each):.2f} to {max(each):.2f} | {bar} |")


def pixel(started: StartedTwin, filters: int, count: int, seed: int) -> SimulatedTraces:
    """Traces of one pixel of kws's first layer, uniform inputs, Hamming weight, noise of one bit."""
    window = started.enter(f"op:0@12,2,0:{filters}")
    address, size = started.twin.input_address(), started.program.inputs[0].bytes
    inputs, place = uniform_inputs(size, seed), ((address, 0, size),)
    return SimulatedTraces(started.machine, window, count, inputs, place, noise=Noise(sigma=1.0))


def campaign(repeats: int) -> None:
    """10,000 windowed traces, of one filter and of sixteen."""
    twin = build_twin(KWS.read_bytes(), CORES["cortex-m4"])
    print("\n| kws, first layer, one pixel | samples | traces/s, median | least | most |\n|---|---:|---:|---:|---:|")
    with twin.start() as started:
        for filters in (1, 16):
            rates, samples = [], 0
            for number in range(repeats + 1):
                traces = pixel(started, filters, N, number)
                began = time.perf_counter()
                seen = sum(len(chunk.samples) for chunk in traces.chunks(1000))
                rates += [seen / (time.perf_counter() - began)] if number else []
                samples = traces.samples
            figures = " | ".join(f"{v:,.0f}" for v in (statistics.median(rates), min(rates), max(rates)))
            print(f"| filters: {filters}; Hamming weight, noise | {samples:,} | {figures} |")


def million(folder: Path, count: int = 1_000_000) -> None:
    """Simulates, writes, reads and correlates a million traces; peak memory of this process and of the emulator's."""
    from tinymlsec.traces.zarr_store import write_zarr

    twin = build_twin(KWS.read_bytes(), CORES["cortex-m4"])
    began = time.perf_counter()
    with twin.start() as started:
        traces = write_zarr(pixel(started, 1, count, 0), folder / "million")
        status = Path(f"/proc/{started.machine.link.worker.process.pid}/status").read_text()
    written, began, made = time.perf_counter() - began, time.perf_counter(), Correlation()
    for chunk in traces.chunks():
        words = chunk.inputs.view(np.int8).astype(np.int32).view(np.uint32)  # as the core loads them
        made.update(np.bitwise_count(words), chunk.samples)
    found = made.result()
    assert (found.traces, found.values.max() > 0.5) == (count, True)
    read = time.perf_counter() - began
    size = sum(file.stat().st_size for file in (folder / "million").rglob("*") if file.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    emulator = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
    print(
        f"{count:,} traces of {traces.samples} samples (kws, one pixel): simulated and written in {written:.0f} s, "
        f"{size / 1e9:.2f} GB on disk; read and correlated with {len(found.values)} hypotheses in {read:.0f} s; "
        f"peak memory {peak:.0f} MB, emulator {emulator:.0f} MB (bar 2,048)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scared", help="interpreter of an environment with scared")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--traces-of", choices=("kws",))
    parser.add_argument("--million", type=Path, help="folder with 3 GB of room; nothing else is measured then")
    options = parser.parse_args()
    if options.million:
        million(options.million)
        return
    threadpool_limits(1)
    blas = next(info for info in threadpool_info() if info["user_api"] == "blas")
    print(
        f"NumPy {np.__version__}; BLAS {blas['internal_api']} {blas['version']}, kernel {blas['architecture']}, "
        f"{blas['num_threads']} thread; SCALib {scalib_version}; load {os.getloadavg()[0]:.2f}"
    )
    d = data()
    with Config(n_threads=1, show_progress=False).activate(), peer(options.scared, d) as theirs:
        tables(race(contestants(d) | theirs, options.repeats))
    if options.traces_of:
        campaign(options.repeats)
    print(f"\nload at the end {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
