"""Training without TensorFlow: quantization-aware fine-tuning of integer files, and training from scratch.

Fine-tuning keeps all scales and learns integers: the forward pass is the device's, the backward pass goes straight
through the rounding (Jacob and others, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018). From scratch, the float twin learns first, is quantized, and the
integer graph is fine-tuned. Everything depends on data, configuration and seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from numpy.typing import NDArray
from torch import Tensor

from tinymlsec.errors import UsageError
from tinymlsec.lift.adversary import Adversary, worst_inputs
from tinymlsec.lift.augment import Augment, augmented
from tinymlsec.lift.border import core_entry
from tinymlsec.lift.float_twin import FloatTwin
from tinymlsec.lift.graph import LiftedGraph
from tinymlsec.lift.layers import Weights
from tinymlsec.lift.requantize import RequantizeConfig, requantize
from tinymlsec.lift.students import GraphStudent, Student, TwinStudent
from tinymlsec.lift.threads import deterministic
from tinymlsec.target.space import scale_and_zero_point
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES
from tinymlsec.target.tflite.writer import write_model

Codes = NDArray[np.generic]
"""Samples in the input's type, (n, *sample shape)."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run, besides model and data."""

    epochs: int = 5
    batch: int = 64
    learning_rate: float = 1e-3
    """Largest rate: it rises over the first tenth of the steps and then falls to 0 along a cosine."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """adam decouples weight decay (Loshchilov and Hutter, ICLR 2019); sgd has a momentum of 0.9."""
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augment: Augment | None = None
    adversary: Adversary | None = None
    seed: int = 1
    """Of initial weights, order, augmentation and adversary."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the data gave, for progress and for the record."""

    stage: str
    number: int
    """From 1."""
    epochs: int
    loss: float
    """Mean over the batches."""
    accuracy: float
    """Share of right answers during the epoch: on the samples as augmented, or on the adversarial ones where the
    adversary's weight is 1."""


Progress = Callable[[Epoch], None]


@dataclass(frozen=True)
class Trained:
    """A trained file."""

    model: bytes
    """The .tflite file."""
    history: list[Epoch] = field(default_factory=list)


@dataclass(frozen=True)
class ScratchConfig:
    """Training from scratch: in real numbers, then to integers, then in integers."""

    real: TrainConfig = TrainConfig(epochs=30, learning_rate=3e-3)
    quantization: RequantizeConfig = field(default_factory=RequantizeConfig)
    integer: TrainConfig | None = TrainConfig(epochs=3, learning_rate=1e-4)
    """Fine-tuning of the integer graph; None to leave it out."""
    calibration: int = 500
    """Training samples that ranges are taken from: the first ones."""
    normalize: bool = True
    """Batch normalization while the float twin learns."""


def fine_tune(
    model: bytes, x: Codes, y: NDArray[np.integer], config: TrainConfig, progress: Progress | None = None
) -> Trained:
    """New integers for the weights and biases of a file; scales and topology stay.

    Args:
        model: an int8 .tflite classifier that the lift supports.
        x: training samples as codes, (n, *sample shape).
        y: labels, (n,), in the order of the model's outputs.
        config: the run.
        progress: called after every epoch.

    Returns:
        The file with its new weights, and what happened.

    Raises:
        UsageError: samples and labels that do not fit, or a loss that is no longer a number.
        UnsupportedModelError: an operator that is not lifted.
    """
    with deterministic():
        graph = LiftedGraph(read_model(model))
        student = GraphStudent(graph)
        history = list(_learn(student, graph.model, x, y, config, "integers", progress))
    return Trained(write_model(student.model()), history)


def from_scratch(
    topology: bytes,
    x: Codes,
    y: NDArray[np.integer],
    config: ScratchConfig,
    progress: Progress | None = None,
    *,
    start: Weights | None = None,
) -> Trained:
    """A file of a topology with weights that are learned from nothing, and scales that fit them.

    Args:
        topology: an int8 .tflite classifier; of it only the operators, shapes and the input's quantization count.
        x: training samples as codes, (n, *sample shape).
        y: labels, (n,).
        config: the three stages.
        progress: called after every epoch.
        start: real weights to begin with, in place of random ones (then better without `normalize`).

    Raises:
        UsageError: as for `fine_tune`.
        UnsupportedModelError: an operator without a float twin, or, where `config.integer` is given, one not lifted.
    """
    model = read_model(topology)
    with deterministic():
        twin = FloatTwin(model, start, normalize=config.normalize)
        if start is None:
            twin.initialize(torch.Generator().manual_seed(config.real.seed))
        history = list(_learn(TwinStudent(twin), model, x, y, config.real, "real", progress))
        made = requantize(model, twin.folded(), x[: config.calibration], config.quantization)
    if config.integer is None:
        return Trained(made, history)
    tuned = fine_tune(made, x, y, config.integer, progress)
    return Trained(tuned.model, history + tuned.history)


def _learn(
    student: Student,
    model: Model,
    x: Codes,
    y: NDArray[np.integer],
    config: TrainConfig,
    stage: str,
    progress: Progress | None,
) -> Iterator[Epoch]:
    """The loop over epochs; yields what happened in each."""
    lesson = _Lesson(student, model, x, y, config)
    for number in range(1, config.epochs + 1):
        loss, accuracy = lesson.epoch()
        if not math.isfinite(loss):
            raise UsageError(
                "training diverged", found=f"loss {loss} in epoch {number}", next_step="lower the learning rate"
            )
        seen = Epoch(stage, number, config.epochs, loss, accuracy)
        if progress is not None:
            progress(seen)
        yield seen


class _Lesson:
    """One run of training: data, optimizer, schedule and randomness."""

    def __init__(self, student: Student, model: Model, x: Codes, y: NDArray[np.integer], config: TrainConfig) -> None:
        entry = model.main.tensors[core_entry(model)]
        _check_data(x, y, entry.shape, config)
        self.student, self.config = student, config
        self.x = torch.from_numpy(np.asarray(x, np.float32)).reshape(len(x), *entry.shape[1:])
        self.y = torch.from_numpy(np.asarray(y, np.int64))
        self.bounds = INTEGER_RANGES[entry.dtype]
        self.empty = float(scale_and_zero_point(entry.quantization)[1])
        self.random = torch.Generator().manual_seed(config.seed)
        self.optimizer = _optimizer(student.parameters, config)
        self.done, self.total = 0, config.epochs * math.ceil(len(y) / config.batch)

    def epoch(self) -> tuple[float, float]:
        """One pass over the data: mean loss and share of right answers."""
        order = torch.randperm(len(self.y), generator=self.random)
        results = [self._step(rows) for rows in torch.split(order, self.config.batch)]
        self.student.refresh()
        losses, rights = zip(*results, strict=True)
        return sum(losses) / len(losses), sum(rights) / len(self.y)

    def _step(self, rows: Tensor) -> tuple[float, int]:
        x, y = self.x[rows], self.y[rows]
        if self.config.augment is not None:
            x = augmented(x, self.config.augment, self.empty, self.random)
        self.optimizer.zero_grad()
        loss, right = self._loss(x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.student.collect()
        self._set_rate()
        self.optimizer.step()
        self.student.settle()
        self.done += 1
        return float(loss.detach()), right

    def _loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, int]:
        """Loss of a batch and the number of right answers, to the samples as they are where those are learned from."""
        smoothing, adversary = self.config.label_smoothing, self.config.adversary
        if adversary is None:
            scores = self.student.scores(x)
            return F.cross_entropy(scores, y, label_smoothing=smoothing), _right(scores, y)
        now = adversary.at(self.done / self.total)
        with self.student.probing():
            hard = worst_inputs(self.student.scores, x, y, now, self.bounds, self.random)
        scores = self.student.scores(torch.cat([x, hard]) if now.weight < 1 else hard)
        parts = torch.split(scores, len(y))
        losses = [F.cross_entropy(part, y, label_smoothing=smoothing) for part in parts]
        return now.weight * losses[-1] + (1 - now.weight) * losses[0], _right(parts[0], y)

    def _set_rate(self) -> None:
        warm = max(self.total // 10, 1)
        share = (self.done - warm) / max(self.total - warm, 1)
        factor = (self.done + 1) / warm if self.done < warm else 0.5 * (1 + math.cos(math.pi * share))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor


def _right(scores: Tensor, y: Tensor) -> int:
    return int((scores.detach().argmax(dim=1) == y).sum())


def _optimizer(parameters: list[Tensor], config: TrainConfig) -> torch.optim.Optimizer:
    """Weight decay is on weights alone: biases and normalization have one dimension."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _check_data(x: Codes, y: NDArray[np.integer], shape: tuple[int, ...], config: TrainConfig) -> None:
    fits = x.ndim >= 2 and x.shape[1:] in (shape, shape[1:]) and y.shape == (len(x),)
    if not fits or len(x) < 2 or config.epochs < 1 or config.batch < 1:
        raise UsageError(
            "this cannot be trained on",
            found=f"samples {x.shape}, labels {y.shape}, {config.epochs} epochs, batch {config.batch}",
            expected=f"(n, {', '.join(map(str, shape[1:]))}) codes, (n,) labels, n of 2 or more",
        )
