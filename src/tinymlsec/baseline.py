"""The unattacked model on the user's data: what every later figure is held against."""

from __future__ import annotations

import numpy as np

from tinymlsec.analysis.intervals import bootstrap, wilson
from tinymlsec.errors import DataError
from tinymlsec.records import Metric
from tinymlsec.run_record import Baseline
from tinymlsec.target.target import CleanRun, Target
from tinymlsec.target.task import Task, TaskKind

CHANCE_MARGIN = 0.03
"""Clean accuracy this close to chance says that the data does not mean what we read."""


def measure_baseline(target: Target) -> Baseline | None:
    """Ask the model for the user's samples (up to 1,000) and say how well it does.

    Raises:
        DataError: accuracy is within 3 points of chance, so the input encoding looks wrong.
    """
    if target.victim is None or target.dataset is None or target.task is None or target.dataset.y is None:
        return None
    clean, task = target.clean, target.task
    if clean.labels is not None and clean.decisions is not None and task.kind is not TaskKind.ANOMALY:
        return _accuracy(clean, task, target.victim.classes)
    if task.kind is TaskKind.ANOMALY and clean.labels is not None:
        return _detector(clean)
    return _error(target, clean)


def _accuracy(clean: CleanRun, task: Task, classes: int) -> Baseline:
    right = int(clean.correct.sum())
    low, high = wilson(right, clean.n)
    accuracy = right / clean.n
    counts = np.bincount(clean.truth)
    chance = float(max(counts.max() / clean.n, 1.0 / max(classes, 2)))
    # Twenty samples or fewer cannot tell a broken encoding from bad luck, and a single class has chance 1.
    if clean.n > 20 and np.count_nonzero(counts) > 1 and accuracy <= chance + CHANCE_MARGIN:
        raise DataError(
            "the model does no better than chance on this data, so the input encoding looks wrong",
            found=f"clean accuracy {accuracy:.1%} on {clean.n} samples (chance {chance:.1%})",
            expected="clean accuracy clearly above chance",
            next_step="int8 is taken as the device's input, float is quantized with the model's input scale, and uint8 "
            "images need --input-encoding uint8; check also that labels follow the order of the outputs",
        )
    metric = Metric.of("clean_accuracy", accuracy, low=low, high=high, n=clean.n)
    return Baseline(metrics=(metric,), chance=chance, chance_source=task.meaning.chance)


def _detector(clean: CleanRun) -> Baseline | None:
    positive, negative = clean.scores[clean.truth == 1, 0], clean.scores[clean.truth == 0, 0]
    if not len(positive) or not len(negative):
        return None
    rank = np.argsort(np.argsort(np.concatenate([negative, positive]), kind="stable"), kind="stable") + 1.0
    auc = (rank[len(negative) :].sum() - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative))
    return Baseline(metrics=(Metric.of("detector_auc", float(auc), n=clean.n),), chance=0.5, chance_source="a coin")


def _error(target: Target, clean: CleanRun) -> Baseline | None:
    dataset = target.dataset
    if dataset is None or dataset.y is None or target.task is None or target.task.kind is not TaskKind.REGRESSION:
        return None
    truth = dataset.y[: clean.n].reshape(clean.n, -1).astype(np.float64)
    if truth.shape != clean.scores.shape:
        raise DataError(
            "the targets do not have the shape of the output", found=f"{truth.shape[1:]} values a sample",
            expected=f"{clean.scores.shape[1:]}",
        )  # fmt: skip
    errors = np.abs(clean.scores - truth).mean(axis=1)
    low, high = bootstrap(errors, np.random.default_rng(0))
    chance = float(np.abs(truth - truth.mean(axis=0)).mean())
    metric = Metric.of("mae", float(errors.mean()), low=low, high=high, n=clean.n)
    return Baseline(metrics=(metric,), chance=chance, chance_source=target.task.meaning.chance)
