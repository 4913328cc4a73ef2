"""Progressive bit search on the integers of a lifted model.

Source: Rakin, He, Fan, "Bit-Flip Attack: Crushing Neural Network with Progressive Bit Search", ICCV 2019. Written from
the paper; what differs is said in `BitSearch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tinymlsec._lazy import np, torch
from tinymlsec.attacks.fault._weight_map import Flip, WeightMap

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from tinymlsec.attacks._white_box import WhiteBox
    from tinymlsec.target.space import Codes

ABOVE_CHANCE = 0.03
"""Held-out accuracy at most the largest class prior and this is *at chance*."""
USUAL_MARGIN = 10.0
"""Scores are divided so that the median margin is at most this. Models without SOFTMAX have scores of any size, and
at margins of hundreds neither probabilities nor gradients of the cross-entropy are anything but zero."""
TIE = 1e-6
"""Weight of the cross-entropy in what is maximized: it decides where probabilities are equal."""
PATIENCE = 3
"""Steps without growth of the harm after which the search has come to a halt."""


@dataclass(frozen=True)
class Step:
    """One flip that was kept."""

    flip: Flip
    position: int
    """Bit of the file."""
    harm: float
    """Mean probability of a wrong answer on the search batch after it."""


class BitSearch:
    """Chooses bits one after the other.

    In each step the bits of every weight tensor are ranked by gradient of the cross-entropy times change, the best few
    of each tensor are tried on the search batch by an exact forward pass, and the one that does most harm stays. The
    paper flips in one layer at a time and tries the best bits of that layer together; here each candidate is tried on
    its own. The paper judges by the cross-entropy, which has no bound, so that a few inputs with absurdly wrong scores
    outweigh all others; harm is the mean probability of a wrong answer. A bit that was flipped is never touched again:
    without that rule the search ends up flipping one bit to and fro.

    Args:
        box: a lifted model of its own; its weights are changed.
        x: (n, ...) codes of the search batch.
        labels: (n,) their correct decisions.
        candidates: bits of each tensor that are tried in each step.
    """

    def __init__(self, box: WhiteBox, x: Codes, labels: NDArray[np.int64], candidates: int) -> None:
        self.box, self.candidates = box, candidates
        self.x, self.labels = torch.from_numpy(x.astype(np.float32)), labels
        self.map = WeightMap(box.graph)
        self.scale = max(1.0, float(np.median(np.abs(box.ask(self.x, labels).margins))) / USUAL_MARGIN)
        self.passes = 0
        """Inputs that were evaluated."""
        self.harm = self._harm()

    def step(self) -> Step | None:
        """Flip the best bit; None where no bit promises anything."""
        tried = [(self._try(flip), flip) for flip in self.map.candidates(self._gradients(), self.candidates)]
        if not tried:
            return None
        self.harm, flip = max(tried, key=lambda pair: pair[0])
        self.map.keep(flip)
        return Step(flip, self.map.position(flip), self.harm)

    def _try(self, flip: Flip) -> float:
        self.map.toggle(flip)
        harm = self._harm()
        self.map.toggle(flip)
        return harm

    def _batches(self) -> list[tuple[Tensor, NDArray[np.int64]]]:
        size = self.box.graph.batch
        return [(self.x[i : i + size], self.labels[i : i + size]) for i in range(0, len(self.x), size)]

    def _harm(self) -> float:
        """Mean probability of a wrong answer, by the scores before squashing; the cross-entropy breaks ties."""
        self.passes += len(self.x)
        with torch.no_grad():
            entropy = torch.cat([self._entropy(x, y) for x, y in self._batches()]).to(torch.float64)
        return float((-torch.expm1(-entropy)).mean() + TIE * entropy.mean())

    def _entropy(self, x: Tensor, labels: NDArray[np.int64]) -> Tensor:
        scores = self.box.forward(x)[0] / self.scale
        return self.box.loss("cross-entropy", scores, torch.from_numpy(labels), self.scale)

    def _gradients(self) -> list[Tensor]:
        """Per block, of the mean loss for its values; uses of one buffer add up."""
        parameters = [p for block in self.map.blocks for p in block.parameters]
        totals = [torch.zeros_like(parameter) for parameter in parameters]
        self.passes += len(self.x)
        for x, y in self._batches():
            loss = self._entropy(x, y).sum() / len(self.x)
            for total, part in zip(totals, torch.autograd.grad(loss, parameters), strict=True):
                total += part
        left = iter(totals)
        return [sum(next(left).reshape(-1) for _ in block.parameters) for block in self.map.blocks]  # type: ignore[misc]


@dataclass(frozen=True)
class Descent:
    """One search from beginning to end."""

    steps: tuple[Step, ...]
    accuracy: tuple[float, ...]
    """Held-out accuracy of the lifted model before any flip and after each one."""
    flips_to_chance: int | None
    """Flips at the first of two consecutive steps at chance; None where that was not reached."""
    stopped: str
    """Why it ended."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """Bits of the file in the order in which they were flipped."""
        return np.array([step.position for step in self.steps], dtype=np.int64)


class Progress(Protocol):
    """Called after each flip."""

    def __call__(self, flips: int, accuracy: float) -> None:
        """How many flips there are and what they left."""


def descend(
    search: BitSearch, held: Codes, labels: NDArray[np.int64], *, bar: float, max_flips: int, progress: Progress
) -> Descent:
    """Flip bits until held-out accuracy is at chance, the flips are used up, or the search halts.

    Args:
        search: the search; its batch must be disjoint from the held-out inputs.
        held: (m, ...) held-out codes.
        labels: (m,) their correct decisions.
        bar: accuracy that counts as chance.
        max_flips: most flips.
        progress: told of each flip.
    """
    steps: list[Step] = []
    accuracy = [_accuracy(search, held, labels)]
    best, idle, reached = search.harm, 0, None
    stopped = f"{max_flips} flips were used up"
    while len(steps) < max_flips:
        step = search.step()
        if step is None:
            stopped = "no bit promised a larger loss"
            break
        steps.append(step)
        accuracy.append(_accuracy(search, held, labels))
        progress(len(steps), accuracy[-1])
        if len(accuracy) > 2 and max(accuracy[-2:]) <= bar:
            reached, stopped = len(steps) - 1, "held-out accuracy was at chance at two consecutive steps"
            break
        idle = 0 if step.harm > best else idle + 1
        best = max(best, step.harm)
        if idle == PATIENCE:
            stopped = f"harm on the search batch did not grow for {PATIENCE} flips"
            break
    return Descent(tuple(steps), tuple(accuracy), reached, stopped)


def _accuracy(search: BitSearch, held: Codes, labels: NDArray[np.int64]) -> float:
    return float(np.mean(search.box.decide(held) == labels))
