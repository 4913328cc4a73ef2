"""Rates of the lifted graph beside the runtime's, and what its time goes into.

    python benchmarks/lift.py [--repeats 7] [--threads 1] [--models kws ic vww ad]

Needs ../shared/data beside the repository. One process and one thread each; rounds of the two alternate, and the best
round counts, because whatever else the machine does only ever adds time. Prints Markdown tables: inferences per second
of the runtime, of the lifted graph forward (batch as `LiftedGraph.predict` chooses it), of forward and backward down to
the input, and the share of the forward pass per kernel of PyTorch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

from tinymlsec.lift.graph import LiftedGraph
from tinymlsec.target.oracle import ModelHandle, OraclePool
from tinymlsec.target.tflite.reader import read_model_file

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = {
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "vww": "mlperf_tiny_vww/vww_96_int8.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
}
SAMPLES = {"kws": 256, "ic": 96, "vww": 64, "ad": 4096}
GRADIENT_BATCH = 64
KERNELS = 8


@dataclass(frozen=True)
class Rates:
    """Inferences per second, best of the rounds."""

    model: str
    runtime: float
    forward: float
    backward: float
    batch: int

    @property
    def row(self) -> str:
        """A row of the table."""
        times = self.forward / self.runtime
        return (
            f"| {self.model} | {self.runtime:,.0f} | {self.forward:,.0f} | {times:.1f} | {self.backward:,.0f} "
            f"| {self.batch} |"
        )


def gradients(graph: LiftedGraph, codes: NDArray[np.int8]) -> None:
    """Forward and backward down to the input, in batches."""
    for start in range(0, len(codes), GRADIENT_BATCH):
        x = graph.as_input(codes[start : start + GRADIENT_BATCH]).requires_grad_()
        output = graph(x)
        assert isinstance(output, torch.Tensor)
        torch.autograd.grad(output.sum(), x)


def seconds(work: Callable[[], object]) -> float:
    """Duration of a piece of work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(name: str, graph: LiftedGraph, handle: ModelHandle, codes: NDArray[np.int8], repeats: int) -> Rates:
    """All three, in alternating rounds after a first one that does not count."""
    pieces = (lambda: handle.run(codes), lambda: graph.predict(codes), lambda: gradients(graph, codes))
    rounds = [[seconds(piece) for piece in pieces] for _ in range(repeats + 1)][1:]
    runtime, forward, backward = (len(codes) / min(column) for column in zip(*rounds, strict=True))
    return Rates(name, runtime, forward, backward, graph.batch)


def shares(graph: LiftedGraph, codes: NDArray[np.int8]) -> Iterator[tuple[str, float]]:
    """Kernels of PyTorch with their share of the forward pass, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        graph.predict(codes)
    events = sorted(recorded.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    return ((event.key, event.self_cpu_time_total / whole) for event in events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", nargs="+", choices=FILES, default=list(FILES))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rates, tables = [], []
    with OraclePool(1) as pool:
        for name in options.models:
            model, content = read_model_file(DATA / FILES[name])
            shape = model.main.tensors[model.main.inputs[0]].shape[1:]
            codes = np.random.default_rng(0).integers(-128, 128, (SAMPLES[name], *shape)).astype(np.int8)
            graph, handle = LiftedGraph(model), pool.open(content)
            rates.append(measure(name, graph, handle, codes, options.repeats))
            kernels = islice(shares(graph, codes), KERNELS)
            tables.append(f"| {name} | " + ", ".join(f"{kernel} {share:.0%}" for kernel, share in kernels) + " |")
    print("| model | runtime /s | lift forward /s | times | forward and backward /s | batch |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", *(rate.row for rate in rates), sep="\n")
    print("\n| model | share of the forward pass, per kernel |\n| --- | --- |", *tables, sep="\n")


if __name__ == "__main__":
    main()
