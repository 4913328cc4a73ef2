"""Cycles of a firmware from how often each instruction ran: a table per core, a flash per device, always a range."""

from __future__ import annotations

from tinymlsec.emulate.cycles.model import CycleModel, cycle_model
from tinymlsec.emulate.cycles.span import Span

__all__ = ["CycleModel", "Span", "cycle_model"]
