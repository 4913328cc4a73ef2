"""Square side by side with the Adversarial Robustness Toolbox: same inputs, same size, same oracle.

    python -m venv art && art/bin/pip install . adversarial-robustness-toolbox==1.20.1 packaging
    art/bin/python benchmarks/square.py [--samples 50] [--eps 2] [--queries 300] [--seeds 3]

Needs ../shared/data beside the repository and an environment of its own, because ART brings packages that tinymlsec
does not want. Attacks correctly answered samples of the keyword-spotting model and prints a Markdown table: accuracy
left on them, model inferences per sample, and time. Every inference that an attack asks for is counted, ART's repeated
ones included: it asks for the current candidates again in every iteration. ART's squares must fit the narrow side of
the input (10), which its starting size of 0.8 does not, so it is given 0.15, and ours is shown at both.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks._asking import asker
from tinymlsec.attacks.evasion._square_search import search
from tinymlsec.loading import Sources, load_target
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.victim import Victim

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "mlperf_tiny_kws"
P_ART = 0.15


@dataclass(frozen=True)
class Bout:
    """What both are given."""

    victim: Victim
    x: NDArray[np.int8]
    y: NDArray[np.int64]
    eps: int
    queries: int

    def left(self, codes: NDArray[np.int8]) -> float:
        """Share of the samples that are still answered correctly; the size of the change is checked."""
        assert np.abs(codes.astype(int) - self.x.astype(int)).max() <= self.eps
        return float(np.mean(self.victim.decisions(self.victim.scores(codes)) == self.y))


def ours(bout: Bout, seed: int, p_init: float) -> NDArray[np.int8]:
    result = search(
        asker(bout.victim, bout.y),
        bout.victim.space,
        bout.x,
        np.random.default_rng(seed),
        eps_steps=bout.eps,
        max_queries=bout.queries,
        p_init=p_init,
    )
    return result.codes


def art(bout: Bout, seed: int, iterations: int) -> NDArray[np.int8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import SquareAttack
        from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    def predict(batch: NDArray[np.float32]) -> NDArray[np.float64]:
        return bout.victim.scores(np.rint(batch).astype(np.int8))

    np.random.seed(seed)  # ART draws from the global generator
    model = BlackBoxClassifierNeuralNetwork(
        predict, bout.x.shape[1:], bout.victim.classes, channels_first=False, clip_values=(-128, 127)
    )
    attack = SquareAttack(
        model, eps=bout.eps, max_iter=iterations, p_init=P_ART, nb_restarts=1, batch_size=1024, verbose=False
    )
    return np.rint(attack.generate(bout.x.astype(np.float32), bout.y)).astype(np.int8)


def row(name: str, bout: Bout, pool: OraclePool, attack: Callable[[int], NDArray[np.int8]], seeds: int) -> str:
    left, spent, seconds = [], [], []
    for seed in range(seeds):
        before, clock = pool.inferences, time.perf_counter()
        codes = attack(seed)
        seconds.append(time.perf_counter() - clock)
        spent.append((pool.inferences - before) / len(bout.x))
        left.append(bout.left(codes))
    spread = f"{min(left):.1%} to {max(left):.1%}"
    return f"| {name} | {np.median(left):.1%} ({spread}) | {np.median(spent):.0f} | {np.median(seconds):.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, value in (("--samples", 50), ("--eps", 2), ("--queries", 300), ("--seeds", 3)):
        parser.add_argument(option, type=int, default=value)
    options = parser.parse_args()
    with OraclePool(workers=2) as pool:
        target = load_target(Sources(model=DATA / "kws_ref_model.tflite", data=DATA / "kws01.npz"), pool)
        assert target.dataset is not None
        rows = np.flatnonzero(target.clean.correct)[: options.samples]
        x, y = target.dataset.x[rows], target.clean.truth[rows]
        bout = Bout(target.require_victim(), x, y, options.eps, options.queries)
        print(f"{len(rows)} correctly answered samples, eps = {options.eps} input steps, {options.seeds} seeds\n")
        print("| attack | accuracy left (range over seeds) | inferences per sample | seconds |\n|---|---|---|---|")
        budget, third = options.queries, options.queries // 3
        bouts: tuple[tuple[str, Callable[[int], NDArray[np.int8]]], ...] = (
            (f"tinymlsec, {budget} queries", lambda seed: ours(bout, seed, 0.8)),
            (f"tinymlsec, {budget} queries, starting size {P_ART}", lambda seed: ours(bout, seed, P_ART)),
            (f"ART, {third} iterations (about {budget} queries)", lambda seed: art(bout, seed, third)),
            (f"ART, {budget} iterations", lambda seed: art(bout, seed, budget)),
        )
        for name, attack in bouts:
            print(row(name, bout, pool, attack, options.seeds), flush=True)


if __name__ == "__main__":
    main()
