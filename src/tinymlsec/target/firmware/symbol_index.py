"""From an address to the symbol that covers it, by bisection."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Protocol

MAX_BACK = 16
"""Symbols looked at before an address; honest ones nest two or three deep (aliases, labels inside of functions)."""

_KINDS = {"function": 0, "object": 1, "label": 2}
_BINDINGS = {"global": 0, "weak": 1, "local": 2}


class SymbolLike(Protocol):
    """What the index needs to know of a symbol."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def address(self) -> int:
        """Where it starts."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def kind(self) -> str:
        """function, object or label."""

    @property
    def binding(self) -> str:
        """global, weak or local."""

    @property
    def section(self) -> str:
        """Where it lies."""


def rank(symbol: SymbolLike) -> tuple[int, int]:
    """Order among symbols for one place: functions before objects before labels, global before local."""
    return _KINDS.get(symbol.kind, 3), _BINDINGS.get(symbol.binding, 3)


class SymbolIndex:
    """Symbols by address.

    Args:
        symbols: any, absolute ones are left out.
        bounds: section name -> [start, end); symbols of unknown size reach at most to the end of theirs.
    """

    def __init__(self, symbols: Sequence[SymbolLike], bounds: Mapping[str, tuple[int, int]]) -> None:
        placed = [symbol for symbol in symbols if symbol.section in bounds]
        self._sized = _Ordered([(s, s.address + s.size) for s in placed if s.size > 0])
        self._labels = _Ordered([(s, bounds[s.section][1]) for s in placed if s.size <= 0])

    def at(self, address: int) -> tuple[str, int] | None:
        """Name and distance; a symbol with a size wins over a label without."""
        return self._sized.at(address) or self._labels.at(address)


class _Ordered:
    def __init__(self, items: list[tuple[SymbolLike, int]]) -> None:
        # Of several at one address the best comes last, so that bisection meets it first.
        items.sort(key=lambda item: (item[0].address, *(-value for value in rank(item[0])), item[1]))
        self._starts = [symbol.address for symbol, _ in items]
        self._ends = [end for _, end in items]
        self._names = [symbol.name for symbol, _ in items]

    def at(self, address: int) -> tuple[str, int] | None:
        last = bisect_right(self._starts, address) - 1
        for place in range(last, max(last - MAX_BACK, -1), -1):
            if address < self._ends[place]:
                return self._names[place], address - self._starts[place]
        return None
