"""A lifted model as white-box attacks see it: margins and losses with gradients, and the device's own decisions.

The margin is taken on the scores before the last SOFTMAX or LOGISTIC, because a squashed int8 score is stuck at 0 or 1
and gives no gradient. Whether a decision is wrong is read from the model's output itself, exactly as the runtime's
answer would be judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tinymlsec._lazy import np, torch
from tinymlsec.target.task import TaskKind

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from tinymlsec.lift.graph import LiftedGraph
    from tinymlsec.target.space import Codes
    from tinymlsec.target.victim import Victim

Loss = Literal["margin", "cross-entropy"]


@dataclass(frozen=True)
class Answers:
    """What the model said to a batch."""

    margins: NDArray[np.float64]
    """(n,) distance from a wrong decision, in the units of the scores before squashing."""
    wrong: NDArray[np.bool_]
    """(n,) the decision is wrong."""
    gradient: Tensor | None
    """Of the sum of all losses for the codes, in their shape; None where none was asked for."""


class WhiteBox:
    """A lifted graph, with the victim whose task and border it shares.

    Args:
        graph: the lifted graph of the victim's file (or of a changed one).
        victim: says what a decision is; it is not asked for inferences here.
    """

    def __init__(self, graph: LiftedGraph, victim: Victim) -> None:
        from tinymlsec.lift.border import core_entry, logits_tensor

        self.graph, self.victim = graph, victim
        self.space, self.task = victim.space, victim.task
        self.entry = core_entry(graph.model)
        anomaly = self.task.kind is TaskKind.ANOMALY
        self.scored = graph.output.index if anomaly else logits_tensor(graph.model)
        self.entry_shape = graph.model.main.tensors[self.entry].shape

    @property
    def bar(self) -> float:
        """The threshold on the scale of the scores before squashing."""
        threshold = 0.0 if self.task.threshold is None else self.task.threshold
        if self.scored == self.graph.output.index or self.task.kind is not TaskKind.DETECTION:
            return threshold
        inside = min(max(threshold, 1e-9), 1 - 1e-9)
        return math.log(inside / (1 - inside))

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """One pass.

        Args:
            codes: (n, *sample shape) or (n, steps, *sample shape), float32.

        Returns:
            scores before squashing in real units, (n, k), and the output as the device gives it, (n, ...).
        """
        state = self.graph.initial_state()
        if not self.task.frames:
            return self._step(codes, state)
        steps = [self._step(codes[:, t], state) for t in range(codes.shape[1])]
        scores = torch.stack([scores for scores, _ in steps], dim=1)
        outputs = torch.stack([output for _, output in steps], dim=1)
        return (scores.amax(dim=1) if self.task.kind is TaskKind.DETECTION else scores[:, -1]), outputs

    def _step(self, codes: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        from tinymlsec.lift.border import real_values

        n = codes.shape[0]
        wanted = (self.scored, self.graph.output.index)
        values = self.graph.main({self.entry: codes.reshape(n, *self.entry_shape)}, state, wanted)
        scored, output = (values[index].expand(n, *values[index].shape[1:]) for index in wanted)
        scores = real_values(self.graph, self.scored, scored).reshape(n, -1)
        if self.task.kind is TaskKind.ANOMALY:
            scores = torch.mean((scores - self._real(codes).reshape(n, -1)) ** 2, dim=1, keepdim=True)
        return scores, output

    def _real(self, codes: Tensor) -> Tensor:
        return (codes - self.space.zero_point) * (self.space.scale or 1.0) if self.space.is_grid else codes

    def margin(self, scores: Tensor, labels: Tensor, scale: float = 1.0) -> Tensor:
        """(n,) how far each input is from a wrong decision, with gradients; negative once it is wrong.

        Args:
            scores: (n, k), divided by scale.
            labels: (n,) correct decisions.
            scale: what the scores were divided by; the threshold is, too.
        """
        if self.task.kind is TaskKind.CLASSIFICATION:
            own = scores.gather(1, labels[:, None])[:, 0]
            others = scores.scatter(1, labels[:, None], -math.inf).amax(dim=1)
            return own - others
        return (scores[:, 0] - self.bar / scale) * torch.where(labels == 1, 1.0, -1.0)

    def loss(self, kind: Loss, scores: Tensor, labels: Tensor, scale: float = 1.0) -> Tensor:
        """(n,) what an attacker raises: the negative margin, or the cross-entropy of the right answer."""
        if kind == "margin":
            return -self.margin(scores, labels, scale)
        if self.task.kind is TaskKind.CLASSIFICATION:
            return torch.nn.functional.cross_entropy(scores, labels, reduction="none")
        return torch.nn.functional.softplus(-self.margin(scores, labels, scale))

    def values(self, codes: Tensor, labels: NDArray[np.int64], kind: Loss = "margin") -> Tensor:
        """(n,) losses for codes, in one pass and with gradients."""
        return self.loss(kind, self.forward(codes)[0], torch.from_numpy(labels))

    def decisions(self, outputs: Tensor, codes: Tensor) -> NDArray[np.int64]:
        """Decisions for outputs, as the runtime's outputs would be judged; (n,)."""
        raw = outputs.detach().numpy().astype(self.graph.output.dtype)
        return self.victim.decisions(self.victim.scores_of(raw, codes.detach().numpy()))

    def ask(self, codes: Tensor, labels: NDArray[np.int64], loss: Loss | None = None) -> Answers:
        """Margins, decisions and, where a loss is named, its gradient.

        Args:
            codes: (n, ...) float32 codes.
            labels: (n,) correct decisions.
            loss: what the gradient is of.
        """
        batch = self.graph.batch
        parts = [
            self._ask(codes[i : i + batch], labels[i : i + batch], loss) for i in range(0, max(1, len(codes)), batch)
        ]
        gradients = [part.gradient for part in parts if part.gradient is not None]
        return Answers(
            np.concatenate([part.margins for part in parts]),
            np.concatenate([part.wrong for part in parts]),
            torch.cat(gradients) if gradients else None,
        )

    def _ask(self, codes: Tensor, labels: NDArray[np.int64], loss: Loss | None) -> Answers:
        codes, truth = codes.detach().clone().requires_grad_(loss is not None), torch.from_numpy(labels)
        with torch.set_grad_enabled(loss is not None):
            scores, outputs = self.forward(codes)
            gradient = None
            if loss is not None:
                (gradient,) = torch.autograd.grad(self.loss(loss, scores, truth).sum(), codes)
        margins = self.margin(scores.detach(), truth).numpy().astype(np.float64)
        return Answers(margins, self.decisions(outputs, codes) != labels, gradient)

    def decide(self, codes: Codes) -> NDArray[np.int64]:
        """(n,) decisions for codes, without gradients."""
        found = [np.zeros(0, np.int64)]
        with torch.no_grad():
            for start in range(0, len(codes), self.graph.batch):
                batch = torch.from_numpy(codes[start : start + self.graph.batch].astype(np.float32))
                found.append(self.decisions(self.forward(batch)[1], batch))
        return np.concatenate(found)


def white_box(victim: Victim, profile: str = "tflm") -> WhiteBox:
    """A victim with the lifted graph of its file.

    Args:
        victim: the model; read again, because a variant's bytes differ from the model that it was made from.
        profile: whose rounding.

    Raises:
        UnsupportedModelError: an operator that is not lifted.
    """
    from tinymlsec.lift.graph import LiftedGraph
    from tinymlsec.target.tflite.reader import read_model

    return WhiteBox(LiftedGraph(read_model(victim.data), profile), victim)
