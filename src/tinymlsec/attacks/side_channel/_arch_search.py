"""From a trace to an architecture, layer after layer.

What one layer puts out is what the next one takes in, so the shape of a layer's input is known when it is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tinymlsec.attacks.side_channel._arch_geometry import Shape
from tinymlsec.attacks.side_channel._arch_layer import GAP, Found
from tinymlsec.attacks.side_channel._arch_profile import Profile
from tinymlsec.attacks.side_channel._arch_scores import Samples
from tinymlsec.attacks.side_channel._arch_weighted import ABOUT, CHANCE, WeightedSearch
from tinymlsec.attacks.side_channel._arch_whole import VARIES, WholeLayers, find_whole

END = 48
"""Samples behind the last layer: what it takes to return."""
CLEAR, USUAL = 0.88, 0.5
"""Share of what other layers fit from which on nothing else is tried, and which a layer must reach at least."""
EARLIER = 4
"""Tensors of other shapes, the newest first, that a layer may read."""
MOST_LAYERS = 256
CANDIDATES = 4
BACK, BRANCHES = 3, 3
"""Layers that are taken back where nothing fits well behind them, and what else is tried for each."""
LONGEST_WAY = 4
"""Layers by which another way must have come past the place where nothing fitted."""
BETTER = 1.15
"""By how much another way, or an earlier tensor, must fit better than the usual one."""

Report = Callable[[int, int], None]
"""(samples explained, all)"""


@dataclass(frozen=True)
class Layer:
    """A layer as it was recognized."""

    kind: str
    source: Shape
    output: Shape
    macs: int
    start: int
    end: int
    fit: float
    detail: str = ""
    others: tuple[tuple[str, Shape, int], ...] = ()
    """Kind, output and products of what it may be instead."""


@dataclass(frozen=True)
class Architecture:
    """What was recovered."""

    layers: tuple[Layer, ...]
    explained: int
    """Samples up to which the trace is explained."""
    samples: int

    @property
    def whole(self) -> bool:
        """The trace is explained to its end."""
        return self.samples - self.explained <= END


class Recognizer:
    """Recovers architectures from single traces.

    Args:
        profile: the rules.
        rng: values of own models that are made on the way.
    """

    def __init__(self, profile: Profile, rng: np.random.Generator) -> None:
        self.profile = profile
        self.whole = WholeLayers(profile, rng)

    def recognize(
        self, samples: Samples, source: Shape, answers: int | None = None, report: Report | None = None
    ) -> Architecture:
        """Goes through a trace from its beginning to its end, or to where nothing fits any more.

        Args:
            samples: (t,) one inference; nothing else is known of it.
            source: shape of the input, which whoever feeds the device knows; without the batch.
            answers: values of an answer, where whoever uses the device sees them all.
            report: told how far it is.
        """
        search = _Search(samples, self.profile, self.whole, source, answers)
        while not search.done and len(search.layers) < MOST_LAYERS:
            if not search.step():
                break
            if report is not None:
                report(search.at, len(samples))
        return Architecture(tuple(search.layers), search.at, len(samples))


@dataclass(frozen=True)
class _Branch:
    """A place where a layer was chosen."""

    layers: int
    """Layers before it."""
    tensors: int
    at: int
    found: list[Found]

    def others(self) -> list[list[Found]]:
        """What else it may be: candidates with another end or another output, each as the first of the list."""
        best = self.found[0]
        taken = {(best.end, best.output)}
        made: list[list[Found]] = []
        for other in self.found[1:]:
            # any layer also looks like its own beginning
            same_place = abs(other.start - best.start) <= GAP
            part = same_place and (other.kind, other.output[-1]) == (best.kind, best.output[-1])
            alike = other.sure >= ABOUT * best.sure and not (part and other.end < best.end)
            if alike and (other.end, other.output) not in taken and len(made) < BRANCHES:
                taken.add((other.end, other.output))
                made.append([other, *(each for each in self.found if each is not other)])
        return made


_Way = tuple[tuple[Layer, ...], tuple[Shape, ...], int, list[_Branch]]


class _Search:
    def __init__(
        self, samples: Samples, profile: Profile, whole: WholeLayers, source: Shape, answers: int | None
    ) -> None:
        self.answers = answers
        self.samples, self.profile, self.whole = samples, profile, whole
        self.weighted = WeightedSearch(samples, profile)
        self.tensors, self.at = [source], 0
        self.layers: list[Layer] = []
        self.open: list[_Branch] = []

    @property
    def done(self) -> bool:
        return len(self.samples) - self.at <= END

    def step(self) -> bool:
        """Recognizes the next layer; False where nothing fits."""
        found = self._looked_ahead(self._candidates())
        if self.open and not self._ends() and not self._good(found, CLEAR):
            found = self._looked_ahead(self._another_way(found))
        if not self._good(found, USUAL):
            found = self._by_length(self.tensors[-1])
            if not found:
                return False
        self.open = [*self.open[1 - BACK :], _Branch(len(self.layers), len(self.tensors), self.at, found)]
        self._take(found)
        return True

    def _candidates(self) -> list[Found]:
        newest = self.tensors[-1]
        found = self.weighted.find(self.at, [newest])
        if not self._good(found, CLEAR):
            found = self._best(found, self._without_weights(newest))
        if not self._good(found, CLEAR):
            earlier = list(dict.fromkeys(shape for shape in reversed(self.tensors) if shape != newest))[:EARLIER]
            other = self.weighted.find(self.at, earlier)
            # tensors whose products come to the same rounds fit about as well: the newest is the usual one
            if other and (not found or other[0].sure > BETTER * found[0].sure):
                found = other
        return found

    def _ends(self) -> bool:
        """What is left may be a last layer whose path varies: that never fits well."""
        return bool(self._by_length(self.tensors[-1]))

    def _another_way(self, found: list[Found]) -> list[Found]:
        """Where nothing fits well, the layers before may be wrong: tries others for the last ones, the newest first.

        Another way must lead past this place, since any layer also looks like several short ones. It is worth as much
        as the worst of its layers. Where none fits as layers usually do the first one stays: a trace may also just end.
        """
        kept = self._way()
        worth = max(BETTER * (_share(found[0], kept[0]) if found else 0.0), CLEAR)
        for branch in reversed(kept[3]):
            ways = [self._tried(kept, branch, other, found, worth) for other in branch.others()]
            reached, following, way = max(ways, key=lambda way: way[0], default=(0.0, [], kept))
            if reached > worth:
                self._go(way)
                return following
        self._go(kept)
        return found

    def _tried(
        self, kept: _Way, branch: _Branch, other: list[Found], found: list[Found], worth: float
    ) -> tuple[float, list[Found], _Way]:
        """Another way from a branch on: its worth, what follows on it, and the way; worth 0 where it explains less."""
        self._restore(kept, branch)
        following, reached = self._followed(other, kept, worth)
        if following:
            until = following[0].end
            before = _explained(kept[0][branch.layers :], found, until)
            if _explained(self.layers[branch.layers :], following, until) <= before:
                reached = 0.0
        return reached, following, self._way()

    def _followed(self, found: list[Found], kept: _Way, worth: float) -> tuple[list[Found], float]:
        """Takes a layer and those behind it up to one that ends beyond the kept way, and the least that any fits."""
        beyond, reached = kept[2] + GAP, _share(found[0], kept[0])
        for _ in range(LONGEST_WAY):
            if reached <= worth:
                break
            self._take(found)
            found = self._candidates()
            reached = min(reached, _share(found[0], kept[0])) if found else 0.0
            if reached <= worth:
                break
            if found[0].end > beyond:
                return found, reached
        return [], 0.0

    def _way(self) -> _Way:
        return tuple(self.layers), tuple(self.tensors), self.at, self.open

    def _go(self, way: _Way) -> None:
        layers, tensors, self.at, self.open = way
        self.layers, self.tensors = list(layers), list(tensors)

    def _restore(self, kept: _Way, branch: _Branch) -> None:
        layers, tensors, _, branches = kept
        self.layers, self.tensors = list(layers[: branch.layers]), list(tensors[: branch.tensors])
        self.at, self.open = branch.at, [each for each in branches if each.layers < branch.layers]

    def _good(self, found: Sequence[Found], share: float) -> bool:
        if not found:
            return False
        best = found[0]
        return best.fit * np.sqrt(best.samples) > CHANCE + 2 and best.fit > share * _usual(best.kind, self.layers)

    @staticmethod
    def _best(*lists: Sequence[Found]) -> list[Found]:
        best = 0
        for number, found in enumerate(lists):
            if found and (not lists[best] or found[0].sure > lists[best][0].sure):
                best = number
        return list(lists[best])

    def _without_weights(self, newest: Shape) -> list[Found]:
        best: list[Found] = []
        for looks in self.whole.looks(newest, self.tensors.count(newest) > 1):
            best = self._best(best, find_whole(self.samples, self.at, newest, looks))
            if self._good(best, CLEAR):
                break
        return best

    def _by_length(self, newest: Shape) -> list[Found]:
        """Last layers whose path varies, where what is left has their length."""
        if len(newest) != 1:
            return []
        left, made = len(self.samples) - self.at, []
        for looks in self.whole.looks(newest, False):
            usable = [k for k in looks if k.own.kind in VARIES and k.lengths[0] <= left <= k.lengths[1] + 2 * END]
            fits = {found.kind: found.fit for found in find_whole(self.samples, self.at, newest, usable)}
            for look in usable:
                end = len(self.samples) - END // 2
                fit = fits.get(look.own.kind, 0.0)
                made.append(Found(look.own.kind, newest, look.own.output, 0, self.at, end, fit, 0, "by its length"))
        # of several scores one is chosen: that is what the first of them is for
        several = newest[0] > 1
        return sorted(made, key=lambda found: (found.kind != "SOFTMAX") if several else (found.kind == "SOFTMAX"))

    def _looked_ahead(self, found: list[Found]) -> list[Found]:
        """Where only what follows tells how many channels a layer has, what fits best there decides."""
        if not found or found[0].kind != "FULLY_CONNECTED":
            return found
        return self.weighted.with_next(found[0], self._may_end)

    def _may_end(self, units: int, end: int) -> float:
        """Nats for the end of the trace behind a dense layer, or for a last layer whose path varies."""
        left = len(self.samples) - end
        wrong = self.answers is not None and units != self.answers
        if wrong or left < 0:
            return 0.0
        return 100.0 if left <= END else 20.0 if self._fits_the_rest(units, left) else 0.0

    def _fits_the_rest(self, units: int, left: int) -> bool:
        if left > 2000 * units + END:
            return False
        looks = (look for group in self.whole.looks((units,), False) for look in group)
        return any(look.own.kind in VARIES and look.lengths[0] <= left <= look.lengths[1] + END for look in looks)

    def _take(self, found: Sequence[Found]) -> None:
        best = found[0]
        gap = best.start - self.at
        if best.kind == "FULLY_CONNECTED" and len(best.source) == 3 and self._reshaped(gap):
            flat = (prod(best.source),)
            self._keep(Layer("RESHAPE", best.source, flat, 0, self.at, best.start, 1.0, "by the gap"))
            best = replace(best, source=flat)
        others = tuple((f.kind, f.output, f.macs) for f in found[1:] if not f.samples or f.sure >= ABOUT * best.sure)[
            : CANDIDATES - 1
        ]
        self._keep(
            Layer(best.kind, best.source, best.output, best.macs, best.start, best.end, best.fit, best.detail, others)
        )

    def _keep(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.tensors.append(layer.output)
        self.at = layer.end

    def _reshaped(self, gap: int) -> bool:
        without, with_one = self.profile.gaps
        return abs(gap - with_one) < abs(gap - without)


def _usual(kind: str, layers: Sequence[Layer]) -> float:
    """What layers of a trace fit: kernels differ in how much their signal varies, so those of the kind where known."""
    same = [layer.fit for layer in layers if layer.kind == kind]
    fits = same or [layer.fit for layer in layers]
    return float(np.median(fits)) if fits else 0.0


def _share(found: Found, layers: Sequence[Layer]) -> float:
    """How well a layer fits beside what those of its kind fit."""
    usual = _usual(found.kind, layers)
    return found.sure / usual if usual > 0 else 0.0


def _explained(layers: Sequence[Layer], following: Sequence[Found], until: int) -> float:
    """Signal that a way explains up to a place: squared correlation times samples. The last layer may go on."""
    total = sum(max(layer.fit, 0.0) ** 2 * max(min(layer.end, until) - layer.start, 0) for layer in layers)
    for last in following[:1]:
        total += max(last.fit, 0.0) ** 2 * max(until - last.start, 0)
    return total


def shapes(tensors: Iterable[Sequence[int]]) -> list[Shape]:
    """Shapes without the batch."""
    return [tuple(int(n) for n in shape[1:]) for shape in tensors]
