"""Profiling: at which samples of a trace each weight speaks, by which feature, and how strongly.

The attacker has the same firmware with weights of their own, as whoever buys a device with a development version or
builds the open-source runtime does. Averaging there removes the noise, so points and templates are taken from the
signal itself. Which feature a sample shows is found by correlation, not taken from the source code: compilers put
sums and products into other registers from build to build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._features import FEATURES, bits, loaded_word

LEAST_CORRELATION = 0.6
"""Samples below it do not speak of the step; blurred traces of the right sample stay above it."""
NEARLY = 0.98
EXACT = 0.998
"""The same where a sample has to show one word and nothing that resembles it."""
MOST_POINTS = 4
"""Samples that are used of one step and feature."""


@dataclass(frozen=True)
class Point:
    """One sample, and what it shows of one step."""

    sample: int
    feature: str
    gain: float
    """Units of the trace for each bit."""
    level: float
    """Of the trace at no bits."""
    spread: float
    """Standard deviation of what the feature does not explain, without noise."""
    correlation: float
    scale: Literal["known", "own", "shared"] = "known"
    """Whether gain and level are known. Otherwise only the sign of the gain is, guesses are judged by correlation, and
    gain and level are the step's own or shared by all steps; level is then a number near the mean."""


@dataclass(frozen=True)
class Profile:
    """Points of all steps of one sum."""

    steps: tuple[tuple[Point, ...], ...]
    """For each step, the samples that show it, the strongest first."""
    bias: tuple[Point, ...]
    """Samples that show the sum with the bias; feature hw_sum."""
    output: tuple[Point, ...] = ()
    """Samples that show the code that is stored; feature hw_sum."""

    @property
    def samples(self) -> NDArray[np.int64]:
        """All samples that are used, ascending."""
        used = {point.sample for step in (*self.steps, self.bias, self.output) for point in step}
        return np.array(sorted(used), np.int64)


def profile(
    signal: NDArray[np.float32],
    factors: NDArray[np.int32],
    weights: NDArray[np.int32],
    bias: NDArray[np.int32] | None,
    groups: Sequence[tuple[int, ...]],
    *,
    bias_first: bool = False,
    outputs: NDArray[np.int32] | None = None,
) -> Profile:
    """Finds the points of every step.

    Args:
        signal: (n, t) traces without noise of firmware with known weights.
        factors: (n, k) what the weights were multiplied with.
        weights: (n, k) the weights, of several sets.
        bias: (n,) added at the end; None where there is none.
        groups: numbers of the products that each step adds.
        bias_first: the sum starts with the bias instead.
        outputs: (n,) codes that are stored at the end, where they are to be found too.
    """
    centered, scale = _standardized(signal)
    found: list[tuple[Point, ...]] = []
    start = before = 0
    columns, sums = _columns(factors, weights, groups, bias if bias_first else None)
    for k in range(len(groups)):
        step = [
            point
            for name, column in columns.items()
            for point in _speaking(
                signal, centered, scale, column[:, k], name, before if name == "hw_weight" else start
            )
        ]
        chosen = _chosen(step)
        before = start  # weights of a step may be loaded ahead of the sum before it
        start = min((point.sample for point in chosen if point.feature != "hw_weight"), default=start)
        found.append(chosen)
    if bias_first:
        return Profile(tuple(found), ())
    after = sums if bias is None else sums + bias
    last = _exact(_speaking(signal, centered, scale, bits(np.ascontiguousarray(after)), "hw_sum", start))
    if outputs is None or not last:
        return Profile(tuple(found), last)
    stored = _speaking(signal, centered, scale, bits(outputs), "hw_sum", min(point.sample for point in last) + 1)
    return Profile(tuple(found), last, tuple(point for point in stored if abs(point.correlation) >= EXACT))


def _exact(points: Sequence[Point]) -> tuple[Point, ...]:
    """Of samples that show the sum with its bias those that show just that: what is made of it resembles it."""
    best = max((abs(point.correlation) for point in points), default=0.0)
    return tuple(point for point in points if abs(point.correlation) >= EXACT * best)


def recalibrated(
    found: Profile,
    signal: Mapping[int, NDArray[np.float32]],
    factors: NDArray[np.int32],
    weights: NDArray[np.int32],
    bias: NDArray[np.int32] | None,
    groups: Sequence[tuple[int, ...]],
    outputs: NDArray[np.int32] | None = None,
) -> Profile:
    """The same points with the levels of another channel: addresses in registers differ from channel to channel.

    Args:
        found: profile of one channel.
        signal: by sample, (n,) without noise, of the other channel with known weights.
        factors: (n, k) as in `profile`; so are the others.
        weights: (n, k)
        bias: (n,)
        groups: as in `profile`; so are the outputs.
    """
    columns, sums = _columns(factors, weights, groups)
    last = bits(np.ascontiguousarray(sums if bias is None else sums + bias))

    def moved(point: Point, column: NDArray[np.uint8]) -> Point:
        rest = signal[point.sample].astype(np.float64) - point.gain * column.astype(np.float64)
        return replace(point, level=float(rest.mean()), spread=float(rest.std()))

    steps = tuple(
        tuple(moved(point, columns[point.feature][:, k]) for point in step) for k, step in enumerate(found.steps)
    )
    stored = () if outputs is None else tuple(moved(point, bits(outputs)) for point in found.output)
    return Profile(steps, tuple(moved(point, last) for point in found.bias), stored)


def _columns(
    factors: NDArray[np.int32],
    weights: NDArray[np.int32],
    groups: Sequence[tuple[int, ...]],
    start: NDArray[np.int32] | None = None,
) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.int32]]:
    """(n, steps) bits of every feature at every step, and the whole sums (n,)."""
    products = factors * weights
    added = np.stack([products[:, list(group)].sum(1, dtype=np.int32) for group in groups], axis=1)
    first = np.zeros((len(added), 1), np.int32) if start is None else start[:, None]
    after = np.ascontiguousarray(np.cumsum(added, axis=1, dtype=np.int32) + first)
    before = np.concatenate([first, after[:, :-1]], axis=1)
    words = np.stack([loaded_word(weights[:, list(group)]) for group in groups], axis=1)
    return {name: feature(after, before, words) for name, feature in FEATURES.items()}, np.ascontiguousarray(
        after[:, -1]
    )


def _chosen(points: Sequence[Point]) -> tuple[Point, ...]:
    """Of each sample its best feature; of the sums only what is nearly as good as the best.

    A feature that a sample only resembles is a wrong model of it, and likelihood under a wrong model misleads.
    """
    sums = [point for point in points if point.feature != "hw_weight"]
    best = max((abs(point.correlation) for point in sums), default=0.0)
    kept = [point for point in sums if abs(point.correlation) >= NEARLY * best]
    kept += [point for point in points if point.feature == "hw_weight"]
    of_sample: dict[int, Point] = {}
    for point in sorted(kept, key=lambda point: -round(abs(point.correlation), 4)):
        of_sample.setdefault(point.sample, point)
    return tuple(of_sample.values())


def _standardized(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    centered = values - values.mean(0)
    return centered, np.sqrt((centered * centered).sum(0))


def _speaking(
    signal: NDArray[np.float32],
    centered: NDArray[np.float32],
    scale: NDArray[np.float32],
    column: NDArray[np.uint8],
    feature: str,
    start: int,
) -> list[Point]:
    """Samples from `start` on whose signal follows a feature, the strongest first."""
    bits_, norm = _standardized(column[:, None].astype(np.float32))
    if norm[0] == 0:
        return []
    correlation = (bits_[:, 0] @ centered) / np.maximum(scale * norm[0], 1e-9)
    correlation[:start] = 0
    order = np.argsort(-np.abs(correlation), kind="stable")[:MOST_POINTS]
    best = abs(float(correlation[order[0]]))
    kept = [int(i) for i in order if abs(correlation[i]) >= max(LEAST_CORRELATION, NEARLY * best)]
    return [_template(signal[:, i], column, i, feature, float(correlation[i])) for i in kept]


def _template(
    sample: NDArray[np.float32], column: NDArray[np.uint8], place: int, feature: str, correlation: float
) -> Point:
    x, y = column.astype(np.float64), sample.astype(np.float64)
    gain = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    level = float(y.mean() - gain * x.mean())
    return Point(place, feature, gain, level, float((y - gain * x - level).std()), correlation)
