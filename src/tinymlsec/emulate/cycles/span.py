"""A quantity of which only bounds are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """From `low` to `high`, both included. Cycles are never a point: branch refills and flash are not known exactly."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"a span from {self.low} to {self.high}")

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def scaled(self, factor: float) -> Span:
        """Both bounds times a factor that is not negative."""
        return Span(self.low * factor, self.high * factor)

    def raised(self, more: float) -> Span:
        """The same lower bound, the upper one higher by `more`."""
        return Span(self.low, self.high + more)

    @property
    def middle(self) -> float:
        """Halfway between the bounds, for drawings only."""
        return (self.low + self.high) / 2


def hull(spans: Iterable[Span]) -> Span:
    """The smallest span that holds all of them.

    Raises:
        ValueError: there are none.
    """
    known = list(spans)
    return Span(min(s.low for s in known), max(s.high for s in known))
