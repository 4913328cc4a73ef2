"""The order in which input values are guessed: one in which every window adds them, as far as there is one."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._input_bench import Shape


def order_of(covered: NDArray[np.bool_], shapes: Sequence[Shape]) -> NDArray[np.int64]:
    """Places that enter a product, in the order in which they are guessed.

    Kernels that add one product after the other do so in the order of the input. With the DSP extension values are
    added in pairs, 0 and 2, then 1 and 3: an order that suits all windows exists where their starts are an even number
    of values apart. Elsewhere some values are guessed before they are added.

    Args:
        covered: (size,) places that enter a product.
        shapes: the windows and their groups.
    """
    plain = np.flatnonzero(covered)
    if all(len(group) == 1 for shape in shapes for group in shape.groups):
        return plain
    search = _Search(plain.tolist())
    for shape in shapes:
        for row in shape.inputs.tolist():
            search.add([tuple(row[k] for k in group) for group in shape.groups])
    return np.array(search.order(), np.int64)


class _Search:
    """A topological order (A. B. Kahn, CACM 1962). Values that complete a pair go first, since a sum speaks of them at
    once; then those that lie first."""

    def __init__(self, places: list[int]) -> None:
        self.after: dict[int, set[int]] = {place: set() for place in places}
        self.pairs: dict[int, list[tuple[int, ...]]] = {place: [] for place in places}

    def add(self, groups: list[tuple[int, ...]]) -> None:
        """The groups of a window, in their order."""
        for first, second in pairwise(groups):
            for here in first:
                self.after[here].update(second)
        for group in groups:
            for place in group:
                self.pairs[place].append(group)

    def order(self) -> list[int]:
        """All places. In a cycle, what completes a pair goes first, or else what lies first."""
        waiting = dict.fromkeys(self.after, 0)
        for following in self.after.values():
            for place in following:
                waiting[place] += 1
        ready = [(1, place) for place, count in waiting.items() if not count]
        halves, every = list[int](), iter(sorted(self.after))
        heapq.heapify(ready)
        done: dict[int, None] = {}
        while len(done) < len(self.after):
            place = heapq.heappop(ready)[1] if ready else heapq.heappop(halves) if halves else next(every)
            if place in done:
                continue
            done[place] = None
            for following_place in self.after[place]:
                waiting[following_place] -= 1
                if not waiting[following_place]:
                    heapq.heappush(ready, (1, following_place))
            for other in {other for pair in self.pairs[place] for other in pair} - done.keys():
                heapq.heappush(halves, other)
                if waiting[other] <= 0:
                    heapq.heappush(ready, (0, other))
        return list(done)
