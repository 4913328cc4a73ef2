"""Weights without a board of one's own: points, leakage model, gains and levels come from the device's own traces.

Given are traces, inputs, architecture and scales, and from the source of the kernels the order of the products and how
many are added at once. Three steps: anchors are the samples at which known inputs show; the sums show at a constant
distance behind them, which is found together with the feature by walking the first weights at every distance; what
these walks recovered calibrates gains and levels by regression, with which all weights are recovered once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._chain import Chain, recover
from tinymlsec.attacks.side_channel._features import FEATURES, bits, loaded_word
from tinymlsec.attacks.side_channel._points import Point
from tinymlsec.attacks.side_channel._weights_anchors import Anchors, find_anchors, known_columns
from tinymlsec.attacks.side_channel._weights_likelihood import FLOOR

SUMS = tuple(name for name in FEATURES if name != "hw_weight")
WALKED = 8
"""Steps from which distance and feature are chosen."""
NARROW = 4
"""Beam of these walks; it is wider in the first steps."""
DISTANCES = 5
"""Distances that are walked of those at which the first step fits."""
SHORT, FINALISTS = 3, 6
"""So many steps are walked first, by which so many distances and features are chosen."""
TRIED, CLEAR, MOST = 1000, 5.0, 5000
"""Traces of these walks, where the best is ahead by so much log-likelihood a step; otherwise more."""
PERIODS = 2
"""Sums are looked for up to so many periods behind their anchors."""
PARAMETERS = 3
"""Gain, level and noise."""
LOADS = 0.8
"""Correlation, from step to step, at which a sample is taken for a load of the weights."""
ROUNDS = (False, True, True)
"""Times that gains and levels are estimated, and whether loads are among them: while weights may be their doubles,
whose sums look nearly alike, loads would only confirm them."""


Scale = Literal["own", "shared"]
SCALES: tuple[Scale, ...] = ("shared", "own")
"""One instruction in a loop writes all sums with one gain and level; unrolled, each step may have its own."""


@dataclass(frozen=True, eq=False)
class Located:
    """Where the sums of one kernel show, as found in the traces."""

    anchors: Anchors
    distance: int
    """Samples from the anchor of a step to its sum."""
    feature: str
    scale: Scale
    gains: Mapping[str, float]
    """By feature, log-likelihood for each trace and step beyond what known inputs explain: how it was chosen."""

    @property
    def samples(self) -> NDArray[np.int64]:
        """(steps,) at which the sums show."""
        return self.anchors.samples + self.distance


@dataclass(frozen=True)
class Unprofiled:
    """What was recovered of one channel."""

    chain: Chain
    steps: tuple[tuple[Point, ...], ...]
    sigma: float
    """Of what the templates do not explain at the best sample."""


def locate(
    traces: NDArray[np.float32], factors: NDArray[np.int32], offset: int, groups: Sequence[tuple[int, ...]], run: int
) -> Located:
    """Distance and feature of the sums.

    Args:
        traces: (n, t) of one channel.
        factors: (n, k) what its weights are multiplied with.
        offset: that the kernel adds to codes.
        groups: numbers of the products that each step adds.
        run: steps of the inner loop.
    """
    columns = known_columns(factors, offset, groups)
    anchors = find_anchors(traces, columns, run)
    for count in (min(TRIED, len(traces)), min(MOST, len(traces))):
        shown = {name: column[:count] for name, column in columns.items()}
        ranked = _ranked(traces[:count], factors[:count], shown, anchors, groups)
        if ranked[0][1] - ranked[1][1] > CLEAR:
            break
    gains = {name: max(gain for other, gain in ranked if other.feature == name) / count for name in SUMS}
    return replace(ranked[0][0], gains=gains)


def _ranked(
    traces: NDArray[np.float32],
    factors: NDArray[np.int32],
    columns: Mapping[str, NDArray[np.uint8]],
    anchors: Anchors,
    groups: Sequence[tuple[int, ...]],
) -> list[tuple[Located, float]]:
    """Places and features with their log-likelihood a step, beyond what known inputs explain; the best first.

    Many are walked for few steps, then few for many.
    """
    speaking = [k for k, group in enumerate(groups) if factors[:, list(group)].std(0).any()]
    steps = speaking[:WALKED][-1] + 1 if speaking else min(WALKED, len(groups))
    last = int(traces.shape[1] - 1 - anchors.samples[-1])
    distances = range(min(PERIODS * anchors.period, last) + 1)
    adding = np.array([bool(factors[:, list(group)].any()) for group in groups[:steps]])
    known = {d: _known_cost(traces, columns, anchors, d, steps) * adding for d in distances}

    def gain(here: Located, spoken: int) -> float:
        """Of so many steps whose factors vary, and those between."""
        count = speaking[:spoken][-1] + 1 if speaking else steps
        cost = _walk(traces, factors, groups[:count], here)
        return float(known[here.distance][:count].sum() - cost) / max(int(adding[:count].sum()), 1)

    place = Located(anchors, 0, "hw_sum", "own", {})
    first = {d: gain(replace(place, distance=d), 1) for d in distances}
    near = sorted(distances, key=lambda d: -first[d])[:DISTANCES]
    ways = [replace(place, distance=d, feature=f, scale=s) for d in near for f in SUMS for s in SCALES]
    short = {way: gain(way, SHORT) for way in ways}
    kept = sorted(ways, key=lambda way: -short[way])[:FINALISTS]
    found = [(way, gain(way, WALKED) if way in kept else short[way]) for way in ways]
    return sorted(found, key=lambda item: (item[0] not in kept, -item[1]))


def _walk(
    traces: NDArray[np.float32], factors: NDArray[np.int32], groups: Sequence[tuple[int, ...]], here: Located
) -> float:
    """Cost of the best weights of the first steps, with that of the parameters that were fitted (G. Schwarz,
    "Estimating the Dimension of a Model", Annals of Statistics 6, 1978)."""
    samples = here.anchors.samples[: len(groups)] + here.distance
    used = sorted({k for group in groups for k in group})
    order = [tuple(used.index(k) for k in group) for group in groups]
    points = _unscaled(traces, samples, here)
    chain = recover(_columns(traces, samples), np.ascontiguousarray(factors[:, used]), points, 0.0, NARROW, order)
    fits = len(groups) if here.scale == "own" else 1
    return chain.cost + fits * PARAMETERS / 2 * float(np.log(len(traces) * len(groups) / fits))


def _unscaled(traces: NDArray[np.float32], samples: NDArray[np.int64], here: Located) -> tuple[tuple[Point, ...], ...]:
    level = float(traces[:, samples].mean(dtype=np.float64))
    sign = float(here.anchors.polarity)
    return tuple((Point(int(s), here.feature, sign, level, 0.0, 0.0, here.scale),) for s in samples)


def _columns(traces: NDArray[np.float32], samples: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
    return {int(s): np.ascontiguousarray(traces[:, s]) for s in np.unique(samples)}


def _known_cost(
    traces: NDArray[np.float32], columns: Mapping[str, NDArray[np.uint8]], anchors: Anchors, distance: int, steps: int
) -> NDArray[np.float64]:
    """(steps,) cost of the samples given nothing but known numbers: a sample that they explain tells of no weight."""
    made = np.zeros(steps)
    for k in range(steps):
        y = traces[:, anchors.samples[k] + distance].astype(np.float64)
        shown = [
            column[:, i].astype(np.float64) for column in columns.values() for i in (k, k + 1) if i < column.shape[1]
        ]
        design = np.stack([np.ones(len(y)), *shown], axis=1)
        residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        made[k] = len(y) / 2 * np.log(residual.var() + FLOOR) + (design.shape[1] + 1) / 2 * np.log(len(y))
    return made


def extract(
    traces: NDArray[np.float32],
    factors: NDArray[np.int32],
    groups: Sequence[tuple[int, ...]],
    located: Located,
    beam: int,
    template: Point | None = None,
) -> Unprofiled:
    """All weights of one channel.

    Args:
        traces: (n, t)
        factors: (n, k)
        groups: as in `locate`.
        located: of this kernel, from any channel.
        beam: paths that are kept.
        template: gain and level of sums, from another channel; by default they are found with the first weights.
    """
    samples = located.samples
    steps = _unscaled(traces, samples, located)
    if template is not None and located.scale == "shared":
        steps = tuple((replace(template, sample=int(sample)),) for sample in samples)
    chain, sigma = recover(_columns(traces, samples), factors, steps, 0.0, beam, groups), 0.0
    for loads in ROUNDS:
        made = calibrated(traces, factors, chain.weights, groups, located, loads)
        if not made:
            break
        steps, sigma = made
        used = np.array([point.sample for step in steps for point in step])
        chain = recover(_columns(traces, used), factors, steps, 0.0, beam, groups)
    return Unprofiled(chain, steps, sigma)


def calibrated(
    traces: NDArray[np.float32],
    factors: NDArray[np.int32],
    weights: NDArray[np.int32],
    groups: Sequence[tuple[int, ...]],
    located: Located,
    with_loads: bool,
) -> tuple[tuple[tuple[Point, ...], ...], float] | None:
    """Points of all steps with gains and levels, by regression on weights that were recovered; None where none fit."""
    products = factors * weights[None, :]
    added = np.stack([products[:, list(g)].sum(1, dtype=np.int32) for g in groups], axis=1)
    after = np.ascontiguousarray(np.cumsum(added, axis=1, dtype=np.int32))
    before = np.concatenate([np.zeros((len(after), 1), np.int32), after[:, :-1]], axis=1)
    words = np.stack([loaded_word(weights[list(g)][None])[0] for g in groups])
    anchors, period = located.anchors.samples, located.anchors.period
    column = FEATURES[located.feature](after, before, words[None])
    sums = _template(traces[:, anchors + located.distance], column, located)
    if sums is None:
        return None
    reach = range(max(1 - period, -int(anchors[0])), located.distance) if with_loads else ()
    loads = [(d, p) for d in reach if (p := _load(traces, anchors + d, words, located.anchors.polarity)) is not None]
    steps = tuple(
        (replace(point, sample=int(anchor) + located.distance), *(replace(p, sample=int(anchor) + d) for d, p in loads))
        for anchor, point in zip(anchors, sums, strict=True)
    )
    return steps, sums[0].spread


def _template(measured: NDArray[np.float32], column: NDArray[np.uint8], located: Located) -> tuple[Point, ...] | None:
    """Gain and levels of all steps, by regression over all of them."""
    x, y = column.astype(np.float64), measured.astype(np.float64)
    axis = 0 if located.scale == "own" else None
    x_mean, y_mean = x.mean(axis=axis, keepdims=True), y.mean(axis=axis, keepdims=True)
    xx, xy = float(((x - x_mean) ** 2).sum()), float(((x - x_mean) * (y - y_mean)).sum())
    if xx <= 0 or xy * located.anchors.polarity <= 0:
        return None
    gain = xy / xx
    levels = np.broadcast_to(y_mean - gain * x_mean, (1, x.shape[1]))[0]
    spread = float((y - gain * x - levels[None]).std())
    r = float(abs(gain) * np.sqrt(xx / x.size) / max(float((y - y_mean).std()), 1e-9))
    return tuple(Point(-1, located.feature, gain, float(level), spread, min(r, 1.0)) for level in levels)


def _load(
    traces: NDArray[np.float32], samples: NDArray[np.int64], words: NDArray[np.int32], polarity: int
) -> Point | None:
    """A sample that shows the weights themselves: its mean goes with their bits from step to step."""
    if len(samples) < 8:
        return None
    seen, mean = bits(np.ascontiguousarray(words)).astype(np.float64), traces[:, samples].mean(0, dtype=np.float64)
    if seen.std() == 0 or mean.std() == 0:
        return None
    r = float(np.corrcoef(seen, mean)[0, 1])
    if r * polarity < LOADS:
        return None
    gain = float(np.polyfit(seen, mean, 1)[0])
    level = float(mean.mean() - gain * seen.mean())
    spread = float((mean - gain * seen - level).std() * np.sqrt(len(seen) / (len(seen) - 2)))
    return Point(-1, "hw_weight", gain, level, spread, r)
