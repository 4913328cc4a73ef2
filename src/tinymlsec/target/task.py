"""What the model is for, and what success, chance and the clean metric mean for each kind of task.

One table (`TASKS`) answers these questions for every attack. An attack that has no meaning for a task is skipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinymlsec.target.tflite.graph import Model


class TaskKind(StrEnum):
    """The kinds of task."""

    CLASSIFICATION = "classification"
    DETECTION = "detection_threshold"
    ANOMALY = "anomaly"
    REGRESSION = "regression"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TaskMeaning:
    """A row of the task table."""

    decision: str
    clean_metric: str
    chance: str
    success: str


TASKS: dict[TaskKind, TaskMeaning] = {
    TaskKind.CLASSIFICATION: TaskMeaning(
        decision="the class with the largest output",
        clean_metric="clean_accuracy",
        chance="share of the most frequent class",
        success="an input that was answered correctly is answered with another class",
    ),
    TaskKind.DETECTION: TaskMeaning(
        decision="the output reaches the threshold (at any step of a stream)",
        clean_metric="clean_accuracy",
        chance="share of the more frequent answer",
        success="a correct detection is lost, or a correct silence is broken",
    ),
    TaskKind.ANOMALY: TaskMeaning(
        decision="the mean squared reconstruction error reaches the threshold",
        clean_metric="detector_auc",
        chance="0.5",
        success="an anomaly passes below the threshold, or a normal input is raised above it",
    ),
    TaskKind.REGRESSION: TaskMeaning(
        decision="none: the output is the answer",
        clean_metric="mae",
        chance="error of always answering the mean",
        success="not defined without a tolerance",
    ),
    TaskKind.UNKNOWN: TaskMeaning(
        decision="not known",
        clean_metric="mae",
        chance="not defined",
        success="not defined: state the task in the deployment profile or the data file",
    ),
}


@dataclass(frozen=True)
class Task:
    """The task of one model as it was determined."""

    kind: TaskKind
    source: str
    """Where we know it from: data file, deployment profile, or what in the graph told it."""
    frames: bool = False
    """The model keeps state between steps; an input is a sequence of steps."""
    threshold: float | None = None
    threshold_source: str = ""

    @property
    def meaning(self) -> TaskMeaning:
        """The row of the task table."""
        return TASKS[self.kind]

    @property
    def decides(self) -> bool:
        """The model's answer is a decision that can be right or wrong."""
        if self.kind is TaskKind.CLASSIFICATION:
            return True
        return self.kind in (TaskKind.DETECTION, TaskKind.ANOMALY) and self.threshold is not None


def task_from_graph(model: Model) -> Task:
    """Tell the task from the last operators of the main graph, or say that it cannot be told."""
    graph = model.main
    frames = bool(model.state_tensors)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return Task(TaskKind.UNKNOWN, "several inputs or outputs: the graph does not tell the task", frames)
    shape_in, shape_out = (graph.tensors[t].shape for t in (graph.inputs[0], graph.outputs[0]))
    produced_by = {t: op.label for op in graph.operators for t in op.outputs}
    source = {op.outputs[0]: op.inputs[0] for op in graph.operators if op.outputs and op.inputs}
    tensor = graph.outputs[0]
    for _ in range(len(graph.operators)):  # bounded walk back over operators that only change the representation
        if produced_by.get(tensor) not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE"):
            break
        tensor = source.get(tensor, -1)
    last, outputs = produced_by.get(tensor, ""), math.prod(shape_out)
    if any(op.name == "CUSTOM" for op in graph.operators) and last not in ("SOFTMAX", "LOGISTIC"):
        return Task(TaskKind.UNKNOWN, "custom operators and no decision at the end", frames)
    if last == "SOFTMAX" and outputs >= 2:
        return Task(TaskKind.CLASSIFICATION, f"the graph ends in SOFTMAX over {outputs} values", frames)
    if last == "LOGISTIC" and outputs == 1:
        return Task(TaskKind.DETECTION, "the graph ends in LOGISTIC with one value", frames, 0.5, "default")
    if shape_in == shape_out and outputs > 1:
        return Task(TaskKind.ANOMALY, "the output has the shape of the input: an autoencoder", frames)
    if outputs == 1:
        return Task(TaskKind.REGRESSION, "one output without a squashing function at the end", frames)
    if len(shape_out) == 2 and last == "FULLY_CONNECTED":
        return Task(TaskKind.CLASSIFICATION, f"the graph ends in FULLY_CONNECTED with {outputs} logits", frames)
    return Task(TaskKind.UNKNOWN, f"the graph ends in {last or 'nothing known'}", frames)
