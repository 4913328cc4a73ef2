"""The attacks on the lifted graph against the real models: as strong as promised, and exact on what they find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attacks.attack_targets import Workbench, dataset
from tinymlsec.evidence import Observation
from tinymlsec.records import VerdictKind
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.reader import read_model

torch = pytest.importorskip("torch", reason="the lift needs PyTorch")

from lift.models import FILES  # noqa: E402
from lift.training_data import images  # noqa: E402
from tinymlsec.attacks.evasion.pgd import pgd  # noqa: E402
from tinymlsec.attacks.fault.progressive_bit_search import progressive_bit_search  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402

pytestmark = pytest.mark.slow
SAMPLES = {"ic": 2000, "kws": 1000}
LEFT = {"ic": {2: 0.01}, "kws": {1: 0.02, 2: 0.01}}
"""Largest robust accuracy that one restart of twenty steps may leave, by size in input steps."""
FLIPS = {"ic": 8, "kws": 12}
"""Largest median of flips to chance over three seeds."""


def target_of(name: str, data: Path, bench: Workbench) -> Target:
    content = (data / FILES[name]).read_bytes()
    if name == "kws":
        with np.load(data / "mlperf_tiny_kws" / "kws01.npz", allow_pickle=False) as file:
            x, y = file["x"], file["y"]
    else:
        x, y = images(data / "cifar10_jpeg" / "cifar10_jpeg_test2000.zip")
    assert len(x) == SAMPLES[name]
    return bench.target(content, dataset(x, y.astype(np.int64)))


def robust(observation: Observation, size: int) -> float:
    label = f"{size} input step{'' if size == 1 else 's'}"
    return next(m.value for m in observation.metrics if m.name == "robust_accuracy" and m.label == label)


@pytest.mark.parametrize("name", SAMPLES)
def test_pgd_leaves_next_to_nothing_and_the_lift_is_exact_on_what_it_finds(
    name: str, shared_data: Path, bench: Workbench, tmp_path: Path
) -> None:
    target = target_of(name, shared_data, bench)
    seen = bench.run(
        pgd, target, folder=tmp_path, samples=SAMPLES[name], steps=20, restarts=1, eps_steps=2, eps_curve=(1, 2),
        l2_curve=(), noise_limit=1.0, noise_draws=1,
    )  # fmt: skip
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    for size, most in LEFT[name].items():
        assert robust(seen, size) <= most
    assert seen.facts["disagreements_with_runtime"] == 0
    with np.load(tmp_path / seen.artifacts[0].sha256, allow_pickle=False) as kept:
        codes = kept["adversarial"]
    assert len(codes) >= 0.9 * seen.facts["attacked"]
    theirs = bench.pool.open(target.data).run(codes)
    np.testing.assert_array_equal(LiftedGraph(read_model(target.data)).predict(codes).reshape(theirs.shape), theirs)


@pytest.mark.parametrize("name", SAMPLES)
def test_few_chosen_flips_bring_the_model_to_chance(name: str, shared_data: Path, bench: Workbench) -> None:
    seen = bench.run(progressive_bit_search, target_of(name, shared_data, bench), seeds=3, max_flips=20)
    flips = [search["flips_to_chance"] for search in seen.facts["searches"]]
    assert None not in flips
    assert np.median(flips) <= FLIPS[name]
    assert seen.facts["disagreements_with_runtime"] == 0
