"""Where tensors lie in the activation arena: blocks that are never needed at the same time share bytes.

Blocks are placed one after the other, each at the lowest gap among the blocks that live at the same time. What comes
first decides the outcome (S. Pisarchyk, J. Lee: "Efficient memory management for deep neural net inference", 2020:
greedy by size), so several orders are tried, then swaps of two blocks in the best one, until the bound is met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 16
"""Bytes; as the runtime's."""
SWAPS = 300
"""Orders that are tried beyond the fixed ones, where those stay above the bound."""
MOST_SWAPPED = 256
"""Blocks above which no swaps are tried: they would take seconds."""


@dataclass(frozen=True)
class Block:
    """Bytes that one tensor (or several that share them) needs from one operator to another."""

    id: int
    bytes: int
    first: int
    """Operator that writes it; -1 for an input of the graph."""
    last: int
    """Last operator that reads it, included."""

    @property
    def size(self) -> int:
        """Bytes, aligned."""
        return -(-max(self.bytes, 1) // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Placement:
    """Offsets of blocks."""

    bytes: int
    """Of the whole arena."""
    offsets: dict[int, int]
    """By block."""
    bound: int
    """Most bytes that are alive at one operator: no placement needs fewer."""


def place(blocks: Sequence[Block]) -> Placement:
    """The best placement found.

    Args:
        blocks: with different ids.

    Returns:
        offsets that keep blocks apart wherever both live.
    """
    bound = lower_bound(blocks)
    best: Placement | None = None
    for order in _orders(blocks):
        found = _first_fit(order, bound)
        if best is None or found.bytes < best.bytes:
            best, kept = found, order
        if best.bytes <= bound:
            return best
    return _swapped(kept, best, bound) if best is not None else Placement(0, {}, 0)


def lower_bound(blocks: Iterable[Block]) -> int:
    """Most bytes that are alive at one operator."""
    change: dict[int, int] = {}
    for block in blocks:
        change[block.first] = change.get(block.first, 0) + block.size
        change[block.last + 1] = change.get(block.last + 1, 0) - block.size
    alive = most = 0
    for when in sorted(change):
        alive += change[when]
        most = max(most, alive)
    return most


def _orders(blocks: Sequence[Block]) -> Iterable[list[Block]]:
    keys: tuple[Callable[[Block], tuple[int, ...]], ...] = (
        lambda b: (-b.size, b.first),
        lambda b: (-b.size * (b.last - b.first + 1), b.first),
        lambda b: (b.first, -b.size),
        lambda b: (-b.last, -b.size),
        lambda b: (b.first - b.last, -b.size),
    )
    return ([*sorted(blocks, key=key)] for key in keys)


def _first_fit(order: Sequence[Block], bound: int) -> Placement:
    placed: list[tuple[int, Block]] = []
    offsets: dict[int, int] = {}
    end = 0
    for block in order:
        at = 0
        for offset, other in placed:
            if other.last < block.first or block.last < other.first:
                continue
            if offset >= at + block.size:
                break
            at = max(at, offset + other.size)
        offsets[block.id] = at
        end = max(end, at + block.size)
        placed.append((at, block))
        placed.sort(key=lambda entry: entry[0])
    return Placement(end, offsets, bound)


def _swapped(order: list[Block], best: Placement, bound: int) -> Placement:
    """Swaps of two blocks that do no harm are kept; the same model always gives the same arena."""
    if not 1 < len(order) <= MOST_SWAPPED:
        return best
    rng = np.random.default_rng(len(order))
    for a, b in rng.integers(len(order), size=(SWAPS, 2)).tolist():
        trial = list(order)
        trial[a], trial[b] = trial[b], trial[a]
        found = _first_fit(trial, bound)
        if found.bytes <= best.bytes:
            best, order = found, trial
        if best.bytes <= bound:
            break
    return best
