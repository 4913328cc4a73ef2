"""From noisy samples to the most likely input: value after value, several paths at once.

The search is that of weight extraction with the roles exchanged. There a weight is guessed and met by many inputs; here
an input value is guessed and met by many weights: all channels of all windows that cover it. Sums that follow judge the
guesses once more, so the likeliest paths are kept (a beam). What depends on one value alone, such as its loads, is
added up beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._input_plan import CODES, OfSum, OfTwo, OfValue, Plan
from tinymlsec.attacks.side_channel._input_sums import fixed, sum_costs

HOPELESS = 30.0
"""Log-likelihood behind the best beyond which a path is given up: e^-30."""
WIDE = (512, 4096)
"""Paths that are kept where nothing is heard of a value until a later one is guessed, at least and at most."""
WORK = 1 << 17
"""Sums of all those paths that one guess of the next value is compared with, about."""
FLOOR = 1e-3
"""Least variance of a sample: templates are not exact to the last digit."""

Rest = list[NDArray[np.float32]]
"""For each shape (windows, bundles, samples): measured less the level."""


@dataclass(frozen=True)
class _Sums:
    """Sums of one kind that speak, by the place at which they are judged."""

    kind: str
    gain: float
    spread: float
    begins: NDArray[np.int64]
    """(places + 1,) rows of each place."""
    slot: NDArray[np.int64]
    member: NDArray[np.int64]
    weight: NDArray[np.int32]
    """(rows, b)"""
    ahead: NDArray[np.int64]
    """(rows, m)"""
    ahead_weight: NDArray[np.int32]
    """(rows, m, b)"""
    shape: NDArray[np.int64]
    window: NDArray[np.int64]
    sample: NDArray[np.int64]
    """(rows,) where its measured values lie."""

    def values(self, rest: Rest) -> NDArray[np.int32]:
        """(rows, b) measured values for a gain of one."""
        made = np.empty(self.weight.shape, np.float32)
        for number, part in enumerate(rest):
            rows = self.shape == number
            made[rows] = part[self.window[rows], :, self.sample[rows]]
        return fixed(made / self.gain)


@dataclass(frozen=True)
class Decoded:
    """What was recovered."""

    codes: NDArray[np.int64]
    """(size,) most likely codes of the layer's input."""
    margin: float
    """Log-likelihood by which the path is ahead of the next one."""


class Decoder:
    """Recovers inputs of one layer.

    Args:
        plan: its evidence.
        beam: paths that are kept.
    """

    def __init__(self, plan: Plan, beam: int) -> None:
        self.plan, self.beam = plan, beam
        self._slots()
        each = self.entry_weight[0].size * len(self.entry_slot) // max(len(plan.order), 1)
        self.wide = int(np.clip(WORK // max(each, 1), *WIDE))
        self.heard = np.zeros(plan.layer.size, bool)
        """Places of which something is heard when they are guessed."""
        for late in (*(v.places for v in plan.values), *(t.late for t in plan.two), *(s.late for s in plan.sums)):
            self.heard[late] = True
        self.sums = [_arranged(plan, key, rows, self._slot_of) for key, rows in _classes(plan.sums).items()]

    def _slots(self) -> None:
        """Memory of sums: a window has a slot from its first value to its last."""
        plan = self.plan
        spans = [
            (int(plan.position[window.inputs].min()), int(plan.position[window.inputs].max()), number, i)
            for number, shape in enumerate(plan.shapes)
            for i, window in enumerate(shape.windows)
        ]
        self._slot_of = [np.zeros(len(shape.windows), np.int64) for shape in plan.shapes]
        free: list[int] = []
        ends: list[tuple[int, int]] = []
        self.begun: dict[int, list[int]] = {}
        used = 0
        for first, last, number, i in sorted(spans):
            free += [slot for end, slot in ends if end < first]
            ends = [(end, slot) for end, slot in ends if end >= first]
            if free:
                slot = free.pop()
            else:
                slot, used = used, used + 1
            ends.append((last, slot))
            self._slot_of[number][i] = slot
            self.begun.setdefault(int(plan.order[first]), []).append(slot)
        bundles = plan.shapes[0].bundles.shape
        self.state = (used, bundles[1], bundles[0])
        self._entries()

    def _entries(self) -> None:
        """By place: which slots it is added to, with which weights."""
        place, slot, weight = [], [], []
        for number, shape in enumerate(self.plan.shapes):
            weights = self.plan.layer.weights[shape.bundles][:, :, shape.windows[0].taps]
            place.append(shape.inputs.ravel())
            slot.append(np.repeat(self._slot_of[number], shape.inputs.shape[1]))
            weight.append(np.tile(weights.transpose(2, 1, 0), (len(shape.windows), 1, 1)))
        places = np.concatenate(place)
        order = np.argsort(places, kind="stable")
        self.entry_begins = np.searchsorted(places[order], np.arange(self.plan.layer.size + 1))
        self.entry_slot = np.concatenate(slot)[order]
        self.entry_weight = np.ascontiguousarray(np.concatenate(weight)[order], np.int32)

    def decode(self, rest: Rest, sigma: float, prior: NDArray[np.float64]) -> Decoded:
        """The most likely codes.

        Args:
            rest: measured less the levels.
            sigma: of the noise.
            prior: (size, 256) log-probabilities of the codes, or (1, 256).
        """
        size = self.plan.layer.size
        alone = -np.broadcast_to(prior, (size, 256)).astype(np.float64)
        for value in self.plan.values:
            _add_value(alone, value, rest[value.shape][:, :, value.sample], sigma)
        pairs = _pairs(self.plan.two, rest, sigma, alone)
        packed = _packed(self.plan, rest, sigma)
        measured = [sums.values(rest) for sums in self.sums]
        walk = _Walk(self, sigma, alone, pairs, packed, measured)
        for place in self.plan.order:
            walk.step(int(place))
        return walk.end(alone)


class _Walk:
    """The paths of one search."""

    def __init__(
        self,
        decoder: Decoder,
        sigma: float,
        alone: NDArray[np.float64],
        pairs: dict[int, list[_Pair]],
        packed: dict[int, list[_Pack]],
        measured: list[NDArray[np.int32]],
    ) -> None:
        self.decoder, self.sigma, self.alone, self.pairs, self.packed = decoder, sigma, alone, pairs, packed
        self.measured = measured
        self.offset = decoder.plan.layer.offset
        self.cost = np.zeros(1)
        self.sums = np.zeros((1, *decoder.state), np.int32)
        self.reach = decoder.plan.reach
        self.recent = np.zeros((1, self.reach), np.int64)
        """Numbers of the codes of the last guesses, by their position modulo `reach`."""
        self.position = decoder.plan.position
        self.beam = decoder.beam
        self.parents: list[NDArray[np.int64]] = []
        self.guessed: list[NDArray[np.int64]] = []

    def step(self, place: int) -> None:
        """One more value."""
        if begun := self.decoder.begun.get(place):
            self.sums[:, begun] = 0
        blind = not self.decoder.heard[place]
        self.beam = max(self.decoder.beam, self.decoder.wide) if blind else self.decoder.beam
        if blind:  # all codes stay until something is heard of this one, so fewer paths may be
            fewer = slice(0, self.decoder.wide // 256)
            self.cost, self.sums, self.recent = self.cost[fewer], self.sums[fewer], self.recent[fewer]
        cost = self.cost[:, None] + self.alone[place][None]
        for pair in self.pairs.get(place, ()):
            cost += pair.cost(self._codes(np.array([pair.early]))[:, 0])
        for pack in self.packed.get(place, ()):
            cost += pack.cost(self._codes(pack.others))
        guesses = np.flatnonzero((cost <= cost.min() + HOPELESS).any(0))
        cost = cost[:, guesses]
        if len(guesses) > 1 or len(cost) > 1:
            for sums, measured in zip(self.decoder.sums, self.measured, strict=True):
                cost += self._of_sums(sums, measured, place, guesses)
        rows, columns = self._best(cost)
        self._advance(place, rows, guesses[columns], cost[rows, columns])

    def _codes(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """(paths, m) numbers of codes that were guessed before."""
        codes: NDArray[np.int64] = self.recent[:, self.position[places] % self.reach]
        return codes

    def _of_sums(
        self, sums: _Sums, measured: NDArray[np.int32], place: int, guesses: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        rows = slice(sums.begins[place], sums.begins[place + 1])
        if rows.start == rows.stop:
            return np.zeros((len(self.cost), len(guesses)))
        before = self.sums[:, sums.slot[rows], sums.member[rows]]
        for m in range(sums.ahead.shape[1]):
            there = sums.ahead[rows, m]
            factor = (self._codes(there) - 128 + self.offset) * (there >= 0)
            before = before - factor[:, :, None].astype(np.int32) * sums.ahead_weight[rows, m][None]
        made = sum_costs(
            sums.kind, before.reshape(len(before), -1), sums.weight[rows].ravel(), measured[rows].ravel(),
            CODES[guesses] + np.int32(self.offset),
        )  # fmt: skip
        return made * (sums.gain**2 / (2 * (self.sigma**2 + sums.spread**2 + FLOOR)))

    def _best(self, cost: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Paths and guesses that are kept, the likeliest first."""
        count = min(self.beam, cost.size)
        order = np.argpartition(cost, count - 1, axis=None)[:count]
        order = order[np.argsort(cost.ravel()[order], kind="stable")]
        order = order[cost.ravel()[order] <= cost.ravel()[order[0]] + HOPELESS]
        rows, columns = np.unravel_index(order, cost.shape)
        return rows.astype(np.int64), columns.astype(np.int64)

    def _advance(
        self, place: int, rows: NDArray[np.int64], guessed: NDArray[np.int64], cost: NDArray[np.float64]
    ) -> None:
        decoder = self.decoder
        if len(rows) != len(self.cost) or (rows != np.arange(len(rows))).any():
            self.sums, self.recent = self.sums[rows], self.recent[rows]
        entries = slice(decoder.entry_begins[place], decoder.entry_begins[place + 1])
        factor = (CODES[guessed] + np.int32(self.offset))[:, None, None, None]
        self.sums[:, decoder.entry_slot[entries]] += factor * decoder.entry_weight[entries][None]
        self.recent[:, self.position[place] % self.reach] = guessed
        self.cost = cost - cost[0]
        self.parents.append(rows)
        self.guessed.append(guessed)

    def end(self, alone: NDArray[np.float64]) -> Decoded:
        """Back along the best path; values that enter no product are what is likeliest without traces."""
        codes = CODES[alone.argmin(1)].astype(np.int64)
        path = 0
        for place, parents, guessed in zip(
            self.decoder.plan.order[::-1], self.parents[::-1], self.guessed[::-1], strict=True
        ):
            codes[place] = CODES[guessed[path]]
            path = int(parents[path])
        return Decoded(codes, float(self.cost[1]) if len(self.cost) > 1 else HOPELESS)


@dataclass
class _Pair:
    """All samples that show the distance of the same two values."""

    early: int
    table: NDArray[np.float64]
    square: float
    cross: NDArray[np.float64]
    """(256,) by the later code."""

    def cost(self, early: NDArray[np.int64]) -> NDArray[np.float64]:
        """(paths, 256)"""
        seen = self.table[:, early].T
        made: NDArray[np.float64] = self.square * seen * seen + 2 * seen * self.cross[None]
        return made


@dataclass
class _Pack:
    """All samples that show the same packed values."""

    others: NDArray[np.int64]
    table: NDArray[np.float64]
    square: float
    cross: float

    def cost(self, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """(paths, 256)"""
        seen = self.table[others].sum(1)[:, None] + self.table[None]
        made: NDArray[np.float64] = self.square * seen * seen - 2 * self.cross * seen
        return made


def _add_value(alone: NDArray[np.float64], value: OfValue, rest: NDArray[np.float32], sigma: float) -> None:
    """What the windows say of single values: (windows, b) with the tables (b, 256)."""
    scale = 1 / (2 * (sigma**2 + value.spread**2 + FLOOR))
    table = value.table.astype(np.float64)
    squares = (table * table).sum(0)
    np.add.at(alone, value.places, scale * (squares[None] - 2 * rest.astype(np.float64) @ table))


def _pairs(two: list[OfTwo], rest: Rest, sigma: float, alone: NDArray[np.float64]) -> dict[int, list[_Pair]]:
    """By the later place; what is of the later value alone goes to `alone`."""
    found: dict[tuple[int, int, bytes], _Pair] = {}
    for sample in two:
        scale = 1 / (2 * (sigma**2 + sample.spread**2 + FLOOR))
        measured, own = rest[sample.shape][:, :, sample.sample].astype(np.float64), sample.own.astype(np.float64)
        np.add.at(alone, sample.late, scale * ((own * own).sum(0)[None] - 2 * measured @ own))
        digest = sample.table[::37, ::11].tobytes()
        table, both = sample.table.astype(np.float64), own.sum(0)
        for late, early, total in zip(sample.late.tolist(), sample.early.tolist(), measured.sum(1), strict=True):
            pair = found.setdefault((late, early, digest), _Pair(early, table, 0.0, np.zeros(256)))
            pair.square += scale * len(own)
            pair.cross += scale * (both - total)
    made: dict[int, list[_Pair]] = {}
    for (late, *_), pair in found.items():
        made.setdefault(late, []).append(pair)
    return made


def _packed(plan: Plan, rest: Rest, sigma: float) -> dict[int, list[_Pack]]:
    """By the last place."""
    found: dict[tuple[bytes, bytes], _Pack] = {}
    late: dict[tuple[bytes, bytes], int] = {}
    for sample in plan.packed:
        scale = 1 / (2 * (sigma**2 + sample.spread**2 + FLOOR))
        measured = rest[sample.shape][:, :, sample.sample].astype(np.float64)
        for places, values in zip(sample.places, measured, strict=True):
            key = places.tobytes(), sample.table.tobytes()
            ordered = places[np.argsort(plan.position[places])]
            pack = found.setdefault(key, _Pack(ordered[:-1], sample.table.astype(np.float64), 0.0, 0.0))
            pack.square += scale * len(values)
            pack.cross += scale * float(values.sum())
            late[key] = int(ordered[-1])
    made: dict[int, list[_Pack]] = {}
    for key, pack in found.items():
        made.setdefault(late[key], []).append(pack)
    return made


def _classes(sums: list[OfSum]) -> dict[tuple[str, float, float], list[OfSum]]:
    """Sums whose likelihood is formed together."""
    made: dict[tuple[str, float, float], list[OfSum]] = {}
    for each in sums:
        made.setdefault((each.kind, round(each.gain, 2), round(each.spread, 1)), []).append(each)
    return made


def _arranged(
    plan: Plan, key: tuple[str, float, float], rows: list[OfSum], slots: list[NDArray[np.int64]]
) -> _Sums:  # fmt: skip
    late = np.concatenate([each.late for each in rows])
    order = np.argsort(late, kind="stable")
    most = max(each.ahead.shape[1] for each in rows)

    def joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        made: NDArray[np.int64] = np.concatenate(parts)[order]
        return made

    ahead = [np.pad(each.ahead, ((0, 0), (0, most - each.ahead.shape[1])), constant_values=-1) for each in rows]
    weights = [np.pad(e.ahead_weight, ((0, 0), (0, most - e.ahead_weight.shape[1]), (0, 0))) for e in rows]
    count = [len(each.late) for each in rows]
    return _Sums(
        key[0], key[1], key[2], np.searchsorted(late[order], np.arange(plan.layer.size + 1)),
        joined([slots[each.shape] for each in rows]),
        joined([np.full(n, each.member) for n, each in zip(count, rows, strict=True)]),
        np.concatenate([each.weight for each in rows])[order], joined(ahead), np.concatenate(weights)[order],
        joined([np.full(n, each.shape) for n, each in zip(count, rows, strict=True)]),
        joined([np.arange(n) for n in count]),
        joined([np.full(n, each.sample) for n, each in zip(count, rows, strict=True)]),
    )  # fmt: skip
