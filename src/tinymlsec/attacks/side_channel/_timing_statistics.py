"""How much latencies tell: bits about a class and about the input, at a timer of some resolution.

The timer ticks at its own phase: a latency of k and a half ticks is read as k or k + 1 with equal chance. These chances
are computed, not drawn. Mutual information is estimated on few groups of readings; what chance alone gives is taken off
by permutations of the classes (P. Good, Permutation Tests, 2000; the bias itself: G. Miller, 1955). Groups only lose
information, so the estimate is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.ttest import TTest

MOST_GROUPS = 8
EACH_CELL = 5
"""Samples that a cell of the table of classes and readings has on average, at least."""
RESAMPLES = 500
SIGNIFICANT = 0.01
"""Probability of chance below which a difference between classes counts."""


@dataclass(frozen=True)
class Bits:
    """Information in one reading."""

    value: float
    low: float
    high: float
    chance: float = 1.0
    """Probability to see as much where there is nothing."""
    raw: float = 0.0
    """Before what chance gives was taken off."""


@dataclass(frozen=True)
class ClassTest:
    """Welch's t of each class against the rest, on single readings of the timer."""

    largest: float
    """0 where no class has a statistic."""
    threshold: float
    alarm: bool
    separated: int
    """Classes whose readings never vary and differ from the rest."""


def readings(cycles: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    """(n, ticks) chance of each reading of the timer.

    Args:
        cycles: (n,) latencies.
        resolution: cycles between two ticks.
    """
    ticks = cycles / resolution
    whole = np.floor(ticks + 1e-9)
    beyond = np.clip(ticks - whole, 0.0, 1.0)
    kinds, place = np.unique(np.concatenate([whole, whole + 1]), return_inverse=True)
    n = len(cycles)
    table = np.zeros((n, len(kinds)))
    table[np.arange(n), place[:n]] += 1 - beyond
    table[np.arange(n), place[n:]] += beyond
    return table[:, table.sum(axis=0) > 0]


def about_the_input(
    cycles: NDArray[np.float64], resolution: float, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Bits:
    """What one reading tells of which input it was; at most log2(n) for n inputs."""
    table = readings(cycles, resolution)
    by_phase, n = _entropies(table), len(cycles)

    def bits(rows: NDArray[np.integer]) -> float:
        """Entropy of a reading less what the timer's phase alone makes of it."""
        return max(0.0, float(_entropies(table[rows].mean(axis=0)[None])[0] - by_phase[rows].mean()))

    value = bits(np.arange(n))
    value = value if value > 1e-9 else 0.0
    drawn = [bits(rng.integers(0, n, n)) for _ in range(resamples if value > 0 else 0)]
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (0.0, 0.0)
    return Bits(value, min(float(low), value), max(float(high), value), 1.0 if value == 0 else 0.0, value)


def about_the_class(
    cycles: NDArray[np.float64],
    classes: NDArray[np.int64],
    resolution: float,
    rng: np.random.Generator,
    permutations: int,
    resamples: int = RESAMPLES,
) -> Bits:
    """What one reading tells of the class of the input.

    Args:
        cycles: (n,) latencies.
        classes: (n,) 0 to c - 1.
        resolution: cycles between two ticks of the timer.
        rng: permutations and resamples.
        permutations: how many.
    """
    c = int(classes.max()) + 1
    table = grouped(readings(cycles, resolution), min(MOST_GROUPS, max(2, len(cycles) // (EACH_CELL * c))))
    if table.shape[1] < 2 or c < 2 or np.ptp(cycles) == 0:
        return Bits(0.0, 0.0, 0.0)
    member = np.eye(c)[classes]
    raw = _mutual(member, table)
    by_chance = np.array([_mutual(member[rng.permutation(len(member))], table) for _ in range(permutations)])
    value = max(0.0, raw - float(by_chance.mean()))
    chance = (1 + int((by_chance >= raw - 1e-12).sum())) / (1 + permutations)
    n, again = len(cycles), []
    for _ in range(resamples):
        rows = rng.integers(0, n, n)
        again.append(_mutual(member[rows], table[rows]))
    # a resample repeats inputs, which adds the same bias once more: the interval is moved to its middle
    spread = np.array(again) - np.mean(again)
    low, high = (max(0.0, value + float(q)) for q in np.quantile(spread, (0.025, 0.975)))
    return Bits(value, min(low, value), max(high, value), chance, raw)


def grouped(table: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Neighboring readings put together into at most so many groups of about equal weight."""
    if table.shape[1] <= most:
        return table
    upto = np.cumsum(table.sum(axis=0)) / len(table)
    group = np.minimum((upto - 1e-12) * most, most - 1).astype(int)
    made = np.zeros((len(table), most))
    for column, target in enumerate(group):
        made[:, target] += table[:, column]
    return made[:, made.sum(axis=0) > 0]


def class_test(
    cycles: NDArray[np.float64], classes: NDArray[np.int64], resolution: float, rng: np.random.Generator
) -> ClassTest:
    """Reads each latency once, at a phase by chance, and compares each class with all others."""
    if np.ptp(cycles) == 0:
        return ClassTest(0.0, 0.0, False, 0)
    ticks = np.floor(cycles / resolution + rng.random(len(cycles)))[:, None]
    kinds = np.unique(classes)
    alpha = SIGNIFICANT / max(len(kinds), 1)
    largest = threshold = 0.0
    alarm, separated = False, 0
    for kind in kinds:
        member = (classes == kind).astype(np.int64)
        if min(member.sum(), len(member) - member.sum()) < 2:
            continue
        test = TTest(engine="numpy")
        test.update(ticks, member)
        seen = test.result(alpha)
        largest, threshold = max(largest, float(seen.max_abs[0])), max(threshold, seen.threshold)
        alarm |= bool(seen.alarms.any())
        separated += int(seen.separated.any())
    return ClassTest(largest, threshold, alarm, separated)


def _mutual(member: NDArray[np.float64], table: NDArray[np.float64]) -> float:
    joint = member.T @ table / len(table)
    outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return max(0.0, float((joint[some] * np.log2(joint[some] / outer[some])).sum()))


def _entropies(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of each row."""
    logs = np.log2(chances, out=np.zeros_like(chances), where=chances > 0)
    bits: NDArray[np.float64] = -(chances * logs).sum(axis=1)
    return bits
