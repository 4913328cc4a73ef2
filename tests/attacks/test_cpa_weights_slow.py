"""Acceptance runs on the real models: traces that weights take, and what a clone is worth. Slow, with their bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")

from attacks.attack_targets import Workbench
from tinymlsec.analysis.intervals import Share, share_of
from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, attack_channel
from tinymlsec.attacks.side_channel._macs import Macs, macs_of
from tinymlsec.attacks.side_channel.cpa_weights import cpa_weights
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import build_twin
from tinymlsec.evidence import Observation
from tinymlsec.target.data import Dataset, load_dataset
from tinymlsec.target.device import load_device

pytestmark = pytest.mark.slow

FILES = {
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
}


@contextmanager
def layer_of(shared: Path, name: str, style: str) -> Iterator[tuple[Bench, Macs]]:
    """The bench of a model's first layer."""
    twin = build_twin((shared / FILES[name]).read_bytes(), CORES["cortex-m4"], style=Style(style))
    with Bench(twin, Leakage()) as bench:
        yield bench, macs_of(twin.model, twin.model.main.operators[0])


def recovered(bench: Bench, macs: Macs, strength: Strength, repetitions: int, filters: int) -> Share:
    """Weights that are exact, over campaigns with other inputs, noise and filters."""
    model, exact, total = bench.twin.model, 0, 0
    profile = bench.points(macs, np.random.default_rng(0))
    shape = model.main.tensors[macs.input_tensor].shape
    for repetition in range(repetitions):
        rng = np.random.default_rng((repetition, strength.traces))
        inputs = rng.integers(-128, 128, (strength.traces, *shape)).astype(np.int8)
        layer = LayerResult(macs, profile)
        for channel in rng.choice(macs.channels, filters, replace=False):
            found = attack_channel(bench, model, layer, int(channel), inputs, strength, rng)
            exact, total = exact + int(found.exact.sum()), total + len(found.exact)
    return share_of(exact, total)


@dataclass(frozen=True)
class Bar:
    """So many of the weights from at most so many traces."""

    model: str
    style: str
    strength: Strength
    repetitions: int
    filters: int
    least: float = 0.99


ONE, TENTH = Strength(1000, 1.0, 16), Strength(10_000, 0.1, 16)
BARS = [
    Bar("kws", "plain", ONE, 20, 8),
    Bar("kws", "plain", TENTH, 20, 8),
    Bar("ic", "plain", ONE, 20, 8),
    Bar("ic", "plain", TENTH, 20, 8),
    Bar("ad", "plain", ONE, 5, 2),
    Bar("ad", "plain", TENTH, 5, 2),
    Bar("kws", "plain", replace(ONE, profiled=False), 5, 4, least=0.93),  # measured: 0.951; no bar was asked for
    Bar("kws", "plain", replace(TENTH, profiled=False), 5, 4, least=0.9),
]


@pytest.mark.parametrize(
    "bar", BARS, ids=lambda b: f"{b.model}-{b.strength.snr:g}{'' if b.strength.profiled else '-device-alone'}"
)
def test_weights_from_so_many_traces(bar: Bar, shared_data: Path) -> None:
    with layer_of(shared_data, bar.model, bar.style) as (bench, macs):
        share = recovered(bench, macs, bar.strength, bar.repetitions, bar.filters)
    assert share.value >= bar.least, f"{share.value:.4f} [{share.low:.4f}, {share.high:.4f}] of {share.n}"


def test_all_samples_together_take_half_the_traces(shared_data: Path) -> None:
    """What four output pixels with sums and loads give is out of reach of one sample with twice the traces."""
    with layer_of(shared_data, "kws", "plain") as (bench, macs):
        together = recovered(bench, macs, Strength(100, 1.0, 16, pixels=4), 5, 4)
        alone = recovered(bench, macs, Strength(200, 1.0, 16, loads=False, templates=False), 5, 4)
    assert together.value >= 0.99
    assert alone.high < 0.99


def cloned(
    bench: Workbench, data: bytes, folder: Path, samples: Dataset | None = None, **config: object
) -> tuple[bytes, Observation]:
    """The clone of a model, and what was observed."""
    target = replace(bench.target(data, samples), device=load_device("stm32l4r5zi"))
    seen = bench.run(cpa_weights, target, folder=folder, clone=True, **config)
    return (folder / seen.artifacts[0].sha256).read_bytes(), seen


def test_hello_world_is_cloned_within_two_steps(bench: Workbench, shared_data: Path, tmp_path: Path) -> None:
    """Over all 256 inputs that there are."""
    data = (shared_data / "tflm_hello_world" / "hello_world_int8.tflite").read_bytes()
    copy, _ = cloned(bench, data, tmp_path, traces=4000)
    codes = np.arange(-128, 128).astype(np.int8).reshape(256, 1)
    right, made = (bench.victim_of(file).raw(codes).astype(int).ravel() for file in (data, copy))
    assert np.abs(right - made).max() <= 2
    assert len(set(right)) > 100, "the original answers with many values, so that two steps mean something"


def test_keyword_spotting_is_cloned(bench: Workbench, shared_data: Path, tmp_path: Path) -> None:
    """99 % of 200 recordings that were never traced get the same label; half an hour at most."""
    data = (shared_data / FILES["kws"]).read_bytes()
    space = bench.target(data).space
    assert space is not None
    recordings = load_dataset(shared_data / "mlperf_tiny_kws" / "kws01.npz", space, frames=False)
    _, seen = cloned(bench, data, tmp_path, recordings, traces=2000, pixels=2)
    labels = next(metric for metric in seen.metrics if metric.label == "largest output")
    assert labels.n == 200
    assert labels.value >= 0.99
