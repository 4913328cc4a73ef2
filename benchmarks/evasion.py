"""PGD side by side with ART, Foolbox and torchattacks: same model, same images, same size, judged by the runtime.

    python -m venv peers && peers/bin/pip install '.[lift]' adversarial-robustness-toolbox==1.20.1 packaging
    peers/bin/pip install foolbox==3.3.4 && peers/bin/pip install --no-deps torchattacks==3.5.1
    peers/bin/python benchmarks/evasion.py ic --data IC.npz [--samples 200] [--eps 2] [--steps 20] [--seeds 3]
    peers/bin/python benchmarks/evasion.py kws [--eps 1]

Needs ../shared/data beside the repository, and an environment of its own, because the libraries bring packages that
tinymlsec does not want; one that is missing is left out with a line that says so. None of them takes a quantized model,
so each gets ours as a PyTorch module: codes are rounded straight-through, then comes the lifted graph. What they return
is rounded to codes; a point that then lies outside of the box would be an error. Accuracy left is what the runtime
answers correctly of the attacked images. Evaluations are inputs that went through the module, forward, per image. All
get `--steps` steps of 2.5 eps / steps from a random start, and stop where their own code stops; ours is `pgd_search`
with one restart. ART's Square attack asks the runtime itself, as a black box, `--square` iterations on
`--square-samples` images.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinymlsec.attacks._white_box import WhiteBox
from tinymlsec.attacks.evasion._pgd_search import Reach, pgd_search
from tinymlsec.loading import Sources, load_target
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.victim import Victim

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODELS = {
    "ic": (DATA / "mlperf_tiny_ic" / "pretrainedResnet_quant.tflite", None),
    "kws": (DATA / "mlperf_tiny_kws" / "kws_ref_model.tflite", DATA / "mlperf_tiny_kws" / "kws01.npz"),
}
LOW, HIGH = -128.0, 127.0
Codes = NDArray[np.int8]


class Adapter(nn.Module):
    """The lifted graph as libraries want a model: floats in, scores out, gradients through the rounding."""

    def __init__(self, box: WhiteBox, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.box, self.scale, self.offset, self.seen = box, scale, offset, 0

    def forward(self, x: Tensor) -> Tensor:
        """Scores (n, k) of x * scale + offset."""
        self.seen += len(x)
        codes = x * self.scale + self.offset
        rounded = codes + (codes.round().clamp(LOW, HIGH) - codes).detach()
        return self.box.forward(rounded)[0]


@dataclass
class Bout:
    """What all are given."""

    box: WhiteBox
    x: Codes
    y: NDArray[np.int64]
    eps: int
    steps: int
    seen: int = field(default=0)

    @property
    def step(self) -> float:
        return 2.5 * self.eps / self.steps

    def batches(self, attack: Callable[[Tensor, Tensor], Tensor], module: Adapter) -> Codes:
        """Run a library's attack on batches of the size that suits the graph, and round what it returns."""
        size, parts = self.box.graph.batch, []
        for start in range(0, len(self.x), size):
            x = torch.from_numpy(self.x[start : start + size].astype(np.float32))
            found = attack((x - module.offset) / module.scale, torch.from_numpy(self.y[start : start + size]))
            parts.append(found.detach() * module.scale + module.offset)
        self.seen = module.seen
        return torch.cat(parts).round().clamp(LOW, HIGH).numpy().astype(np.int8)


def ours(bout: Bout, seed: int) -> Codes:
    rng = np.random.default_rng(seed)
    reach = Reach("linf", bout.eps)
    found = pgd_search(bout.box, bout.x, bout.y, rng, reach=reach, steps=bout.steps, restarts=1)
    bout.seen = int(found.passes.sum())
    codes: Codes = found.codes
    return codes


def art_pgd(bout: Bout, seed: int) -> Codes:
    from art.attacks.evasion import ProjectedGradientDescentNumpy
    from art.estimators.classification import PyTorchClassifier

    np.random.seed(seed)  # ART draws from the global generator
    module = Adapter(bout.box)
    model = PyTorchClassifier(
        module, nn.CrossEntropyLoss(), bout.x.shape[1:], bout.box.victim.classes, clip_values=(LOW, HIGH)
    )
    attack = ProjectedGradientDescentNumpy(
        model, eps=bout.eps, eps_step=bout.step, max_iter=bout.steps, num_random_init=1, verbose=False,
        batch_size=bout.box.graph.batch,
    )  # fmt: skip
    return bout.batches(lambda x, y: torch.from_numpy(attack.generate(x.numpy(), y.numpy())), module)


def foolbox_pgd(bout: Bout, seed: int) -> Codes:
    import foolbox

    torch.manual_seed(seed)
    module = Adapter(bout.box).eval()
    model = foolbox.PyTorchModel(module, bounds=(LOW, HIGH), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=bout.step, steps=bout.steps, random_start=True)
    return bout.batches(lambda x, y: attack(model, x, y, epsilons=float(bout.eps))[1], module)


def torchattacks_pgd(bout: Bout, seed: int) -> Codes:
    import torchattacks

    torch.manual_seed(seed)
    module = Adapter(bout.box, HIGH - LOW, LOW).eval()
    attack = torchattacks.PGD(module, eps=bout.eps / 255, alpha=bout.step / 255, steps=bout.steps, random_start=True)
    return bout.batches(lambda x, y: attack(x, y), module)


def art_square(bout: Bout, seed: int, iterations: int) -> Codes:
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    victim: Victim = bout.box.victim

    def predict(batch: NDArray[np.float32]) -> NDArray[np.float64]:
        bout.seen += len(batch)
        return victim.scores(np.rint(batch).astype(np.int8))

    bout.seen = 0
    np.random.seed(seed)
    shape = bout.x.shape[1:]
    model = BlackBoxClassifierNeuralNetwork(
        predict, shape, victim.classes, channels_first=False, clip_values=(LOW, HIGH)
    )
    attack = SquareAttack(
        model, eps=bout.eps, max_iter=iterations, p_init=0.15, nb_restarts=1, batch_size=1024, verbose=False
    )
    return np.rint(attack.generate(bout.x.astype(np.float32), bout.y)).astype(np.int8)


def row(name: str, bout: Bout, attack: Callable[[Bout, int], Codes], seeds: int) -> str:
    """One line of the table, medians over seeds."""
    left, seen, seconds = [], [], []
    for seed in range(seeds):
        clock = time.perf_counter()
        try:
            codes = attack(bout, seed)
        except ImportError as error:
            return f"| {name} | not installed: {error} | | |"
        seconds.append(time.perf_counter() - clock)
        outside = np.abs(codes.astype(int) - bout.x.astype(int)).max()
        assert outside <= bout.eps, f"{name} left the box: {outside} steps"
        victim = bout.box.victim
        left.append(float(np.mean(victim.decisions(victim.scores(codes)) == bout.y)))
        seen.append(bout.seen / len(bout.x))
    spread = f"{min(left):.1%} to {max(left):.1%}"
    return f"| {name} | {np.median(left):.1%} ({spread}) | {np.median(seen):.1f} | {np.median(seconds):.1f} |"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--data", type=Path, help="samples with labels (.npz); kws brings its own")
    defaults = {"samples": 200, "eps": 2, "steps": 20, "seeds": 3, "square": 100, "square-samples": 50, "threads": 2}
    for option, value in defaults.items():
        parser.add_argument(f"--{option}", type=int, default=value)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    file, samples = MODELS[options.model]
    with OraclePool(workers=2) as pool:
        target = load_target(Sources(model=file, data=options.data or samples), pool)
        assert target.dataset is not None
        rows = np.flatnonzero(target.clean.correct)
        rows = np.sort(np.random.default_rng(0).permutation(rows)[: options.samples])
        x, y = target.dataset.x[rows], target.clean.truth[rows]
        bout = Bout(WhiteBox(target.lifted.graph, target.require_victim()), x, y, options.eps, options.steps)
        few = Bout(bout.box, x[: options.square_samples], y[: options.square_samples], options.eps, options.steps)
        print(
            f"{options.model}: {len(rows)} correctly answered samples, eps = {options.eps} input steps, "
            f"{options.steps} steps, {options.seeds} seeds, {options.threads} threads\n"
        )
        print("| attack | accuracy left (range over seeds) | evaluations per sample | seconds |\n|---|---|---|---|")
        peers: tuple[tuple[str, Callable[[Bout, int], Codes]], ...] = (
            ("tinymlsec PGD", ours),
            ("ART 1.20.1 PGD", art_pgd),
            ("Foolbox 3.3.4 LinfPGD", foolbox_pgd),
            ("torchattacks 3.5.1 PGD", torchattacks_pgd),
        )
        ours(few, 0)  # the first touch of memory is slow, and nobody's fault
        for name, attack in peers:
            print(row(name, bout, attack, options.seeds), flush=True)
        if options.square:
            square: Any = lambda b, seed: art_square(b, seed, options.square)  # noqa: E731
            name = f"ART 1.20.1 Square, black box on the runtime, {len(few.x)} samples"
            print(row(name, few, square, 1), flush=True)


if __name__ == "__main__":
    main()
