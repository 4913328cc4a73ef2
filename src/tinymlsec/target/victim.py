"""A model that can be asked: codes in, scores and decisions out, whatever the task.

Attacks speak to victims only. The target's own model is one; variants with changed weights and the twins of controls
are others, all on the same runtime.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.space import Codes, InputSpace, scale_and_zero_point
from tinymlsec.target.task import Task, TaskKind
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.state import starts_elsewhere

if TYPE_CHECKING:
    from tinymlsec.target.oracle import ModelHandle, OraclePool

Scores = NDArray[np.float64]


class Victim:
    """A runnable model.

    Args:
        data: bytes of the .tflite file.
        model: the same file, read.
        space: its input space.
        task: what it is for.
        pool: the runtime's workers; the file is opened there on first use.
    """

    def __init__(self, data: bytes, model: Model, space: InputSpace, task: Task, pool: OraclePool) -> None:
        self.data = data
        self.model = model
        self.space = space
        self.task = task
        self._pool = pool
        self._handle: ModelHandle | None = None
        output = model.main.tensors[model.main.outputs[0]]
        self.output_scale, self.output_zero_point = scale_and_zero_point(output.quantization)
        self.classes = math.prod(output.shape[1:])

    @property
    def handle(self) -> ModelHandle:
        """The model in the runtime.

        Raises:
            OracleError: the runtime refuses the file or dies of it.
        """
        if self._handle is None:
            frames = self.task.frames
            self._handle = self._pool.open(self.data, stateful=frames, fresh=frames and starts_elsewhere(self.model))
        return self._handle

    def variant(self, data: bytes) -> Victim:
        """The same model with other weights (or any file with the same interface)."""
        return Victim(data, self.model, self.space, self.task, self._pool)

    def raw(self, codes: Codes, progress: Callable[[int], None] | None = None) -> NDArray[np.generic]:
        """Main output as the device gives it.

        Args:
            codes: (n, *sample_shape), or (n, steps, *sample_shape) for a model with state.
            progress: called with the number of inferences done since the last call.

        Returns:
            (n, ...) or (n, steps, ...) in the output's own type.
        """
        inputs = self.space.to_device(codes)
        if self.task.frames:
            shaped = inputs.reshape(inputs.shape[:2] + self.space.shape)
            return self.handle.run_sequences(shaped, progress=progress)
        return self.handle.run(inputs.reshape(inputs.shape[:1] + self.space.shape), progress=progress)

    def outputs(self, codes: Codes, progress: Callable[[int], None] | None = None) -> Scores:
        """Main output in real units, flattened per input: (n, k) or (n, steps, k)."""
        return self._real(self.raw(codes, progress))

    def _real(self, raw: NDArray[np.generic]) -> Scores:
        lead = 2 if self.task.frames else 1
        flat = raw.reshape((*raw.shape[:lead], -1)).astype(np.float64)
        return (flat - self.output_zero_point) * self.output_scale if self.output_scale else flat

    def scores(self, codes: Codes, progress: Callable[[int], None] | None = None) -> Scores:
        """What the decision is taken on.

        Returns:
            (n, classes) for a classification, (n, 1) for a detection (largest over the steps of a stream) and for an
            anomaly (mean squared reconstruction error in real units), (n, k) otherwise.
        """
        return self.scores_of(self.raw(codes, progress), codes)

    def scores_of(self, raw: NDArray[np.generic], codes: Codes) -> Scores:
        """The same for outputs that are at hand already (of another runtime, or of the lifted graph).

        Args:
            raw: (n, ...) or (n, steps, ...), as the device gives it.
            codes: the inputs that they belong to.
        """
        outputs = self._real(raw)
        kind = self.task.kind
        if kind is TaskKind.ANOMALY:
            original = self.space.to_real(codes).reshape(outputs.shape)
            errors: Scores = np.mean((outputs - original) ** 2, axis=tuple(range(1, outputs.ndim)))
            return errors[:, None]
        if self.task.frames:
            return outputs.max(axis=1) if kind is TaskKind.DETECTION else outputs[:, -1]
        return outputs

    def decisions(self, scores: Scores) -> NDArray[np.int64]:
        """Decisions for scores: the class, or 1 where the threshold is reached; shape (n,).

        Raises:
            ValueError: the task takes no decision (ask `task.decides` first).
        """
        if self.task.kind is TaskKind.CLASSIFICATION:
            best: NDArray[np.int64] = np.argmax(scores, axis=1).astype(np.int64)
            return best
        if self.task.threshold is None or not self.task.decides:
            raise ValueError(f"a {self.task.kind.value} without a threshold takes no decision")
        reached: NDArray[np.int64] = np.greater_equal(scores[:, 0], self.task.threshold).astype(np.int64)
        return reached

    def margin(self, scores: Scores, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far each input is from a wrong decision; negative once it is wrong.

        Zero is a tie, which the coarse scores of an int8 model often give: ask `decisions` which way it goes.

        Args:
            scores: (n, classes) or (n, 1).
            labels: (n,) correct decisions.
        """
        if self.task.kind is TaskKind.CLASSIFICATION:
            rows = np.arange(len(scores))
            others = scores.copy()
            others[rows, labels] = -np.inf
            gaps: Scores = scores[rows, labels] - others.max(axis=1)
            return gaps
        threshold = 0.0 if self.task.threshold is None else self.task.threshold
        return np.where(labels == 1, scores[:, 0] - threshold, threshold - scores[:, 0])
