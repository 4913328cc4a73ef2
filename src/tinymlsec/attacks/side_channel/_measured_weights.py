"""The second pass: weights guessed one at a time from measured traces, without a profile, and where the true ones rank.

Correlation power analysis along the sum (E. Brier, C. Clavier, F. Olivier, CHES 2004; L. Batina, S. Bhasin, D. Jap,
S. Picek, USENIX Security 2019). A guess predicts the Hamming weight of the sum after its product. Guess 0 predicts the
sum before, guesses 1, 2, 4, ... little but the input, and both leak at samples of their own, so that such ghosts would
win wherever they show better than the sum. So correlation is partial: what sum before, input and factor explain of a
prediction and of a sample is taken out of both, and only samples behind the one that shows the sum before count.
Weights before the one that is guessed are taken for known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.correlation import Correlation, chance_level
from tinymlsec.analysis.rank import Ranks, ranks_of
from tinymlsec.analysis.snr import Snr
from tinymlsec.attacks.side_channel._chain import CANDIDATES
from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._measured_look import MODELS, FirstLook, portions
from tinymlsec.attacks.side_channel._measured_luck import OWN_SHARE, ROWS, luck_of
from tinymlsec.attacks.side_channel._measured_subject import CLASSES, FEATURES, Subject, Sums, byte_classes

if TYPE_CHECKING:
    from tinymlsec.context import Progress
    from tinymlsec.traces.traceset import TraceSet

GUESSES = len(CANDIDATES)
KNOWN = 5
"""Columns that a prediction is freed of: the sum before by weight and by change, the input as byte and as register, the
factor."""
RATIO_BYTES, RATIO_MEMORY = 8, 256 << 20
"""Input bytes whose signal-to-noise ratio is taken, and the memory for it."""
SENSES = (1, -1)
"""Ways in which a probe may be wired: more bits, more signal, or less. The attacker tries both."""
CHECKPOINTS = 6
FEWEST = 50
"""Traces at the first point of the curve."""


@dataclass(frozen=True)
class Guessed:
    """What the second pass saw."""

    weights: NDArray[np.int64]
    """(w,) numbers of the products whose weights were guessed."""
    counts: tuple[int, ...]
    """Traces at each point of the curve."""
    ranks: Ranks
    """(w, points)"""
    luck: NDArray[np.float64]
    """(w,) probability of such a rank, or a better one, at the last point, without any leak."""
    together: float
    """The same of all weights, whichever polarity and model of the sums is tried."""
    silent: float
    """The same with inputs exchanged."""
    best: NDArray[np.float32]
    """(w,) partial correlation of the true weight."""
    sense: int
    """Of `SENSES`, the one in which the weights rank best: all else is said of it."""
    ratios: NDArray[np.float64]
    """(v, t) signal-to-noise ratio of input bytes; v may be 0."""
    ratio_bytes: NDArray[np.int64]
    """(v,) which bytes."""
    ratio_chance: float
    """Ratio to expect where nothing leaks."""


def guessed(
    traces: TraceSet, subject: Subject, look: FirstLook, *, most: int, weights: int, points: int,
    rng: np.random.Generator, said: Progress,
) -> Guessed:  # fmt: skip
    """Goes through the traces a second time.

    Args:
        traces: as in the first pass.
        subject: as there.
        look: what the first pass saw.
        most: traces.
        weights: that are guessed.
        points: samples at which they are guessed: those that speak of the inputs most.
        rng: of the exchange of inputs.
        said: progress.
    """
    speaking = look.families["inputs"]
    places = np.sort(np.argsort(-speaking.over_time, kind="stable")[:points])
    chosen = _chosen(subject, traces, weights)
    steps = [_Step(subject.sums, int(k), *look.shown_best()) for k in chosen] if subject.sums is not None else []
    counts, ratio = _counts(look.traces), _Ratio(speaking.values, subject.bytes, traces.samples)
    table: list[list[NDArray[np.float32]]] = [[] for _ in steps]
    total, seen = min(most, len(traces)), 0
    for chunk in portions(traces, most):
        said(chunk.first, total, "weights guessed")
        samples, inputs = _without_fixed(look, chunk.samples, chunk.inputs)
        ratio.update(samples, inputs)
        while steps and len(samples):
            part = min(len(samples), next((count for count in counts if count > seen), seen + len(samples)) - seen)
            fed = subject.activations(subject.codes(inputs[:part]))
            for step in steps:
                step.update(fed, samples[:part, places], rng)
            samples, inputs, seen = samples[part:], inputs[part:], seen + part
            if seen in counts:
                for row, step in zip(table, steps, strict=True):
                    row.append(step.scores())
    if not steps:
        none = Ranks(np.zeros((0, len(counts))), np.zeros((0, len(counts)), np.int64), GUESSES)
        return Guessed(chosen, counts, none, np.zeros(0), 1.0, 1.0, np.zeros(0, np.float32), 1, *ratio.result())
    true = np.array([step.true for step in steps])
    scores, silent = np.array(table), np.array([step.silent() for step in steps])
    ranks = [ranks_of(scores[:, :, s], true[:, None]) for s in range(len(SENSES))]
    by_luck = luck_of([step.head for step in steps], KNOWN, true, rng)
    own = [by_luck.together(by.worst[:, -1]) for by in ranks]
    exchanged = [by_luck.together(ranks_of(silent[:, s], true).worst) for s in range(len(SENSES))]
    best = int(np.argmin(own))
    tries = len(SENSES) * len(MODELS)
    return Guessed(
        chosen, counts, ranks[best], by_luck.each(ranks[best].worst[:, -1]), min(1.0, own[best] * tries),
        min(1.0, min(exchanged) * tries), scores[np.arange(len(true)), -1, best, true], SENSES[best], *ratio.result(),
    )  # fmt: skip


def _without_fixed(
    look: FirstLook, samples: NDArray[np.float32], inputs: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Traces whose inputs vary."""
    if look.groups.fixed is None:
        return samples, inputs
    own = ~(inputs == look.groups.fixed).all(axis=1)
    return samples[own], inputs[own]


def _chosen(subject: Subject, traces: TraceSet, most: int) -> NDArray[np.int64]:
    """Products whose weights are guessed: the first of the sum that change it, but for the very first.

    A weight of zero adds nothing, an input that never varies tells nothing, and multiples of the first weight by powers
    of two give the same Hamming weights.
    """
    if subject.sums is None:
        return np.zeros(0, np.int64)
    sums = subject.sums
    head = next(iter(traces.chunks(1000)))
    factors = sums.factors(subject.activations(subject.codes(head.inputs)), 0)
    order = np.array([k for group in sums.groups for k in group], np.int64)
    fit = (sums.weights[order] != 0) & (factors[:, order].std(axis=0) > 0)
    fit[0] = False
    picked: NDArray[np.int64] = order[fit][:most]
    return picked


def _counts(traces: int) -> tuple[int, ...]:
    """Traces at the points of the curve, ascending, the last with all."""
    low = min(FEWEST, traces)
    return tuple(np.unique(np.geomspace(low, traces, CHECKPOINTS).round().astype(int)).tolist())


class _Step:
    """Guesses of one weight."""

    def __init__(self, sums: Sums, product: int, order: int, feature: str) -> None:
        number = next(i for i, group in enumerate(sums.groups) if product in group)
        self.sums, self.product, self.order, self.feature = sums, product, order, feature
        self.before, self.number = [k for k in sums.groups[number] if k != product], number
        self.true = int(sums.weights[product] - CANDIDATES[0])
        self.head = np.zeros((0, KNOWN + GUESSES), np.uint8)
        before = FEATURES.index(feature)
        self._own, self._exchanged = _Partial(before), _Partial(before)

    def update(self, fed: NDArray[np.int8], samples: NDArray[np.float32], rng: np.random.Generator) -> None:
        predicted = self._predicted(fed)
        self.head = np.concatenate([self.head, predicted[: ROWS - len(self.head)]])
        self._own.update(predicted, samples)
        self._exchanged.update(predicted[rng.permutation(len(predicted))], samples)

    def _predicted(self, fed: NDArray[np.int8]) -> NDArray[np.uint8]:
        """(b, KNOWN + GUESSES)"""
        factors = self.sums.factors(fed, self.order)
        after = self.sums.after(fed, self.order, self.number, self.sums.weights)
        start, changed = after[:, -1].copy(), after[:, -1] ^ after[:, max(self.number - 1, 0)]
        whole = start + (factors[:, self.before] * self.sums.weights[self.before]).sum(1, dtype=np.int32)
        factor = factors[:, self.product]
        code = factor - np.int32(self.sums.macs.offset if self.order != 2 else 0)
        sums = whole[:, None] + factor[:, None] * CANDIDATES
        known = np.stack([bits(start), bits(changed), bits(code), bits(code & 255), bits(factor)], axis=1)
        seen = sums if self.feature == "weight" else sums ^ start[:, None]
        return np.concatenate([known, bits(np.ascontiguousarray(seen, np.int32))], axis=1)

    def scores(self) -> NDArray[np.float32]:
        """(senses, GUESSES)"""
        return self._own.scores()

    def silent(self) -> NDArray[np.float32]:
        """(senses, GUESSES) with inputs exchanged."""
        return self._exchanged.scores()


class _Partial:
    """Correlation of guesses with samples, freed of what is known.

    Args:
        before: known column that shows the sum before.
    """

    def __init__(self, before: int) -> None:
        self._before = before
        self._all, self._sums, self._products = Correlation(), np.zeros(0), np.zeros((0, 0))

    def update(self, predicted: NDArray[np.uint8], samples: NDArray[np.float32]) -> None:
        self._all.update(predicted, samples)
        exact = predicted.astype(np.float64)  # sums of small whole numbers stay whole
        if not len(self._sums):
            width = exact.shape[1]
            self._sums, self._products = np.zeros(width), np.zeros((width, width))
        self._sums += exact.sum(axis=0)
        self._products += exact.T @ exact

    def scores(self) -> NDArray[np.float32]:
        """(senses, GUESSES) the largest partial coefficient of each guess, for either sense in which a probe leaks."""
        found, n = self._all.result().values.astype(np.float64), self._all.traces
        between = self._between()
        inverse = np.linalg.pinv(between[:KNOWN, :KNOWN], rcond=1e-6, hermitian=True)
        known, guesses = found[:KNOWN], found[KNOWN:]
        lean = between[KNOWN:, :KNOWN] @ inverse  # (GUESSES, KNOWN)
        rest = guesses - lean @ known
        own = 1 - np.einsum("gk,gk->g", lean, between[KNOWN:, :KNOWN])
        left = 1 - np.einsum("kt,kl,lt->t", known, inverse, known)
        rest /= np.sqrt(np.maximum(own, OWN_SHARE))[:, None] * np.sqrt(np.maximum(left, OWN_SHARE))
        rest[own < OWN_SHARE] = 0.0
        level = chance_level(n, known.shape[1])
        return np.stack([_largest(sense * rest, sense * known[self._before], level) for sense in SENSES])

    def _between(self) -> NDArray[np.float64]:
        """Correlation of all predictions with each other; 0 where one does not vary."""
        joint = self._products - np.outer(self._sums, self._sums) / self._all.traces
        deviation = np.sqrt(np.maximum(np.diagonal(joint), 0.0))
        scale = np.outer(deviation, deviation)
        between: NDArray[np.float64] = np.divide(joint, scale, out=np.zeros_like(joint), where=scale > 0)
        return between


def _largest(rest: NDArray[np.float64], before: NDArray[np.float64], level: float) -> NDArray[np.float32]:
    """(GUESSES,) over samples; a sum shows behind the one before it, where that one is seen."""
    start = int(before.argmax()) + 1 if before.max() > level else 0
    behind = rest[:, start:] if start < rest.shape[1] else rest
    best: NDArray[np.float32] = behind.max(axis=1).astype(np.float32)
    return best


class _Ratio:
    """Signal-to-noise ratio of the input bytes that show best."""

    def __init__(self, speaking: NDArray[np.float32], bytes_: NDArray[np.int64], samples: int) -> None:
        room = min(RATIO_BYTES, RATIO_MEMORY // (16 * CLASSES * samples), len(bytes_))
        shown = np.abs(speaking).max(axis=1).reshape(2, -1).max(axis=0)  # as bytes, and as registers hold them
        best = np.argsort(-shown, kind="stable")[: max(room, 0)]
        self.bytes = bytes_[np.sort(best)]
        self._snr, self._samples = (Snr(CLASSES, engine="numpy") if len(self.bytes) else None), samples

    def update(self, samples: NDArray[np.float32], inputs: NDArray[np.uint8]) -> None:
        if self._snr is not None and len(samples):
            self._snr.update(samples, byte_classes(inputs[:, self.bytes]))

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
        if self._snr is None:
            return np.zeros((0, self._samples)), self.bytes, 0.0
        made = self._snr.result()
        return np.minimum(made.values, 1e9), self.bytes, float(made.chance.max())
