"""What each sample that speaks is evidence of: one input value, two, several packed ones, or a sum so far.

Values are guessed one after the other, in the order in which every window adds them. So a sum is evidence at the time
when the last value that is in it is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._input_bench import Shape
from tinymlsec.attacks.side_channel._input_layer import FirstLayer
from tinymlsec.attacks.side_channel._input_order import order_of
from tinymlsec.attacks.side_channel._input_points import Spoken, Term, Word

CODES = np.arange(-128, 128, dtype=np.int32)


@dataclass(frozen=True)
class OfValue:
    """A sample that depends on one value."""

    shape: int
    sample: int
    places: NDArray[np.int64]
    """(windows,)"""
    table: NDArray[np.float32]
    """(b, 256) what it shows for each code, by bundle."""
    spread: float


@dataclass(frozen=True)
class OfTwo:
    """A sample that shows the distance of two values, and perhaps more of the later one."""

    shape: int
    sample: int
    late: NDArray[np.int64]
    early: NDArray[np.int64]
    """(windows,) places."""
    table: NDArray[np.float32]
    """(256, 256) by the later and the earlier code."""
    own: NDArray[np.float32]
    """(b, 256) of the later code alone, by bundle."""
    spread: float


@dataclass(frozen=True)
class OfPacked:
    """A sample that shows several values in one word, as the sum of what each adds."""

    shape: int
    sample: int
    places: NDArray[np.int64]
    """(windows, m)"""
    table: NDArray[np.float32]
    """(256,) what a value adds."""
    spread: float


@dataclass(frozen=True)
class OfSum:
    """A sample that shows a sum so far."""

    shape: int
    sample: int
    kind: str
    """weight, distance (from the sum before) or both."""
    gain: float
    member: int
    """Which of the channels that are summed together."""
    late: NDArray[np.int64]
    """(windows,) place of the last value in it."""
    weight: NDArray[np.int32]
    """(windows, b) that this value is multiplied with."""
    ahead: NDArray[np.int64]
    """(windows, m) earlier places that are not in it yet; -1 for none."""
    ahead_weight: NDArray[np.int32]
    """(windows, m, b)"""
    spread: float


@dataclass
class Plan:
    """All evidence of a layer.

    Args:
        layer: the first.
        shapes: profiled.
    """

    layer: FirstLayer
    shapes: Sequence[Shape]
    values: list[OfValue] = field(default_factory=list)
    two: list[OfTwo] = field(default_factory=list)
    packed: list[OfPacked] = field(default_factory=list)
    sums: list[OfSum] = field(default_factory=list)
    unused: int = 0
    """Samples that speak in a way that is not made use of."""

    def __post_init__(self) -> None:
        self.order = order_of(self.layer.covered, self.shapes)
        """Places that enter a product, as they are guessed."""
        self.position = np.full(self.layer.size, -1, np.int64)
        """(size,) of each place in that order."""
        self.position[self.order] = np.arange(len(self.order))
        for number, shape in enumerate(self.shapes):
            for sample, spoken in enumerate(shape.spoken):
                self._sort_in(_Place(self.layer, shape, number, sample, spoken, self.position))

    def _sort_in(self, place: _Place) -> None:
        kinds, at = place.kinds, place.values
        if "S" in kinds:
            made = place.of_sum()
            self.sums += [made] if made else []
            self.unused += made is None
        elif kinds & {"L", "E"}:
            packed = place.of_packed()
            self.packed += [packed] if packed else []
            self.unused += packed is None
        elif len(at) == 1:
            self.values.append(place.of_value())
        elif len(at) == 2 and (two := place.of_two()) is not None:
            self.two.append(two)
        else:
            self.unused += 1

    @cached_property
    def reach(self) -> int:
        """Guesses, at most, from a value back to the earliest other one that its evidence needs."""
        at = self.position
        gaps = [at[two.late] - at[two.early] for two in self.two]
        gaps += [np.ptp(at[packed.places], axis=1) for packed in self.packed]
        gaps += [np.where(s.ahead >= 0, at[s.late][:, None] - at[s.ahead], 0).ravel() for s in self.sums]
        return int(max((gap.max(initial=0) for gap in gaps), default=0)) + 1


@dataclass(frozen=True)
class _Place:
    """One sample of one shape."""

    layer: FirstLayer
    shape: Shape
    number: int
    sample: int
    spoken: Spoken
    position: NDArray[np.int64]

    @cached_property
    def words(self) -> list[Word]:
        return [word for term in self.spoken.terms for word in (term.first, term.second) if word is not None]

    @property
    def kinds(self) -> set[str]:
        return {word.kind for word in self.words}

    @property
    def values(self) -> list[int]:
        """Products whose values it depends on, ascending."""
        return sorted({word.at for word in self.words if word.kind not in "WV"})

    @cached_property
    def weights(self) -> NDArray[np.int32]:
        """(b, c, k)"""
        weights: NDArray[np.int32] = self.layer.weights[self.shape.bundles][:, :, self.shape.windows[0].taps]
        return weights

    def of_value(self) -> OfValue:
        place = self.shape.inputs[:, self.values[0]]
        return OfValue(self.number, self.sample, place, self._table(self.spoken.terms), self.spoken.spread)

    def of_two(self) -> OfTwo | None:
        first, second = self.values
        early, late = self.shape.inputs[:, first], self.shape.inputs[:, second]
        if not (early < late).all():
            return None
        shared, own = np.zeros((256, 256), np.float32), []
        for term in self.spoken.terms:
            at = {word.at for word in (term.first, term.second) if word is not None and word.kind not in "WV"}
            plain = all(word is None or word.kind in "XFB" for word in (term.first, term.second))
            if at == {second}:
                own.append(term)
            elif not plain:
                return None
            else:
                shared += np.float32(term.gain) * self._pair(term, second)
        return OfTwo(self.number, self.sample, late, early, shared, self._table(own), self.spoken.spread)

    def of_packed(self) -> OfPacked | None:
        if len(self.spoken.terms) != 1 or self.spoken.terms[0].kind != "weight":
            return None
        term = self.spoken.terms[0]
        k, loaded = term.first.at, term.first.kind == "L"
        at = [k, k + 1, k + 2, k + 3] if loaded else [k, k + 2]
        words = CODES & 0xFF if loaded else (CODES + self.layer.offset) & 0xFFFF
        table = np.float32(term.gain) * np.bitwise_count(words.astype(np.uint32)).astype(np.float32)
        return OfPacked(self.number, self.sample, self.shape.inputs[:, at], table, self.spoken.spread)

    def of_sum(self) -> OfSum | None:
        """None where it shows more than one sum, or its change where it changes by several values at once."""
        terms = [term for term in self.spoken.terms if abs(term.gain) > 0.05]
        if len(terms) != 1 or terms[0].first.kind != "S":
            return None
        term, groups, inputs = terms[0], self.shape.groups, self.shape.inputs
        g, member = term.first.at, term.first.of
        inside = sorted(k for group in groups[: g + 1] for k in group)
        if term.kind != "weight" and (
            term.second is None or term.second.kind != "S" or term.second.at != g - 1 or term.second.of != member
            or len(groups[g]) > 1 or (np.diff(inputs[:, inside], axis=1) < 0).any()
        ):  # fmt: skip
            return None
        at, windows = self.position[inputs], np.arange(len(inputs))
        last = np.array(inside)[at[:, inside].argmax(1)]
        weights = self.weights[:, member, :]
        ahead, ahead_weight = self._ahead(at, at[windows, last], inside, weights)
        return OfSum(
            self.number, self.sample, term.kind, term.gain, member, inputs[windows, last],
            np.ascontiguousarray(weights[:, last].T), ahead, ahead_weight, self.spoken.spread,
        )  # fmt: skip

    def _ahead(
        self, at: NDArray[np.int64], late: NDArray[np.int64], inside: list[int], weights: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Values that are guessed before the last one of a sum but added after it, with their weights."""
        inputs = self.shape.inputs
        others = np.setdiff1d(np.arange(inputs.shape[1]), inside)
        early = at[:, others] < late[:, None]
        most = int(early.sum(1).max(initial=0))
        first = np.argsort(~early, axis=1, kind="stable")[:, :most]
        there = np.take_along_axis(early, first, axis=1)
        which = others[first] if most else np.zeros((len(inputs), 0), np.int64)
        places = np.where(there, np.take_along_axis(inputs, which, axis=1), -1)
        return places, np.where(there[:, :, None], weights[:, which].transpose(1, 2, 0), 0).astype(np.int32)

    def _table(self, terms: Sequence[Term]) -> NDArray[np.float32]:
        """(b, 256) of terms that depend on one value."""
        total = np.zeros((len(self.weights), 256), np.float32)
        for term in terms:
            total += np.float32(term.gain) * term.count(self._codes(term.first), self._codes(term.second))
        return total

    def _pair(self, term: Term, late: int) -> NDArray[np.float32]:
        """(256, 256)"""
        sides = []
        for word in (term.first, term.second):
            values = self._codes(word)
            sides.append(None if values is None or word is None else values[0][:, None] if word.at == late
                         else values[0][None, :])  # fmt: skip
        counted: NDArray[np.float32] = term.count(sides[0], sides[1])
        return np.broadcast_to(counted, (256, 256))

    def _codes(self, word: Word | None) -> NDArray[np.int32] | None:
        """(1, 256), (b, 256) or (b, 1) values of a word for every code."""
        if word is None:
            return None
        moved = CODES + np.int32(self.layer.offset)
        weight = self.weights[:, word.of, word.at][:, None] if word.kind in "PWV" else np.zeros((1, 1), np.int32)
        match word.kind:
            case "X":
                made = CODES[None]
            case "F":
                made = moved[None]
            case "P":
                made = moved[None] * weight
            case "W":
                made = weight
            case "B":
                made = CODES[None] & 0xFF
            case "V":
                made = weight & 0xFF
            case _:
                made = (CODES[None] >> int(word.kind)) & 1
        return made.astype(np.int32)
