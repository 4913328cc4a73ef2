"""Finds the layer with weights that begins at a place of a trace: kind, window, stride, channels, and where it ends.

Three steps narrow it down. The first pixel shows how many rows of taps and products a channel has. Channel follows
channel without a gap until all are done: there the correlation breaks, which tells their number. Then pixel follows
pixel and row follows row at distances that are the same throughout a layer; the border pixels have fewer taps, which
tells stride and padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Guess, Shape, guesses
from tinymlsec.attacks.side_channel._arch_nest import Steps
from tinymlsec.attacks.side_channel._arch_profile import Kernel, Profile, Skipped
from tinymlsec.attacks.side_channel._arch_scores import Samples, correlation, sliding

GAP = 96
"""Most samples between two kernels: what the code between them takes."""
SHORTER = 100
"""By how much a pixel may be shorter than told."""
HEAD, GLANCE, LOOK, LONGEST = 800, 1500, 20_000, 4_000_000
"""Samples that are compared of a pixel among many, at first, then, and at most."""
MARKS, LEAST_MARKS, MOST_MARKS = 12, 4000, 40_000
"""Channels, and samples, of a pixel by which others are placed, seen beside their innermost loops."""
GLANCES, ALIKE, KEYS, FEW, FINALISTS = 100, 16, 6, 3, 4
MOST_CHANNELS, BESIDE = 2048, 5
NATS = 15.0
"""Log-likelihood by which a number of channels may be worse than the best and still be looked at."""
SHIFTS, COST = 24, 6.0
"""How many channels of a pixel may be shorter than the others, and what each costs, in nats."""
LARGEST_STEP = 50.0
MOST_NUMBERS = 16
LOOSE, AGAIN = 60.0, 16
"""The same where what follows tells more than the train."""
CLEAR = 0.88
"""Share of the first pixel's fit that others must reach for no other number of channels to be tried."""
ABOUT, MOST_FOUND = 0.8, 48
CHANCE = 6.5
"""Standard deviations that the best of all guesses does not reach in noise."""
DRIFT = 8
"""Samples by which a pixel may begin elsewhere than told: the last call of a layer is often a jump."""
PIXELS, ROWS, WEIGHED, WIDE = 24, 16, 64, 8
"""Pixels of the first row, and rows, whose beginnings are looked at."""


@dataclass(frozen=True)
class Found:
    """A layer that a stretch of the trace looks like."""

    kind: str
    source: Shape
    output: Shape
    macs: int
    start: int
    """First sample of its first kernel."""
    end: int
    """Sample behind its last kernel."""
    fit: float
    """Correlation over the whole layer."""
    samples: int
    """That were compared."""
    detail: str = ""
    nats: float = 0.0
    """By how much its number of channels is less likely than another, where nothing else tells."""

    @property
    def sure(self) -> float:
        """A correlation that chance does not reach."""
        return float(self.fit - 4 / np.sqrt(max(self.samples, 1)))


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
        if not ordered or ordered[0].z < CHANCE:
            return []
        least = ordered[0].z - max(6.0, 0.35 * ordered[0].z)
        return [first for first in ordered[:KEYS] if first.z >= least]

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
        alike: dict[Guess, _Layer] = {}
        for layer in sorted(layers, key=lambda layer: layer.fit):
            if layer.fit > ABOUT * best:
                alike[layer.guess] = layer
        longest = sorted(alike.values(), key=lambda layer: -layer.pixels)[:FINALISTS]
        made += [layer.found(0.0) for layer in longest]
        return [found for found in made if found is not None]

    def _folded(self, first: _First, layer: _Layer) -> list[_Layer]:
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

    def _layer(self, first: _First, guess: Guess, train: Train) -> _Layer:
        return _Layer(self.samples, self.profile, guess, train, first.start)

    def _spaced(self, first: _First, some: Sequence[Guess], numbers: Sequence[Train]) -> list[_Layer]:
        """Guesses with the few numbers of channels at which pixels of the first row fit best."""
        rows: dict[tuple[object, ...], list[Guess]] = {}
        for guess in some:
            rows.setdefault((*guess.columns[: PIXELS + 1], len(guess.columns) == 1), []).append(guess)
        made = []
        for guesses_alike in rows.values():
            layers: list[_Layer] = []
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
            few = layers if columns == 1 else layers[: FEW if columns > WIDE else 4 * FEW]
            made += [layer.like(guess) for layer in few for guess in guesses_alike]
        return made

    def _beside(self, first: _First, guess: Guess, layers: Sequence[_Layer], reference: float) -> list[_Layer]:
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


def frame(block: Steps, levels: Samples) -> Samples:
    """What is seen of a channel beside its innermost loop: that fits at any multiple of its length, and tells nothing.

    Args:
        block: instructions of a channel.
        levels: mean signal of each instruction.
    """
    counts = np.bincount(block)[block]
    # a stretch may end within the loop: its instructions then have two counts
    outer = counts < 0.6 * counts.max() if counts.max() > 1 else np.ones(len(block), np.bool_)
    period = len(np.unique(block[~outer])) or 1
    phase = np.arange(len(block)) % period
    # blind to whatever repeats with the length of the innermost loop: such a loop may be beyond a layer's end
    means = np.bincount(phase[outer], levels[block[outer]], period) / np.maximum(
        np.bincount(phase[outer], minlength=period), 1
    )
    weights = np.zeros(len(block), np.float32)
    weights[outer] = levels[block[outer]] - means[phase[outer]]
    return weights


@dataclass(frozen=True)
class Train:
    """So many channels, one after the other."""

    channels: int
    nats: float
    """By how much it is less likely than another number."""
    flat: tuple[int, ...] = ()
    """Channels that were shorter."""


def ends_of_train(along: NDArray[np.floating], expected: float, spread: float, loose: float = 0.0) -> list[Train]:
    """After how many equal rounds a train of them may end, and how much less likely each is than the best, in nats.

    Args:
        along: (shifts, rounds) how well each round fits where so many rounds before it were shorter. Behind the end and
            where it does not fit, it is noise around zero.
        expected: how well a round fits.
        spread: standard deviation of that.
        loose: all ends up to so many nats below the best, rather than those near a likely one.
    """
    level = 0.8 * expected
    spread = max(spread, 0.05 * abs(level), 1e-9)
    if level <= 0:
        return [Train(0, 0.0)]
    gain = (2 * level * along.astype(np.float64) - level**2) / (2 * spread**2)
    likelihood, states, came = _followed(np.clip(gain, -LARGEST_STEP, LARGEST_STEP))
    worse = likelihood.max() - likelihood
    if loose:
        return [Train(int(c), float(worse[c]), _shorter(states, came, int(c))) for c in np.flatnonzero(worse <= loose)]
    made: dict[int, float] = {}
    for peak in {int(np.argmax(likelihood)), _first_drop(likelihood)}:
        near = np.arange(max(peak - MOST_NUMBERS, 0), min(peak + MOST_NUMBERS, len(likelihood) - 1) + 1)
        before, after = _paces(likelihood, peak)
        # as if rounds behind the end fitted as they do here
        local = likelihood[near] - near * (before + after) / 2
        made |= {int(n): float(w) for n, w in zip(near, local.max() - local, strict=True) if int(n) not in made}
    # behind its end a train may for a while seem to go on: all ends that cost little
    made |= {int(c): float(worse[c]) for c in np.flatnonzero(worse <= NATS) if int(c) not in made}
    trains = [Train(c, nats, _shorter(states, came, c)) for c, nats in made.items()]
    return sorted(trains, key=lambda train: train.nats)


def _followed(gain: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """The most likely way through rounds and shifts: likelihood and shift up to each round, and where it shifted."""
    total, came = np.full(len(gain), -np.inf), np.zeros(gain.T.shape, np.bool_)
    total[0] = 0.0
    likelihood, states = [0.0], [0]
    for number, column in enumerate(gain.T):
        came[number, 1:] = total[:-1] - COST > total[1:]
        total[1:] = np.maximum(total[1:], total[:-1] - COST)
        total = total + column
        states.append(int(np.argmax(total)))
        likelihood.append(float(total[states[-1]]))
        if likelihood[-1] < max(likelihood) - 40 * NATS:
            break
    return np.array(likelihood), np.array(states), came


def _shorter(states: NDArray[np.int64], came: NDArray[np.bool_], rounds: int) -> tuple[int, ...]:
    """Rounds before which the most likely way shifted."""
    shift, made = int(states[rounds]), []
    for number in range(rounds - 1, -1, -1):
        if shift and came[number, shift]:
            made.append(number)
            shift -= 1
    return tuple(reversed(made))


def _paces(likelihood: NDArray[np.float64], peak: int) -> tuple[float, float]:
    """What a round adds before and behind a place; nothing or less behind it counts as a whole round's loss."""
    before = float(likelihood[peak] - likelihood[0]) / max(peak, 1)
    ahead = min(peak + 12, len(likelihood) - 1)
    after = float(likelihood[ahead] - likelihood[peak]) / max(ahead - peak, 1)
    return (before, after) if after > 0 else (0.0, 0.0)


def _first_drop(likelihood: NDArray[np.float64]) -> int:
    """Where likelihood first goes on at less than half of the pace that it had."""
    n = np.arange(len(likelihood))
    ahead = np.minimum(n + np.maximum(np.minimum(n, 12), 3), len(likelihood) - 1)
    pace = (likelihood - likelihood[0]) / np.maximum(n, 1)
    after = (likelihood[ahead] - likelihood) / np.maximum(ahead - n, 1)
    slow = np.flatnonzero((n >= 1) & (after < 0.5 * pace) & (pace > 0))
    if not len(slow):
        return len(likelihood) - 1
    stretch = slice(int(slow[0]), int(slow[0]) + 8)
    return int(slow[0]) + int(np.argmax((pace - after)[stretch]))


class _Layer:
    """A guess with its channels, laid over the trace."""

    def __init__(self, samples: Samples, profile: Profile, guess: Guess, train: Train, start: int) -> None:
        self.samples, self.profile, self.guess = samples, profile, guess
        self.channels, self.flat, self.start = train.channels, train.flat, start
        self.kernel = profile.kernels[guess.kind]
        self.gap, self.row_gap, self.drift, self.fit = 0, 0, 0, 0.0
        self.marks: dict[tuple[tuple[Skipped, tuple[int, ...]], int], Samples] = {}

    @property
    def pixels(self) -> int:
        """Of the output."""
        return len(self.guess.rows) * len(self.guess.columns)

    def like(self, guess: Guess) -> _Layer:
        """Another guess whose first row is the same."""
        other = copy(self)
        other.guess, other.marks = guess, {}
        return other

    def _length(self, row: int, column: int) -> int:
        skipped, counts = self.guess.view(row, column)
        return self.kernel.length(skipped, (self.channels, *counts), self.flat)

    def _lead(self, row: int, column: int) -> int:
        skipped, counts = self.guess.view(row, column)
        return self.kernel.lead(skipped, (self.kernel.nest.least, *counts)) - len(
            self.kernel.channel((self.kernel.nest.least, *counts))
        )

    def _head(self, row: int, column: int, most: int) -> Samples:
        return self.profile.levels[self.guess.steps(self.kernel, row, column, self.channels, self.flat)[:most]]

    def usual_view(self) -> tuple[tuple[Skipped, tuple[int, ...]], list[int]]:
        """The view that most pixels have, and where these begin."""
        places: dict[tuple[Skipped, tuple[int, ...]], list[int]] = {}
        at, columns = self.start, len(self.guess.columns)
        for row in range(len(self.guess.rows)):
            for column in range(columns):
                places.setdefault(self.guess.view(row, column), []).append(at)
                at += self._length(row, column) + (self.gap if column < columns - 1 else self.row_gap)
        return max(places.items(), key=lambda pair: len(pair[1]))

    def space_columns(self) -> None:
        """Finds the distance of pixels in the first row."""
        columns = min(PIXELS, len(self.guess.columns))
        self.fit = 1.0
        if columns > 1:
            lengths = np.cumsum([self._length(0, column) for column in range(columns - 1)])
            low = -min(SHORTER, self._block() // 4)
            self.gap, self.fit = self._distance(lengths, [(0, c) for c in range(1, columns)], low)

    def space_rows(self) -> None:
        """Finds the distance of rows."""
        rows, columns = min(ROWS, len(self.guess.rows)), range(len(self.guess.columns))
        if rows > 1:
            inside = self.gap * (len(columns) - 1)
            lengths = [sum(self._length(row, column) for column in columns) + inside for row in range(rows - 1)]
            low = self.gap - 24 if len(columns) > 1 else -min(SHORTER, self._block() // 4)
            self.row_gap, _ = self._distance(np.cumsum(lengths), [(row, 0) for row in range(1, rows)], low)

    def _distance(self, lengths: NDArray[np.int64], places: Sequence[tuple[int, int]], low: int) -> tuple[int, float]:
        """The gap that is the same between all of some pixels, and how well they fit with it."""
        choices = np.arange(low, GAP)
        total, count = np.zeros(len(choices)), 0
        for number, ((row, column), before) in enumerate(zip(places, lengths.tolist(), strict=True), 1):
            begin = self.start + before + number * low
            at = number * (choices - low)
            # what is ahead of the first channel counts on its own: channels fit one further nearly as well
            lead = self._slid(self._head(row, column, self._lead(row, column)), begin, at)
            marks = self._slid(self._marks(row, column), begin, at)
            if lead is None or marks is None:
                break
            total += lead + marks
            count += 1
        best = int(np.argmax(total))
        usual = float(self._lead(*places[0])) ** 0.5 + float(np.count_nonzero(self._marks(*places[0]))) ** 0.5
        return int(choices[best]), float(total[best]) / usual / max(count, 1)

    def _marks(self, row: int, column: int, most: int = 0) -> Samples:
        """The beginning of a pixel beside its innermost loops, which fit wherever there are such."""
        most = most or int(np.clip(MARKS * self._block(), LEAST_MARKS, MOST_MARKS))
        view = self.guess.view(row, column), most
        if view not in self.marks:
            self.marks[view] = frame(
                self.guess.steps(self.kernel, row, column, self.channels, self.flat)[:most], self.profile.levels
            )
        return self.marks[view]

    def reference(self) -> float:
        """How well the first pixel fits beside its innermost loops."""
        lead = self._head(0, 0, self._lead(0, 0))
        ahead = correlation(self.samples[self.start : self.start + len(lead)], lead)
        return max(self._marked(self.start, self._marks(0, 0, LOOK)), ahead / 2)

    def _marked(self, at: int, marks: Samples) -> float:
        stretch = self.samples[max(at, 0) : max(at, 0) + len(marks)]
        if len(stretch) < len(marks):
            return 0.0
        return correlation(stretch, marks) * float(np.sqrt(len(marks) / max(int(np.count_nonzero(marks)), 1)))

    def _block(self) -> int:
        """Samples of a channel."""
        return len(self.kernel.channel((self.kernel.nest.least, *self.guess.view(0, 0)[1])))

    def _slid(self, template: Samples, begin: int, at: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How a template fits at some places, in standard deviations of chance."""
        if begin < 0:
            return None
        fits = sliding(self.samples[begin : begin + int(at[-1]) + len(template)], template)
        return fits[at] * np.sqrt(len(template)) if len(fits) > at[-1] else None

    def weigh(self) -> float:
        """How well the beginnings of pixels and rows fit where they are now taken to be."""
        columns, at = len(self.guess.columns), self.start
        fits: list[tuple[float, float]] = []
        for row in range(min(ROWS, len(self.guess.rows))):
            for column in range(columns):
                if (column < PIXELS and len(fits) < WEIGHED) or not column:
                    lead = self._head(row, column, self._lead(row, column))
                    ahead = (
                        correlation(self.samples[at : at + len(lead)], lead) if at + len(lead) < self.length else 0.0
                    )
                    fits.append((ahead, self._marked(at, self._marks(row, column))))
                at += self._length(row, column) + (self.gap if column < columns - 1 else self.row_gap)
        self.fit = float(np.mean(fits))
        return self.fit

    @property
    def length(self) -> int:
        """Samples of the trace."""
        return len(self.samples)

    def found(self, nats: float) -> Found | None:
        """The layer as a whole."""
        rows, columns = len(self.guess.rows), len(self.guess.columns)
        end = self.start + self.gap * (columns - 1) * rows + self.row_gap * (rows - 1)
        end += sum(self._length(row, column) * times for (row, column), times in self._views().items())
        if end > len(self.samples):
            return None
        fit, compared = self._fit()
        end += self.drift
        guess = self.guess
        detail = f"{guess.window[0]}x{guess.window[1]} stride {guess.stride} {guess.padding}" if guess.windowed else ""
        return Found(
            guess.kind, guess.source, guess.output(self.channels), guess.macs(self.channels), self.start, end, fit,
            compared, detail, nats if rows * columns == 1 else 0.0,
        )  # fmt: skip

    def _views(self) -> dict[tuple[int, int], int]:
        """One pixel for each view, and how many pixels have it."""
        v, h = _classes(self.guess.rows), _classes(self.guess.columns)
        return {(row, column): a * b for row, a in v.items() for column, b in h.items()}

    def _fit(self) -> tuple[float, int]:
        """Correlation over the layer: over whole rows at its beginning and, where that is too long, at its end."""
        columns = range(len(self.guess.columns))
        lengths = np.array([sum(self._length(row, c) for c in columns) for row in range(len(self.guess.rows))])
        begins = self.start + np.concatenate(
            [[0], np.cumsum(lengths + self.gap * (len(columns) - 1) + self.row_gap)[:-1]]
        )
        chosen, total = [], 0
        for row in (*range(0, len(lengths), 2), *range(len(lengths) - 1 - len(lengths) % 2, 0, -2)):
            if total > LONGEST:
                break
            chosen.append(row)
            total += int(lengths[row])
        parts, templates, single = [], [], len(columns) * len(lengths) <= 64
        for row in sorted(chosen):
            at = int(begins[row]) + self.drift
            for column in columns:
                template = self._head(row, column, LONGEST)
                if (single or not column) and at > self.start:
                    at += self._drifted(template[:GLANCE], at)
                parts.append(self.samples[at : at + len(template)])
                templates.append(template[: len(parts[-1])])
                at += len(template) + self.gap
        return correlation(np.concatenate(parts), np.concatenate(templates)), sum(map(len, parts))

    def _drifted(self, head: Samples, at: int) -> int:
        fits = sliding(self.samples[at - DRIFT : at + DRIFT + len(head)], head)
        best = int(np.argmax(fits)) - DRIFT if len(fits) > DRIFT else 0
        if not best or fits[best + DRIFT] < fits[DRIFT] + 5 / np.sqrt(len(head)):
            return 0
        self.drift += best
        return best


def _classes(axis: Sequence[object]) -> dict[int, int]:
    first: dict[object, int] = {}
    counts: dict[int, int] = {}
    for place, taps in enumerate(axis):
        at = first.setdefault(taps, place)
        counts[at] = counts.get(at, 0) + 1
    return counts


def _doubling(most: int) -> list[int]:
    """1, 2, 4, ... and the last."""
    return sorted({min(1 << k, most) for k in range(most.bit_length() + 1)})
