"""Weights of one sum from traces: guess after guess along the sum, several paths at once, by maximum likelihood.

A weight cannot be judged by itself: a guess and its double look alike in the first product, and only later sums tell
them apart. So the most likely paths are kept (a beam), and each further weight is judged on the sums that its path
leads to. Likelihood is that of the profiled templates under Gaussian noise (S. Chari, J. Rao, P. Rohatgi, "Template
Attacks", CHES 2002); the walk along the accumulator follows L. Batina, S. Bhasin, D. Jap, S. Picek, "CSI NN", USENIX
Security 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._costs import Sums, sums_over_traces
from tinymlsec.attacks.side_channel._features import FEATURES, bits, loaded_word
from tinymlsec.attacks.side_channel._points import Point
from tinymlsec.attacks.side_channel._weights_likelihood import Costs, Moments, fitted_cost, moments_of, template_cost
from tinymlsec.attacks.side_channel._weights_opening import opening

CANDIDATES = np.arange(-127, 128, dtype=np.int32)
FIRST_LOOK = 300
"""Traces, at least, on which all guesses are compared before the best are compared on all traces."""
FIRST_SHARE = 3
"""And at least one of so many: with much noise few traces tell nothing."""
LOOKS = {1: (((1, FIRST_SHARE), 32),), 2: (((5, 20), 4096), ((1, FIRST_SHARE), 1024))}
"""By the number of weights that are guessed at once: fractions of `FIRST_LOOK` and of all traces, and how many guesses
of a path go on to the next look. Of pairs, 256 after the second look lost one filter of 20 (1,000 traces, ratio 1)."""
FIRST_STEPS, AT_FIRST = 8, 8
"""Steps in which so many times the paths are kept: as long as sums are short, their multiples by powers of two look
alike, and around the larger ones many neighbors do."""
HOPELESS = 60.0
"""Log-likelihood behind the best beyond which a path is given up: e^-60, if the templates are right."""
RIVALS, TIED = 8, 8.0
"""So many paths at most, and with so much less log-likelihood, are kept beside the best at the end."""
NEAR = 32
"""And so many biases."""
BIASES = 2000
"""Biases that are compared on all traces."""


@dataclass(frozen=True)
class Chain:
    """What was recovered of one sum."""

    weights: NDArray[np.int32]
    """(k,)"""
    blind: NDArray[np.bool_]
    """(k,) the factor was zero in all traces: this weight does nothing there, and only its load speaks of it."""
    margin: float
    """Log-likelihood by which the path is ahead of the next one."""
    sums: NDArray[np.int32]
    """(n,) without bias."""
    cost: float = 0.0
    """Minus its log-likelihood, but for a constant."""
    start: int = 0
    """What lay in the register before the first product: the bias, where the kernel begins with it."""
    rivals: tuple[Chain, ...] = ()
    """Others that are nearly as likely; a single product and its double look the same."""


NOTHING = Moments(*(np.zeros(()) for _ in Moments._fields))


@dataclass
class _Path:
    cost: float
    """Of everything so far."""
    base: float
    """Of it what steps cost each for themselves."""
    sums: NDArray[np.int32]
    weights: tuple[int, ...]
    shared: Moments = NOTHING
    """Of the samples whose gain and level all steps share."""
    start: int = 0


def recover(
    traces: Mapping[int, NDArray[np.float32]],
    factors: NDArray[np.int32],
    steps: Sequence[Sequence[Point]],
    sigma: float,
    beam: int,
    groups: Sequence[tuple[int, ...]] | None = None,
    *,
    starts: int = 0,
) -> Chain:
    """The most likely weights.

    Args:
        traces: by sample, (n,) values of all traces.
        factors: (n, k) what each weight is multiplied with.
        steps: points of each step.
        sigma: standard deviation of the noise.
        beam: paths that are kept.
        groups: numbers of the products that each step adds; one after the other by default.
        starts: largest magnitude of what lies in the register before the first product; it is searched together with
            the first weights.
    """
    order = groups or [(k,) for k in range(factors.shape[1])]
    paths = [_Path(0.0, 0.0, np.zeros(len(factors), np.int32), ())]
    blind: NDArray[np.bool_] = (factors == 0).all(axis=0)
    for number, (group, points) in enumerate(zip(order, steps, strict=True)):
        step = _Step(np.ascontiguousarray(factors[:, list(group)]), traces, points, sigma)
        wide = beam * (AT_FIRST if number < FIRST_STEPS else 1)
        paths = _opened(step, starts, wide) if starts and number == 0 else _extended(paths, step, wide)
    margin = paths[1].cost - paths[0].cost if len(paths) > 1 else float("inf")
    places = [k for group in order for k in group]
    best, *rivals = [
        _chain(path, places, blind, margin) for path in paths[:RIVALS] if path.cost <= paths[0].cost + TIED
    ]
    return replace(best, rivals=tuple(rivals))


def _chain(path: _Path, places: Sequence[int], blind: NDArray[np.bool_], margin: float) -> Chain:
    weights = np.zeros(len(blind), np.int32)
    weights[places] = path.weights
    return Chain(weights, blind, margin, path.sums, path.cost, path.start)


@dataclass(frozen=True)
class _Step:
    """One addition to the sum."""

    factors: NDArray[np.int32]
    """(n, 1) or (n, 2)"""
    traces: Mapping[int, NDArray[np.float32]]
    points: Sequence[Point]
    sigma: float

    @property
    def silent(self) -> bool:
        """Nothing is ever added."""
        return not self.factors.any()

    def guesses(self) -> NDArray[np.int32]:
        """(g, 1) or (g, 2) weights that their load does not rule out, and what is known of them from it."""
        axes = [CANDIDATES] * self.factors.shape[1]
        every = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        cost = self.load_costs(every)
        if self.silent:  # of those that the load does not tell apart, the smallest
            least = np.flatnonzero(cost <= cost.min() + 1e-6)
            smallest: NDArray[np.int32] = every[least[np.abs(every[least]).sum(1).argmin()]][None]
            return smallest
        kept: NDArray[np.int32] = every[cost <= cost.min() + HOPELESS]
        return kept

    def load_costs(self, guesses: NDArray[np.int32]) -> NDArray[np.float64]:
        """(g,) of the samples that show the weights themselves: they are the same in every trace, so a mean will do."""
        cost = np.zeros(len(guesses))
        seen = bits(loaded_word(guesses)).astype(np.float64)
        for point in self.points:
            if point.feature == "hw_weight":
                mean, n = float(self.traces[point.sample].mean(dtype=np.float64)), len(self.factors)
                expected = point.gain * seen + point.level
                # what the template leaves out is the same in every trace as well: it does not average out
                cost += (mean - expected) ** 2 / (2 * (self.sigma**2 / n + point.spread**2) + 1e-6)
        return cost

    def sum_costs(self, paths: Sequence[_Path], guesses: NDArray[np.int32], n: int) -> Costs:
        """(paths, guesses) of the samples that show sums, over the first n traces."""
        sums = np.stack([path.sums[:n] for path in paths])
        cost = np.zeros((len(paths), len(guesses)))
        together: Moments | None = None
        for point in self.points:
            if point.feature == "hw_weight":
                continue
            rest = self.rest(point, n)
            seen = sums_over_traces(point.feature, sums, self.factors[:n], guesses, rest)
            if point.scale == "known":
                cost += template_cost(point, seen, self.sigma)
            elif point.scale == "own":
                cost += fitted_cost(moments_of(seen, rest), np.sign(point.gain))
            else:
                made = moments_of(seen, rest)
                together = made if together is None else together.plus(made)
        if together is not None:
            before = Moments(*(np.stack(column)[:, None] for column in zip(*(p.shared for p in paths), strict=True)))
            cost += fitted_cost(before.plus(together), self.sign)
        return cost

    @property
    def sign(self) -> float:
        """Of the gains of shared samples."""
        return next((float(np.sign(p.gain)) for p in self.points if p.scale == "shared"), 1.0)

    def rest(self, point: Point, n: int) -> NDArray[np.float32]:
        """(n,) measured minus level."""
        return np.ascontiguousarray(self.traces[point.sample][:n] - np.float32(point.level), np.float32)

    def added(self, path: _Path, guess: NDArray[np.int32]) -> tuple[NDArray[np.int32], Moments]:
        """Sums after a path with a guess, and the moments of its shared samples."""
        after, word = path.sums + (self.factors * guess).sum(1, dtype=np.int32), loaded_word(guess)
        moments = path.shared
        for point in self.points:
            if point.scale == "shared":
                seen = FEATURES[point.feature](after, path.sums, word).astype(np.float64)
                rest = self.rest(point, len(after))
                total, square, cross = seen.sum(), (seen**2).sum(), (seen * rest).sum()
                moments = moments.plus(moments_of(Sums(total, square, cross), rest))
        return after, moments


def _extended(paths: Sequence[_Path], step: _Step, beam: int) -> list[_Path]:
    """The most likely paths, one step further."""
    guesses = step.guesses()
    if step.silent:
        weights = tuple(guesses[0].tolist())
        return [replace(path, weights=(*path.weights, *weights)) for path in paths]
    known = step.load_costs(guesses)
    cost = _judged(paths, step, guesses, known) + known[None, :] + np.array([[path.base] for path in paths])
    return _best(paths, step, guesses, cost, beam)


def _judged(paths: Sequence[_Path], step: _Step, guesses: NDArray[np.int32], known: Costs) -> Costs:
    """(paths, guesses) costs on all traces, of those guesses of a path that are best on fewer; infinite for others."""
    n, width = len(step.factors), guesses.shape[1]
    chosen: NDArray[np.intp] | None = None  # (paths, kept)
    for count, kept in (*LOOKS[width], (None, 0)):
        used = n if count is None else min(n, max(FIRST_LOOK // count[0], n // count[1]))
        if count is not None and (used == n or kept >= (len(guesses) if chosen is None else chosen.shape[1])):
            continue
        if chosen is None:
            cost = step.sum_costs(paths, guesses, used)
        else:
            cost = np.full((len(paths), len(guesses)), np.inf)
            for row, choice in enumerate(chosen):
                cost[row, choice] = step.sum_costs(paths[row : row + 1], guesses[choice], used)[0]
        if count is not None:
            chosen = np.argpartition(cost + known[None, :], kept, axis=1)[:, :kept]
    return cost


def _best(
    paths: Sequence[_Path], step: _Step, guesses: NDArray[np.int32], cost: NDArray[np.float64], beam: int
) -> list[_Path]:
    order = np.argpartition(cost, min(beam, cost.size - 1), axis=None)[:beam]
    order = order[np.argsort(cost.ravel()[order])]
    least, made = float(cost.min()), []
    for row, column in zip(*np.unravel_index(order, cost.shape), strict=True):
        if cost[row, column] > least + HOPELESS:
            break
        sums, shared = step.added(paths[row], guesses[column])
        total = float(cost[row, column])
        base = total - (float(fitted_cost(shared, step.sign)) if shared.n else 0.0)
        path = paths[row]
        made.append(_Path(total, base, sums, (*path.weights, *guesses[column].tolist()), shared, path.start))
    return made


def _opened(step: _Step, most: int, beam: int) -> list[_Path]:
    """First weights and what lay in the register before them, searched together."""

    def cost(guesses: NDArray[np.int32], starts: NDArray[np.int32], share: float) -> Costs:
        made, n = np.zeros(len(guesses)), len(step.factors)
        used = min(n, max(FIRST_LOOK // 3, int(n * share)))
        nothing = np.zeros((1, used), np.int32)
        for point in step.points:
            if point.feature != "hw_weight":
                rest = step.rest(point, used)
                seen = sums_over_traces(point.feature, nothing, step.factors[:used], guesses, rest, starts)
                made += template_cost(point, seen, step.sigma)[0]
        return made

    allowed = step.guesses()
    guesses, starts, costs = opening(cost, allowed, step.load_costs(allowed), most)
    order = np.argsort(costs)[: 2 * beam]
    return [
        _Path(float(costs[i]), float(costs[i]), starts[i] + (step.factors * guesses[i]).sum(1, dtype=np.int32),
              tuple(guesses[i].tolist()), start=int(starts[i]))
        for i in order if costs[i] <= costs[order[0]] + HOPELESS
    ]  # fmt: skip


def recover_bias(
    traces: Mapping[int, NDArray[np.float32]],
    sums: NDArray[np.int32],
    points: Sequence[Point],
    sigma: float,
    most: int,
    also: Callable[[int], float] | None = None,
) -> tuple[int, float]:
    """The bias that is added to a known sum, and minus its log-likelihood, but for a constant.

    Args:
        traces: by sample, (n,).
        sums: (n,) without bias.
        points: that show the sum with it.
        sigma: of the noise.
        most: largest magnitude.
        also: further cost of a bias, which decides between those that are nearly as likely.
    """
    guesses = np.arange(-most, most + 1, dtype=np.int32)
    few = slice(0, max(FIRST_LOOK, len(sums) // FIRST_SHARE))
    rough = _bias_costs(guesses, sums, traces, few, points, sigma)
    finalists = guesses[np.argsort(rough)[:BIASES]]
    cost = _bias_costs(finalists, sums, traces, slice(None), points, sigma)
    near = np.argsort(cost)[:NEAR]
    near = near[cost[near] <= cost[near[0]] + TIED]
    totals = {int(i): float(cost[i]) + (also(int(finalists[i])) if also else 0.0) for i in near}
    best = min(totals, key=lambda i: totals[i])
    return int(finalists[best]), totals[best]


def _bias_costs(
    guesses: NDArray[np.int32],
    sums: NDArray[np.int32],
    traces: Mapping[int, NDArray[np.float32]],
    which: slice,
    points: Sequence[Point],
    sigma: float,
) -> NDArray[np.float64]:
    cost = np.zeros(len(guesses))
    ones = np.ones((len(sums[which]), 1), np.int32)  # a bias is a weight that meets nothing but ones
    for point in points:
        rest = np.ascontiguousarray(traces[point.sample][which] - np.float32(point.level), np.float32)
        cost += template_cost(
            point, sums_over_traces("hw_sum", sums[None, which], ones, guesses[:, None], rest), sigma
        )[0]
    return cost


def shown_cost(
    traces: Mapping[int, NDArray[np.float32]], words: NDArray[np.int32], points: Sequence[Point], sigma: float
) -> float:
    """Minus the log-likelihood of words that are fully known, but for a constant.

    Args:
        traces: by sample, (n,).
        words: (n,)
        points: that show their Hamming weight.
        sigma: of the noise.
    """
    seen, cost = bits(np.ascontiguousarray(words)).astype(np.float64), 0.0
    for point in points:
        rest = traces[point.sample].astype(np.float64) - point.level
        sums = Sums(seen.sum(), (seen**2).sum(), (seen * rest).sum())
        cost += float(template_cost(point, sums, sigma))
    return cost
