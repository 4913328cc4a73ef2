"""A campaign from firmware to weights: kws's first layer, 10,000 windowed traces of 16 filters, generated and attacked.

    python benchmarks/sidechannel_campaign.py --models DIR [--snr 1,0.1] [--repeats 5]

DIR is the folder with the MLPerf Tiny models. The firmware is built before the clock starts. *Generated*: every sample
of the window of 16 filters (one interior pixel), with noise, in chunks that are thrown away. *Profiled*: points found
on the attacker's own board. *Attacked*: each of the 16 filters, the traces at its points made anew, weights and bias
recovered. Inputs are uniform random, plain kernels, Hamming weight, Cortex-M4, zig -O2, one thread. Wall-clock seconds,
and processor seconds of this process and the emulators together; the bar is 60 s for all of it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, attack_channel
from tinymlsec.attacks.side_channel._macs import macs_of
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.traces.campaign import CampaignOptions, campaign_of
from tinymlsec.traces.traceset import Noise

MODEL = "mlperf_tiny_kws/kws_ref_model.tflite"
TRACES, FILTERS, BEAM, BAR = 10_000, 16, 16, 60.0
WINDOW = f"op:0@12,2,0:{FILTERS}"


@dataclass(frozen=True)
class Round:
    """Seconds of one round, and what it found."""

    generated: float
    profiled: float
    attacked: float
    cpu: float
    samples: int
    exact: int
    total: int
    whole: int

    @property
    def wall(self) -> float:
        return self.generated + self.profiled + self.attacked


def cpu_seconds() -> float:
    """Of this process and of the children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def generated(twin: Twin, data: bytes, snr: float, seed: int) -> tuple[float, int]:
    """Seconds and samples of a trace."""
    began, seen = time.perf_counter(), 0
    options = CampaignOptions(WINDOW, TRACES, noise=Noise(snr=snr), seed=seed)
    with campaign_of(twin, data, options, MODEL) as traces:
        for chunk in traces.chunks(1000):
            seen += len(chunk.samples)
        samples = traces.samples
    assert seen == TRACES
    return time.perf_counter() - began, samples


def one_round(twin: Twin, data: bytes, snr: float, seed: int) -> Round:
    used = cpu_seconds()
    seconds, samples = generated(twin, data, snr, seed)
    rng = np.random.default_rng(seed)
    macs = macs_of(twin.model, twin.model.main.operators[0])
    inputs = rng.integers(-128, 128, (TRACES, *twin.model.main.tensors[macs.input_tensor].shape)).astype(np.int8)
    began = time.perf_counter()
    with Bench(twin, Leakage("hamming_weight")) as bench:
        layer = LayerResult(macs, bench.points(macs, rng))
        profiled = time.perf_counter()
        strength = Strength(TRACES, snr, BEAM)
        for channel in range(FILTERS):
            layer.channels.append(attack_channel(bench, twin.model, layer, channel, inputs, strength, rng))
        ended = time.perf_counter()
    exact = [channel.exact for channel in layer.channels]
    return Round(
        seconds, profiled - began, ended - profiled, cpu_seconds() - used, samples,
        sum(int(e.sum()) for e in exact), sum(len(e) for e in exact), sum(bool(e.all()) for e in exact),
    )  # fmt: skip


def row(snr: float, rounds: list[Round]) -> str:
    """One line of the table: medians of the rounds."""

    def median(values: list[float]) -> str:
        return f"{statistics.median(values):.1f}"

    walls = [r.wall for r in rounds]
    share = share_of(sum(r.exact for r in rounds), sum(r.total for r in rounds))
    parts = [
        median([getattr(r, name) for r in rounds]) for name in ("generated", "profiled", "attacked", "wall", "cpu")
    ]
    cells = (
        f"{snr:g}", f"{rounds[0].samples:,}", *parts[:4], f"{min(walls):.1f} to {max(walls):.1f}", parts[4],
        f"{share.value:.4f} [{share.low:.4f}, {share.high:.4f}]", f"{share.n:,}",
        f"{sum(r.whole for r in rounds)} of {FILTERS * len(rounds)}",
        "yes" if statistics.median(walls) <= BAR else "no",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--snr", default="1,0.1")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    threadpool_limits(1)
    data = (arguments.models / MODEL).read_bytes()
    twin = build_twin(data, CORES["cortex-m4"])
    print(f"{TRACES:,} traces, {FILTERS} filters, {arguments.repeats} rounds, load {os.getloadavg()[0]:.2f}\n")
    print(
        "| ratio | samples | generated s | profiled s | attacked s | all s, median | least to most | cpu s "
        f"| weights exact | n | whole filters | within {BAR:g} s |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for snr in map(float, arguments.snr.split(",")):
        print(row(snr, [one_round(twin, data, snr, seed) for seed in range(arguments.repeats)]), flush=True)
    print(f"\nload at the end {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
