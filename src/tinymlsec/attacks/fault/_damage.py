"""How much a changed model differs from the unchanged one: decisions where there are any, outputs otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tinymlsec._lazy import np
from tinymlsec.attacks._asking import largest_share, random_codes, some
from tinymlsec.errors import OracleCrash, OracleRejected, OracleTimeout

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target
    from tinymlsec.target.victim import Victim

CAP = 1000.0
"""Errors of outputs are cut off at this many times the range of the unchanged outputs; NaN counts as that much."""


@dataclass(frozen=True)
class Damage:
    """What one changed model did on all inputs."""

    agrees: NDArray[np.float64]
    """(n,) 1 where the decision is the right one; empty for a task without decisions."""
    silent: NDArray[np.float64]
    """(n,) 1 where the decision changed and nothing showed it; empty as above."""
    error: NDArray[np.float64]
    """(n,) mean absolute difference of the outputs."""
    changed: float
    """Share of inputs with any difference in the outputs."""
    crashed: bool


class Meter:
    """Inputs, and what the unchanged model says to them.

    Args:
        target: offers a runnable model.
        samples: inputs, from the data or random.
        steps: length of random sequences for a model with state.
        rng: choice of the inputs.
    """

    def __init__(self, target: Target, samples: int, steps: int, rng: Generator) -> None:
        self.victim = target.require_victim()
        self.decides = self.victim.task.decides
        self.random_inputs = target.dataset is None
        labels: NDArray[np.int64] | None = None
        if target.dataset is None:
            frames = steps if self.victim.task.frames else None
            self.codes: Codes = random_codes(rng, self.victim.space, samples, frames)
        else:
            rows = some(rng, target.clean.n, samples)
            self.codes = target.dataset.x[rows]
            labels = None if target.clean.labels is None else target.clean.labels[rows]
        self.outputs = self.ask(self.victim)
        self.decisions = self.victim.decisions(self.outputs) if self.decides else None
        self.labels = labels if self.decides else None
        finite = self.outputs[np.isfinite(self.outputs)]
        self.cap = CAP * (float(np.ptp(finite)) if finite.size and np.ptp(finite) > 0 else 1.0)

    @property
    def metric(self) -> Literal["accuracy", "fidelity", "mae"]:
        """What is measured: against labels, against the unchanged decisions, or on the outputs."""
        if not self.decides:
            return "mae"
        return "fidelity" if self.labels is None else "accuracy"

    @property
    def right(self) -> NDArray[np.int64]:
        """(n,) the right decisions: labels, or those of the unchanged model."""
        assert self.decisions is not None
        return self.decisions if self.labels is None else self.labels

    @property
    def reference(self) -> float:
        """The metric of the unchanged model."""
        return self.right_now / len(self.codes) if self.decides else 0.0

    @property
    def right_now(self) -> int:
        """Inputs that the unchanged model answers rightly."""
        return int(np.count_nonzero(self.decisions == self.right))

    @property
    def chance(self) -> float | None:
        """The metric of a model that always gives the most frequent answer; None for outputs."""
        return largest_share(self.right) if self.decides else None

    def ask(self, victim: Victim) -> NDArray[np.float64]:
        """What decisions are taken on; the plain outputs for a task without."""
        return victim.scores(self.codes) if self.decides else victim.outputs(self.codes)

    def damage(self, data: bytes) -> Damage:
        """What a changed file does on the inputs. A crash of the runtime is an outcome, too."""
        variant = self.victim.variant(data)
        try:
            outputs = self.ask(variant)
        except (OracleCrash, OracleTimeout, OracleRejected):
            return self._crash()
        difference = np.abs(outputs - self.outputs).reshape(len(outputs), -1)
        error = np.minimum(np.nan_to_num(difference, nan=self.cap, posinf=self.cap), self.cap).mean(axis=1)
        changed = float(np.mean((difference != 0).any(axis=1)))
        none = np.zeros(0)
        if self.decisions is None:
            return Damage(none, none, error, changed, False)
        decisions = variant.decisions(outputs)
        agrees = (decisions == self.right).astype(np.float64)
        return Damage(agrees, (decisions != self.decisions).astype(np.float64), error, changed, False)

    def _crash(self) -> Damage:
        """No answer is no right answer, but it is not silent either."""
        n = len(self.codes)
        nothing = np.zeros(n if self.decides else 0)
        return Damage(nothing, nothing, np.full(n, self.cap), 1.0, True)
