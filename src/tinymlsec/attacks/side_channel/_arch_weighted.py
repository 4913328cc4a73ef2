"""Finds the layer with weights that begins at a place of a trace: kind, window, stride, channels, and where it ends.

Three steps narrow it down. The first pixel shows how many rows of taps and products a channel has. Channel follows
channel without a gap until all are done: there the correlation breaks, which tells their number. Then pixel follows
pixel and row follows row at distances that are the same throughout a layer; the border pixels have fewer taps, which
tells stride and padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Guess, Shape, guesses
from tinymlsec.attacks.side_channel._arch_layer import (
    GAP,
    GLANCE,
    LONGEST,
    LOOK,
    PIXELS,
    WEIGHED,
    Found,
    Layer,
)
from tinymlsec.attacks.side_channel._arch_profile import Kernel, Profile, Skipped
from tinymlsec.attacks.side_channel._arch_scores import Samples, correlation, sliding
from tinymlsec.attacks.side_channel._arch_train import NATS, Train, ends_of_train, frame

HEAD = 800
"""Samples that are compared of a pixel among many."""
GLANCES, ALIKE = 100, 16
"""Loop counts that are looked at closer, and keys with the same counts."""
KEYS, FEW, FINALISTS = 6, 3, 4
MOST_CHANNELS = 2048
SHIFTS = 24
"""How many channels of a pixel may be shorter than the others."""
LOOSE, AGAIN = 60.0, 16
"""Nats by which a number of channels may be worse where what follows tells more than the train; how many are kept."""
CLEAR = 0.88
"""Share of the first pixel's fit that others must reach for no other number of channels to be tried."""
WIDE, BESIDE = 8, 5
"""Images no wider than this leave the number of channels open by so many."""
ABOUT, MOST_FOUND = 0.8, 48
CHANCE, WORTH_A_LOOK = 6.5, 5.0
"""Standard deviations that the best of all guesses does not reach in noise; and from which on a first pixel, which may
be short, is followed through its layer, where it must reach more than chance."""


@dataclass(frozen=True)
class _Key:
    """What the first pixel tells layers apart by."""

    kind: str
    skipped: Skipped
    counts: tuple[int, ...]
    channels: int
    """0: open."""


@dataclass
class _First:
    key: _Key
    start: int
    fit: float
    z: float
    slope: float
    """Units of the trace for one unit of the rules."""
    guesses: list[Guess]


def ranked(candidates: Sequence[Found]) -> list[Found]:
    """The best first.

    Of layers that fit about equally well the longest is meant: a layer also looks like its own beginning. Numbers of
    channels of which only the end of a train tells follow the most likely of them.
    """
    heads = [found for found in candidates if found.nats == 0]
    by_guess: dict[tuple[str, Shape, str], Found] = {}
    for found in sorted((f for f in heads if f.detail), key=lambda f: f.sure):
        by_guess[(found.kind, found.source, found.detail)] = found
    heads = [*by_guess.values(), *(found for found in heads if not found.detail)]
    best = max((found.sure for found in heads), default=0.0)
    heads.sort(key=lambda found: (found.sure < ABOUT * best, -found.end if found.sure >= ABOUT * best else -found.sure))
    made = []
    for head in heads:
        made.append(head)
        same = [
            f for f in candidates if f.nats > 0 and (f.kind, f.detail, f.start) == (head.kind, head.detail, head.start)
        ]
        made += sorted((f for f in same if f.sure >= ABOUT * best and f not in made), key=lambda f: f.nats)
    return made[:MOST_FOUND]


class WeightedSearch:
    """Looks for layers with weights.

    Args:
        samples: the trace.
        profile: the rules.
    """

    def __init__(self, samples: Samples, profile: Profile) -> None:
        self.samples, self.profile = samples, profile

    def find(self, at: int, sources: Sequence[Shape]) -> list[Found]:
        """Layers that may begin soon after a place, the best first.

        Args:
            at: sample behind the layer before.
            sources: shapes of tensors that it may read.
        """
        made: list[Found] = []
        for first in self._firsts(at, sources):
            made += self._refined(first)
            if any(found.fit > CLEAR * first.fit and prod(found.output[:-1]) > 1 for found in made):
                break
        return ranked(made)

    def with_next(self, found: Found, accept: Callable[[int, int], float]) -> list[Found]:
        """A dense layer with the numbers of units that fit best together with what follows.

        Args:
            found: it, with some number of units.
            accept: (units, end) -> nats by which something else than a dense layer may follow there.
        """
        guess = Guess(found.kind, found.source)
        key = _Key(found.kind, *guess.view(0, 0), 0)
        first = self._anchored(key, found, guess)
        kernel, scored = self.profile.kernels[key.kind], []
        for train in self._channels(first, LOOSE):
            end = first.start + len(kernel.steps(key.skipped, (train.channels, *key.counts), train.flat))
            other = accept(train.channels, end)
            scored.append((max(self._next(end, train.channels, 4 * HEAD), other) - train.nats, other, end, train))
        scored.sort(key=lambda row: -row[0])
        again = [(max(self._next(e, t.channels, LOOK), other) - t.nats, t) for _, other, e, t in scored[:AGAIN]]
        again.sort(key=lambda row: -row[0])
        best = again[0][0]
        close = [replace(train, nats=best - likely) for likely, train in again[:4] if best - likely < NATS]
        made = [self._layer(first, guess, train).found(train.nats) for train in close]
        return [layer for layer in made if layer is not None] or [found]

    def _anchored(self, key: _Key, found: Found, guess: Guess) -> _First:
        template = self._template(self.profile.kernels[key.kind], key, found.output[-1], LOOK)
        seen = self.samples[found.start : found.start + len(template)]
        fit = correlation(seen, template[: len(seen)])
        slope = fit * float(seen.std()) / max(float(template.std()), 1e-9)
        return _First(key, found.start, fit, fit * float(np.sqrt(len(seen))), slope, [guess])

    def _next(self, at: int, units: int, most: int) -> float:
        """Log-likelihood, against chance, of a dense layer of so many values that begins soon after a place."""
        if "FULLY_CONNECTED" not in self.profile.kernels:
            return 0.0
        guess = Guess("FULLY_CONNECTED", (units,))
        first = self._glance(_Key(guess.kind, *guess.view(0, 0), 0), at, [guess], most)
        return max(first.z - 4.0, 0.0) ** 2 / 2 if first else 0.0

    # The first pixel

    def _firsts(self, at: int, sources: Sequence[Shape]) -> list[_First]:
        keys: dict[_Key, list[Guess]] = {}
        for source in sources:
            for guess in guesses(source):
                if guess.kind in self.profile.kernels:
                    key = _Key(guess.kind, *guess.view(0, 0), guess.fixed_channels)
                    keys.setdefault(key, []).append(guess)
        glances = [self._glance(key, at, found, GLANCE) for key, found in keys.items()]
        # keys with the same loop counts differ by few samples at the beginning: at first one stands for all of them
        alike: dict[_Key, list[_First]] = {}
        for first in sorted((g for g in glances if g is not None), key=lambda first: -first.z):
            alike.setdefault(replace(first.key, skipped=(0, 0, 0, 0)), []).append(first)
        groups = list(alike.values())[:GLANCES]
        heads = [(self._glance(group[0].key, at, group[0].guesses, LOOK), group) for group in groups]
        best = sorted((pair for pair in heads if pair[0] is not None), key=lambda pair: -pair[0].z if pair[0] else 0.0)
        looks = [
            self._glance(first.key, at, first.guesses, LOOK) for _, group in best[:KEYS] for first in group[:ALIKE]
        ]
        ordered = sorted((g for g in looks if g is not None), key=lambda first: -first.z)
        if not ordered or ordered[0].z < WORTH_A_LOOK:
            return []
        least = ordered[0].z - max(6.0, 0.35 * ordered[0].z)
        # what is left out of the first rows and columns hardly changes a short pixel: many keys may be as good
        return [first for first in ordered[:ALIKE] if first.z >= least]

    def _glance(self, key: _Key, at: int, found: list[Guess], most: int) -> _First | None:
        kernel, best = self.profile.kernels[key.kind], None
        for channels in _doubling(key.channels or MOST_CHANNELS):
            if channels < kernel.nest.least:
                continue
            template = self._template(kernel, key, channels, most)
            fits = sliding(self.samples[at : at + GAP + len(template)], template)
            if not len(fits):
                break
            start = int(np.argmax(fits))
            z = float(fits[start] * np.sqrt(len(template)))
            if best is None or z > best.z:
                seen = self.samples[at + start : at + start + len(template)]
                slope = float(fits[start]) * float(seen.std()) / max(float(template.std()), 1e-9)
                best = _First(key, at + start, float(fits[start]), z, slope, found)
            if len(template) >= most:
                break
        return best

    def _template(self, kernel: Kernel, key: _Key, channels: int, most: int) -> Samples:
        return self.profile.levels[kernel.steps(key.skipped, (channels, *key.counts))[:most]]

    # The number of channels

    def _refined(self, first: _First, *, again: bool = False) -> list[Found]:
        numbers = self._channels(first)
        if first.key.channels:  # told by the input
            numbers = [Train(first.key.channels, 0.0, max((t.flat for t in numbers), key=len, default=()))]
        single = [guess for guess in first.guesses if len(guess.rows) * len(guess.columns) == 1]
        likely = [train for train in numbers if train.nats <= NATS]
        made = [self._layer(first, guess, train).found(train.nats) for guess in single[:FEW] for train in likely]
        layers = self._spaced(first, [guess for guess in first.guesses if guess not in single], numbers)
        for layer in layers:
            layer.space_rows()
            layer.weigh()
        if layers:
            layers += self._folded(first, max(layers, key=lambda layer: layer.fit))
        if layers and not again and max(layer.fit for layer in layers) < CLEAR * layers[0].reference():
            # where a channel early on is shorter, what follows it fits best, and the pixel seems to begin too early
            shorter = self.profile.kernels[first.key.kind].flat[0]
            if shorter:
                made += self._refined(replace(first, start=first.start + shorter), again=True)
        best = max((layer.fit for layer in layers), default=0.0)
        alike: dict[Guess, Layer] = {}
        for layer in sorted(layers, key=lambda layer: layer.fit):
            if layer.fit > ABOUT * best:
                alike[layer.guess] = layer
        longest = sorted(alike.values(), key=lambda layer: -layer.pixels)[:FINALISTS]
        # the mean over few pixels is often high by luck: those that are the least luck are looked at too
        strong = sorted(layers, key=lambda layer: -layer.fit * min(layer.pixels, WEIGHED) ** 0.5)[:FEW]
        # few pixels may by luck fit best with a wrong number of channels: those of the train are looked at too
        told = [layer for layer in _likely(layers, numbers) if layer.guess in {each.guess for each in longest}]
        pairs = [(layer, layer.found(0.0)) for layer in dict.fromkeys([*longest, *strong, *told])]
        whole = [(layer, found) for layer, found in pairs if found is not None]
        made += [found for _, found in whole]
        made += self._climbed(first, whole)
        return [found for found in made if found is not None]

    def _climbed(self, first: _First, whole: Sequence[tuple[Layer, Found]]) -> list[Found]:
        """Numbers of channels beside those of the best layers, compared over whole layers.

        A pixel that is taken to be one channel too long shifts all behind it by one more. Their beginnings fit nearly
        as well; over the whole layer each step towards the right number fits better.
        """
        best = max((found.sure for _, found in whole), default=0.0)
        starts: dict[Guess, tuple[Layer, Found]] = {}
        for layer, found in sorted(whole, key=lambda pair: pair[1].sure):
            if found.sure >= ABOUT * best and len(layer.guess.columns) <= WIDE and not first.key.channels:
                starts[layer.guess] = layer, found
        return [better for layer, found in starts.values() for better in self._climb(first, layer, found)]

    def _climb(self, first: _First, layer: Layer, found: Found) -> list[Found]:
        tried: dict[int, Found | None] = {layer.channels: found}
        best = found
        for _ in range(4 * BESIDE):
            at = best.output[-1]
            for number in (at - 1, at + 1):
                if number not in tried and number >= layer.kernel.nest.least:
                    tried[number] = self._numbered(first, layer, number)
            ahead = max((each for each in tried.values() if each is not None), key=lambda each: each.sure)
            if ahead is best:
                break
            best = ahead
        return [best] if best is not found else []

    def _numbered(self, first: _First, layer: Layer, number: int) -> Found | None:
        """The same layer with another number of channels."""
        flat = tuple(place for place in layer.flat if place < number)
        other = self._layer(first, layer.guess, Train(number, 0.0, flat))
        other.space_columns()
        other.space_rows()
        return other.found(0.0)

    def _folded(self, first: _First, layer: Layer) -> list[Layer]:
        """The same guess with the channels that the average of its pixels shows: noise averages out."""
        view, places = layer.usual_view()
        block = len(layer.kernel.channel((layer.kernel.nest.least, *view[1])))
        length = len(layer.kernel.steps(view[0], (layer.channels, *view[1]), layer.flat)) + 8 * block
        places = [at for at in places if at + length <= len(self.samples)][: max(LONGEST // length, 4)]
        if len(places) < 4:
            return []
        total = np.zeros(length)
        for at in places:
            total += self.samples[at : at + length]
        key = _Key(first.key.kind, *view, first.key.channels)
        folded = WeightedSearch((total / len(places)).astype(np.float32), self.profile)
        made = []
        for train in folded._channels(replace(first, key=key, start=0))[:FEW]:
            other = self._layer(first, layer.guess, replace(train, channels=first.key.channels or train.channels))
            other.space_columns()
            other.space_rows()
            other.weigh()
            made.append(other)
        return made

    def _layer(self, first: _First, guess: Guess, train: Train) -> Layer:
        return Layer(self.samples, self.profile, guess, train, first.start)

    def _spaced(self, first: _First, some: Sequence[Guess], numbers: Sequence[Train]) -> list[Layer]:
        """Guesses with the few numbers of channels at which pixels of the first row fit best."""
        rows: dict[tuple[object, ...], list[Guess]] = {}
        for guess in some:
            rows.setdefault((*guess.columns[: PIXELS + 1], len(guess.columns) == 1), []).append(guess)
        made = []
        for guesses_alike in rows.values():
            layers: list[Layer] = []
            reference = self._layer(first, guesses_alike[0], numbers[0]).reference()
            for train in numbers:
                layer = self._layer(first, guesses_alike[0], train)
                layer.space_columns()
                layers.append(layer)
                if len(layers) >= FEW and max(each.fit for each in layers) > CLEAR * reference:
                    break
            if len(guesses_alike[0].columns) <= WIDE and not first.key.channels:
                layers += self._beside(first, guesses_alike[0], layers, reference)
            layers.sort(key=lambda layer: -layer.fit)
            columns = len(guesses_alike[0].columns)
            most = FEW if columns > WIDE else 4 * FEW
            few = layers if columns == 1 else layers[:most] + _likely(layers[most:], numbers)
            made += [layer.like(guess) for layer in few for guess in guesses_alike]
        return made

    def _beside(self, first: _First, guess: Guess, layers: Sequence[Layer], reference: float) -> list[Layer]:
        """Some channels more or less than the best: with few pixels a wrong number fits nearly as well as the right."""
        best = max(layers, key=lambda layer: layer.fit)
        if len(guess.columns) == 1 or best.fit < ABOUT * reference:
            return []
        tried, made = {layer.channels for layer in layers}, []
        for number in range(max(best.channels - BESIDE, best.kernel.nest.least), best.channels + BESIDE + 1):
            if number not in tried:
                flat = tuple(place for place in best.flat if place < number)
                layer = self._layer(first, guess, Train(number, 0.0, flat))
                layer.space_columns()
                made.append(layer)
        return made

    def _channels(self, first: _First, nats: float = 0.0) -> list[Train]:
        kernel, key = self.profile.kernels[first.key.kind], first.key
        block = kernel.channel((kernel.nest.least, *key.counts))
        lead = first.start + kernel.lead(key.skipped, (kernel.nest.least, *key.counts))
        weights = frame(block, self.profile.levels)
        shifts = SHIFTS if kernel.flat[0] else 1
        along = np.stack([self._train(lead, weights, shift * kernel.flat[0]) for shift in range(shifts)])
        least, most = kernel.nest.least, key.channels or MOST_CHANNELS
        seen = self.samples[first.start : first.start + max(LOOK, 4 * len(block))]
        level = first.slope * float(weights @ self.profile.levels[block])
        spread = float(seen.std() * np.sqrt(weights @ weights))
        return [
            replace(t, channels=t.channels + least, flat=tuple(c + least - 1 for c in t.flat))
            for t in ends_of_train(along[:, : most - least], level, spread, nats)
        ]

    def _train(self, lead: int, weights: Samples, shorter: int) -> NDArray[np.float32]:
        """How well each channel fits, from the second one on, when some before it were shorter."""
        begin = lead - shorter
        rounds = min(MOST_CHANNELS, (len(self.samples) - begin) // len(weights))
        made = np.zeros(MOST_CHANNELS, np.float32)
        if begin >= 0 and rounds > 0:
            made[:rounds] = self.samples[begin : begin + rounds * len(weights)].reshape(rounds, -1) @ weights
        return made


def _likely(layers: Sequence[Layer], numbers: Sequence[Train]) -> list[Layer]:
    """Those with the numbers of channels that are the likeliest by the train alone, where pixels in a row are few."""
    told = {train.channels for train in numbers[:FEW]}
    return [layer for layer in layers if layer.channels in told and len(layer.guess.columns) <= WIDE]


def _doubling(most: int) -> list[int]:
    """1, 2, 4, ... and the last."""
    return sorted({min(1 << k, most) for k in range(most.bit_length() + 1)})
