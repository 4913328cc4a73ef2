"""How many traces the weights of a layer take: success against traces, by kernel and signal-to-noise ratio.

    python benchmarks/weight_extraction.py --models DIR [--only kws-1] [--repetitions 20]

DIR is the folder with the MLPerf Tiny models. Each repetition draws other inputs, other noise and other filters. Inputs
are uniform random, one interior pixel, points from an identical build, simulated Hamming weight, Cortex-M4, zig -O2.
Prints Markdown: the share of weights that are exact, with its interval, with loads of weights and with sums alone.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, attack_channel
from tinymlsec.attacks.side_channel._macs import macs_of
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import build_twin

FILES = {
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
}


@dataclass(frozen=True)
class Row:
    """One layer under one kernel and ratio."""

    model: str
    style: str
    snr: float
    traces: tuple[int, ...]
    repetitions: int
    filters: int
    leakage: str = "hamming_weight"


ROWS = {
    "kws-1": Row("kws", "plain", 1.0, (100, 200, 300, 500, 1000), 20, 8),
    "ic-1": Row("ic", "plain", 1.0, (100, 200, 300, 500, 1000), 20, 8),
    "ad-1": Row("ad", "plain", 1.0, (300, 1000), 5, 2),
    "kws-0.1": Row("kws", "plain", 0.1, (1000, 3000, 10_000), 20, 8),
    "ic-0.1": Row("ic", "plain", 0.1, (1000, 3000, 10_000), 20, 8),
    "ad-0.1": Row("ad", "plain", 0.1, (3000, 10_000), 5, 2),
    "kws-dsp-1": Row("kws", "dsp", 1.0, (300, 1000), 5, 4),
    "kws-dsp-0.1": Row("kws", "dsp", 0.1, (3000, 10_000), 5, 4),
    "kws-distance-1": Row("kws", "plain", 1.0, (300, 1000), 5, 4, "hamming_distance"),
    "kws-0.01": Row("kws", "plain", 0.01, (10_000, 30_000, 100_000), 1, 1),
}


def measured(row: Row, models: Path, repetitions: int) -> None:
    """Prints one line for each number of traces."""
    twin = build_twin((models / FILES[row.model]).read_bytes(), CORES["cortex-m4"], style=Style(row.style))
    macs = macs_of(twin.model, twin.model.main.operators[0])
    shape = twin.model.main.tensors[macs.input_tensor].shape
    with Bench(twin, Leakage(row.leakage)) as bench:
        layer = LayerResult(macs, bench.points(macs, np.random.default_rng(0)))
        for count in row.traces:
            for loads in (True, False):
                began, exact, total, whole = time.perf_counter(), 0, 0, 0
                for repetition in range(repetitions):
                    rng = np.random.default_rng((repetition, count))
                    strength = Strength(count, row.snr, 16, 1, loads)
                    inputs = rng.integers(-128, 128, (count, *shape)).astype(np.int8)
                    for channel in rng.choice(macs.channels, row.filters, replace=False):
                        found = attack_channel(bench, twin.model, layer, int(channel), inputs, strength, rng)
                        exact, total = exact + int(found.exact.sum()), total + len(found.exact)
                        whole += bool(found.exact.all())
                share = share_of(exact, total)
                runs, used = repetitions * row.filters, "sums and loads" if loads else "sums"
                head = f"| {row.model} | {row.style} | {row.leakage} | {row.snr:g} | {count:,} | {used} "
                tail = f"| {total:,} | {whole} of {runs} | {time.perf_counter() - began:.0f} |"
                print(f"{head}| {share.value:.4f} [{share.low:.4f}, {share.high:.4f}] {tail}", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--only", default=",".join(ROWS))
    parser.add_argument("--repetitions", type=int)
    arguments = parser.parse_args()
    print("| model | kernel | leakage | ratio | traces | samples | weights exact | n | whole filters | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.only.split(","):
        row = replace(ROWS[name])
        measured(row, arguments.models, arguments.repetitions or row.repetitions)


if __name__ == "__main__":
    main()
