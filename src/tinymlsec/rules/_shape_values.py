"""A fault of an operator's shapes, before it is judged for a runtime."""

from __future__ import annotations

from dataclasses import dataclass

from tinymlsec.records import Severity
from tinymlsec.rules._relative import Effect


@dataclass(frozen=True)
class ShapeFault:
    """One fault."""

    rule: str
    message: str
    """Goes behind the operator's name."""
    cve: tuple[str, ...] = ()
    effect: Effect = Effect.READ
    position: int | None = None
    """Input that is at fault; None for the operator as a whole."""
    element: int | None = None
    """Element of that constant input."""
    severity: Severity | None = None
