"""Inputs that an evasion attack draws from the data, and how they are counted and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks._asking import asker, some
from tinymlsec.attacks.evasion._controls import noise_success
from tinymlsec.records import CurvePoint, Metric

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.analysis.intervals import Share
    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target


class Size(Protocol):
    """What is needed of an attack's configuration."""

    @property
    def samples(self) -> int:
        """Inputs drawn from the data."""

    @property
    def eps_steps(self) -> int:
        """Largest change of one value in input steps."""

    @property
    def noise_limit(self) -> float:
        """The size is halved while random noise breaks a larger share."""

    @property
    def noise_draws(self) -> int:
        """Draws of random noise per input."""


class Drawn:
    """Samples of the data, those that the model answers rightly, and the size at which they are attacked.

    Args:
        target: offers a model, and data.
        size: counted work and sizes.
        choice: draws the samples.
        noise: draws the noise by which the size is chosen.
    """

    def __init__(self, target: Target, size: Size, choice: Generator, noise: Generator) -> None:
        assert target.dataset is not None
        self.victim, self.clean = target.require_victim(), target.clean
        self.names = target.dataset.class_names
        self.chosen = some(choice, self.clean.n, size.samples)
        """(drawn,) rows of the data."""
        self.attacked = self.chosen[self.clean.correct[self.chosen]]
        """(n,) rows that are answered correctly; only those are attacked."""
        self.x: Codes = target.dataset.x[self.attacked]
        self.labels = self.clean.truth[self.attacked]
        self.eps_steps, self.noise = self._choose_size(size, noise)

    def _choose_size(self, size: Size, rng: Generator) -> tuple[int, Share]:
        """The size in input steps, and how often random noise of that size succeeds."""
        eps = size.eps_steps
        while True:
            noise = noise_success(self.victim, self.x, self.labels, eps, size.noise_draws, rng)
            if noise.value <= size.noise_limit or eps == 1:
                return eps, noise
            eps //= 2

    def wrong(self, codes: Codes, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(k,) the runtime decides wrongly on changed inputs of the given rows."""
        return asker(self.victim, self.labels)(codes, rows)[1] if rows.size else np.zeros(0, bool)

    def largest_change(self, codes: Codes, rows: NDArray[np.intp]) -> float:
        """Largest change of one value over changed inputs of the given rows, in input steps."""
        space = self.victim.space
        change = np.abs(codes.astype(np.float64) - self.x[rows].astype(np.float64)).max() / space.step
        return float(change if space.is_grid else round(change, 4))

    def survivors(self, broken: int) -> Share:
        """Accuracy under attack: share of all drawn samples that are answered correctly and were not broken."""
        return share_of(len(self.attacked) - broken, len(self.chosen))

    def decisions(self, codes: Codes) -> list[int]:
        """What the runtime answers."""
        return self.victim.decisions(self.victim.scores(codes)).tolist() if len(codes) else []

    def name(self, decision: int) -> str:
        """The class name of a decision where the data has one."""
        return self.names[decision] if 0 <= decision < len(self.names) else str(decision)


def metric_of(name: str, share: Share, label: str = "") -> Metric:
    """A share as a metric."""
    return Metric.of(name, share.value, low=share.low, high=share.high, n=share.n, label=label)


def point_of(x: float, share: Share) -> CurvePoint:
    """A share as a point of a curve."""
    return CurvePoint(x=x, y=share.value, low=share.low, high=share.high, n=share.n)
