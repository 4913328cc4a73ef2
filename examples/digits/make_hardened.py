"""Remakes the hardened digits model: the network of the plain one, trained from scratch against an adversary.

It needs tinymlsec with its lift extra, and takes data and topology from the bundled example:

    python examples/digits/make_hardened.py --out src/tinymlsec/examples/digits
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from quantize import INPUT_GRID

from tinymlsec import examples
from tinymlsec.lift.adversary import Adversary, robust_share
from tinymlsec.lift.augment import Augment
from tinymlsec.lift.border import forward_from_codes
from tinymlsec.lift.graph import LiftedGraph
from tinymlsec.lift.threads import deterministic
from tinymlsec.lift.train import Epoch, ScratchConfig, TrainConfig, from_scratch
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

DESCRIPTION = "tinymlsec digits example, adversarially trained"
RADIUS = 24
"""Input steps of 16/255, so 1.5 of the 16 gray levels of a pixel."""
REPORTED_RADII = (8, 16, 24, 32)
PGD_STEPS = 20


def main() -> None:
    arguments = parse_arguments()
    started = time.perf_counter()
    data, plain = load(), examples.digits_model()
    model = make(plain, data, recipe(arguments.seed, arguments.epochs))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "digits_hardened.tflite").write_bytes(model)
    print(f"digits_hardened.tflite  {len(model)} bytes")
    print(f"seconds of training     {time.perf_counter() - started:.1f}")
    if arguments.report:
        report(plain, model, data)


def report(plain: bytes, model: bytes, data: dict[str, NDArray[Any]]) -> None:
    print(f"PGD-{PGD_STEPS}, margin of the logits, {len(data['y'])} held-out images; accuracy at input steps:")
    for name, file in (("plain", plain), ("hardened", model)):
        print(f"{name:9}", ", ".join(f"{radius}: {share:.4f}" for radius, share in robustness(file, data).items()))


def make(plain: bytes, data: dict[str, NDArray[Any]], config: ScratchConfig) -> bytes:
    """The trained file, with a description of its own."""
    trained = from_scratch(plain, data["x_train"], data["y_train"], config, show)
    return write_model(replace(read_model(trained.model), description=DESCRIPTION))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Remake the hardened digits model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for digits_hardened.tflite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--no-report", dest="report", action="store_false", help="do not attack what was made")
    return parser.parse_args()


def load() -> dict[str, NDArray[Any]]:
    """The bundled data with images as codes."""
    with np.load(io.BytesIO(examples.digits_data()), allow_pickle=False) as file:
        data = {name: file[name] for name in ("x", "y", "x_train", "y_train")}
    return {**data, **{name: INPUT_GRID.codes(data[name]) for name in ("x", "x_train")}}


def recipe(seed: int, epochs: int) -> ScratchConfig:
    """All examples are adversarial; the radius grows over the first three tenths of training."""
    shift = Augment(shift=1, shifted_share=0.3)
    real = TrainConfig(
        epochs=epochs,
        learning_rate=1e-2,
        augment=shift,
        adversary=Adversary(RADIUS, steps=5, weight=1.0, ramp=0.3),
        seed=seed,
    )
    integer = replace(real, epochs=max(epochs // 20, 1), learning_rate=1e-3, adversary=Adversary(RADIUS, 5, 1.0))
    return ScratchConfig(real=real, integer=integer, calibration=2000)


def show(epoch: Epoch) -> None:
    if epoch.number % 10 == 0 or epoch.number == epoch.epochs:
        print(f"{epoch.stage:9}epoch {epoch.number:3} of {epoch.epochs}  loss {epoch.loss:.3f}", flush=True)


def robustness(model: bytes, data: dict[str, NDArray[Any]]) -> dict[int, float]:
    """Share of held-out images that are right at 0 and stay right under PGD, by radius in input steps."""
    graph = LiftedGraph(read_model(model))
    codes, labels = torch.from_numpy(data["x"].astype(np.float32)), torch.from_numpy(data["y"])

    def scores(x: torch.Tensor) -> torch.Tensor:
        return forward_from_codes(graph, x)

    with deterministic():
        return {
            radius: robust_share(
                scores, codes, labels, Adversary(radius, PGD_STEPS if radius else 0, loss="margin"), (-128, 127)
            )
            for radius in (0, *REPORTED_RADII)
        }


if __name__ == "__main__":
    main()
