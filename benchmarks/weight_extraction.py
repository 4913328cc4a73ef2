"""How many traces the weights of a layer take: success against traces, by kernel, attacker and signal-to-noise ratio.

    python benchmarks/weight_extraction.py --models DIR [--only kws-1,...] [--ways all,sums,...] [--repetitions 20]
    python benchmarks/weight_extraction.py --models DIR --only firmware-1 --firmware ELF --description TOML \
        --begins 0x... --ends 0x... --records 0x...:0x... --pixel 2,2 [--columns 2 --first 0 --dsp --bias-first]

DIR is the folder with the MLPerf Tiny models. Each repetition draws other inputs, other noise and other filters. Inputs
are uniform random, one interior pixel, simulated Hamming weight, Cortex-M4, zig -O2; or a firmware of yours that holds
kws. Prints Markdown: the share of weights that are exact, with its interval. Ways:

    all        points and levels from an identical build, all samples in which a weight speaks: sums and loads
    sums       the same without loads
    one        plain correlation with the best sample of each sum, gain and level unknown
    pixels     all samples of four output pixels of each inference
    device     without an identical build
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, attack_channel
from tinymlsec.attacks.side_channel._macs import Macs, macs_of
from tinymlsec.attacks.side_channel._weights_foreign import ForeignBench, Kernel
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import build_twin
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model

FILES = {
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
}
WAYS = {
    "all": Strength(0, 1.0, 16),
    "sums": Strength(0, 1.0, 16, loads=False),
    "one": Strength(0, 1.0, 16, loads=False, templates=False),
    "pixels": Strength(0, 1.0, 16, pixels=4),
    "device": Strength(0, 1.0, 16, profiled=False),
}
MOST = ("all", "sums")


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
    ways: tuple[str, ...] = MOST


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
    "kws-ways-1": Row(
        "kws", "plain", 1.0, (50, 100, 150, 200, 300, 400, 600, 1000), 5, 4, ways=("pixels", "all", "sums", "one")
    ),
    "kws-device-1": Row("kws", "plain", 1.0, (300, 500, 1000), 5, 4, ways=("device",)),
    "kws-device-0.1": Row("kws", "plain", 0.1, (3000, 5000, 10_000), 5, 4, ways=("device",)),
    "kws-device-distance-1": Row("kws", "plain", 1.0, (300, 1000), 5, 4, "hamming_distance", ("device",)),
    "firmware-1": Row("kws", "firmware", 1.0, (300, 500, 1000), 5, 4, ways=("all",)),
    "firmware-0.1": Row("kws", "firmware", 0.1, (3000, 5000, 10_000), 5, 4, ways=("all",)),
}


@contextmanager
def boards(row: Row, arguments: argparse.Namespace) -> Iterator[tuple[Bench | ForeignBench, Model, Macs]]:
    """The bench of a row, with its model and layer."""
    data = (arguments.models / FILES[row.model]).read_bytes()
    model, leakage = read_model(data), Leakage(row.leakage)
    macs = macs_of(model, model.main.operators[0])
    with ExitStack() as stack:
        if row.style != "firmware":
            twin = build_twin(data, CORES["cortex-m4"], style=Style(row.style))
            yield stack.enter_context(Bench(twin, leakage)), model, macs
            return
        from tinymlsec.emulate.foreign.description import read_description
        from tinymlsec.emulate.foreign.session import Session

        described = read_description(arguments.description)
        device, own = (stack.enter_context(Session.open(arguments.firmware, described)) for _ in range(2))
        y, x = (int(v) for v in arguments.pixel.split(","))
        ends = tuple(int(v, 0) for v in arguments.records.split(":"))
        kernel = Kernel(
            0, int(arguments.begins, 0), int(arguments.ends, 0), arguments.columns, arguments.channels_apart,
            arguments.first, ((ends[0], ends[1]),), arguments.dsp, arguments.bias_first,
        )  # fmt: skip
        width = int(model.main.tensors[model.main.operators[0].outputs[0]].shape[2])
        yield ForeignBench(device, own, kernel, width, leakage), model, replace(macs.moved((y, x)), pixels=((y, x),))


def measured(row: Row, ways: tuple[str, ...], repetitions: int, arguments: argparse.Namespace) -> None:
    """Prints one line for each number of traces and way."""
    with boards(row, arguments) as (bench, model, macs):
        profile = bench.points(macs, np.random.default_rng(0))
        for count in row.traces:
            for way in ways:
                strength = replace(WAYS[way], traces=count, snr=row.snr)
                print(line(row, way, bench, model, LayerResult(macs, profile), strength, repetitions), flush=True)


def line(
    row: Row, way: str, bench: Bench | ForeignBench, model: Model, layer: LayerResult, strength: Strength,
    repetitions: int,
) -> str:  # fmt: skip
    """One row of the table."""
    began, exact, total, whole, biases = time.perf_counter(), 0, 0, 0, 0
    shape = model.main.tensors[layer.macs.input_tensor].shape
    for repetition in range(repetitions):
        rng = np.random.default_rng((repetition, strength.traces))
        inputs = rng.integers(-128, 128, (strength.traces, *shape)).astype(np.int8)
        fresh = LayerResult(layer.macs, layer.profile)  # nothing is carried over to another campaign
        for channel in rng.choice(layer.macs.channels, row.filters, replace=False):
            found = attack_channel(bench, model, fresh, int(channel), inputs, strength, rng)
            exact, total = exact + int(found.exact.sum()), total + len(found.exact)
            whole, biases = whole + bool(found.exact.all()), biases + bool(found.bias_exact)
    share, runs = share_of(exact, total), repetitions * row.filters
    head = f"| {row.model} | {row.style} | {row.leakage} | {row.snr:g} | {strength.traces:,} | {way} "
    tail = f"| {total:,} | {whole} of {runs} | {biases} of {runs} | {time.perf_counter() - began:.0f} |"
    return f"{head}| {share.value:.4f} [{share.low:.4f}, {share.high:.4f}] {tail}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--only", default=",".join(name for name in ROWS if not name.startswith("firmware")))
    parser.add_argument("--ways")
    parser.add_argument("--traces")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--firmware", type=Path)
    parser.add_argument("--description", type=Path)
    for name in ("--begins", "--ends", "--records", "--pixel"):
        parser.add_argument(name)
    parser.add_argument("--columns", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    for name in ("--channels-apart", "--dsp", "--bias-first"):
        parser.add_argument(name, action="store_true")
    arguments = parser.parse_args()
    print("| model | kernel | leakage | ratio | traces | way | weights exact | n | filters | biases | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.only.split(","):
        row = ROWS[name]
        if arguments.traces:
            row = replace(row, traces=tuple(int(count) for count in arguments.traces.split(",")))
        ways = tuple(arguments.ways.split(",")) if arguments.ways else row.ways
        measured(row, ways, arguments.repetitions or row.repetitions, arguments)


if __name__ == "__main__":
    main()
