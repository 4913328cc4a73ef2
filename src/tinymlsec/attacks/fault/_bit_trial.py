"""One search for bits after the other: what each found, and what all of them mean together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import bootstrap, share_of
from tinymlsec.attacks.fault._bit_search import ABOVE_CHANCE
from tinymlsec.records import Control, Curve, CurvePoint, Metric, Verdict, VerdictKind

if TYPE_CHECKING:
    from numpy.random import Generator

    from tinymlsec.attacks.fault._bit_search import Descent


@dataclass(frozen=True)
class Trial:
    """One seed."""

    descent: Descent
    prior: float
    held: int
    runtime: dict[int, float]
    """Accuracy of the runtime with the flipped file, by number of flips."""
    disagreements: int
    random: tuple[float, ...]
    """Accuracy after as many random flips, per draw."""
    flips: tuple[dict[str, Any], ...]
    """The flips by name."""

    @property
    def bar(self) -> float:
        """Accuracy that counts as chance."""
        return self.prior + ABOVE_CHANCE

    @property
    def half(self) -> float:
        """Halfway between clean accuracy and chance."""
        return (self.descent.accuracy[0] + self.prior) / 2

    @property
    def confirmed(self) -> bool:
        """The runtime is at chance as well, at both steps."""
        first = self.descent.flips_to_chance
        return first is not None and all(self.runtime[k] <= self.bar for k in (first, first + 1))

    @property
    def stands(self) -> bool:
        """More than half is left for sure after all flips."""
        left = round(min(self.descent.accuracy) * self.held)
        return share_of(left, self.held).low > self.half


def median_flips(trials: list[Trial]) -> float | None:
    """Median over the searches, those that did not reach chance counting as infinite; None where it is infinite."""
    flips = [np.inf if (f := t.descent.flips_to_chance) is None else f for t in trials]
    middle = float(np.median(flips))
    return middle if np.isfinite(middle) else None


def middle_trial(trials: list[Trial]) -> int:
    """The search nearest to the median."""
    flips = [np.inf if (f := t.descent.flips_to_chance) is None else f for t in trials]
    return int(np.argsort(flips, kind="stable")[(len(flips) - 1) // 2])


def trial_metrics(trials: list[Trial], rng: Generator) -> tuple[Metric, ...]:
    """Flips to chance, and what the runtime answers rightly before, after, and with random flips.

    Intervals over searches and over draws are bootstrapped with `rng`; a single search has none.
    """
    found: list[Metric] = []
    flips = [t.descent.flips_to_chance for t in trials]
    median = median_flips(trials)
    if median is not None:
        reached = [f for f in flips if f is not None]
        spread = bootstrap(reached, rng, "median") if len(reached) == len(flips) > 1 else (None, None)
        label = "median over searches" if len(flips) > 1 else "one search"
        found.append(Metric.of("flips_to_chance", median, low=spread[0], high=spread[1], n=len(flips), label=label))
    for k, trial in enumerate(trials):
        for count, label in ((0, "no flips"), (len(trial.descent.steps), f"{len(trial.descent.steps)} chosen flips")):
            share = share_of(round(trial.runtime[count] * trial.held), trial.held)
            named = f"search {k + 1}, {label}"
            found.append(Metric.of("accuracy", share.value, low=share.low, high=share.high, n=share.n, label=named))
        after = f"search {k + 1}, as many random flips, mean of {len(trial.random)} draws"
        low, high = bootstrap(trial.random, rng)
        mean = float(np.mean(trial.random))
        found.append(Metric.of("accuracy", mean, low=low, high=high, n=len(trial.random), label=after))
    return tuple(found)


def trial_curve(trial: Trial) -> Curve:
    """Held-out accuracy over flips."""
    shares = [share_of(round(a * trial.held), trial.held) for a in trial.descent.accuracy]
    return Curve(
        title="Accuracy over chosen bit flips",
        x_label="flipped bits",
        metric="accuracy",
        points=tuple(CurvePoint(x=k, y=s.value, low=s.low, high=s.high, n=s.n) for k, s in enumerate(shares)),
        chance=trial.prior,
        reference=trial.descent.accuracy[0],
    )


def random_flips_control(trials: list[Trial]) -> Control:
    """As many random flips must leave more than half."""
    left, half = float(np.mean([t.random for t in trials])), float(np.mean([t.half for t in trials]))
    draws = sum(len(t.random) for t in trials)
    return Control(
        kind="negative",
        twin="the same model with as many random flips of weight bits",
        succeeded=left > half,
        detail=f"accuracy {left:.1%} is left, mean of {draws} draws (needed: more than {half:.1%})",
    )


def trials_verdict(trials: list[Trial], positive: Control, negative: Control, max_flips: int) -> Verdict:
    """The verdict by the rule that the attack's page states."""
    reached, count = sum(t.confirmed for t in trials), len(trials)
    clean, prior = trials[0].descent.accuracy[0], trials[0].prior
    if clean <= trials[0].bar + ABOVE_CHANCE:
        return _inconclusive(f"clean accuracy of {clean:.1%} is hardly above chance ({prior:.1%}): nothing to lose")
    wrong = sum(t.disagreements for t in trials)
    if wrong:
        return _inconclusive(f"the lifted graph and the runtime disagree on flipped files ({wrong} differences)")
    said = f"{reached} of {count} searches brought held-out accuracy to chance within {max_flips} flips"
    if 2 * reached > count:
        if negative.succeeded:
            return Verdict(kind=VerdictKind.VULNERABLE, reason=f"{said}; random flips do not: {negative.detail}")
        return _inconclusive(f"{said}, but so do random flips: {negative.detail}")
    if not all(t.stands for t in trials):
        lowest = min(min(t.descent.accuracy) for t in trials)
        return _inconclusive(f"{said}; accuracy fell to {lowest:.1%}, which is neither chance nor safely above half")
    if not positive.succeeded:
        return _inconclusive(f"{said}, but the known-weak twin was not ruined either: {positive.detail}")
    if any(len(t.descent.steps) < max_flips for t in trials):
        return _inconclusive(f"{said}, but a search came to a halt early: {trials[0].descent.stopped}")
    half = trials[0].half
    return Verdict(kind=VerdictKind.RESISTANT, reason=f"{said}; more than {half:.1%} of accuracy is left in all")


def _inconclusive(reason: str) -> Verdict:
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)
