"""The tracer's clock as peripherals use it: how many instructions are left until it rings, and whom it calls."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from tinymlsec.emulate.engine.library import CTracer

_RING = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint32)


class Alarm:
    """Rings where a basic block begins, once so many instructions have run. Snapshots of the tracer hold its state."""

    def __init__(self, state: CTracer) -> None:
        self._state = state
        self._ring: object = None

    def connect(self, ring: Callable[[int], bool]) -> None:
        """Says whom to call, with the address of the block; the answer is whether the core was sent elsewhere."""
        self._ring = _RING(ring)
        self._state.tick = ctypes.cast(self._ring, ctypes.c_void_p).value

    @property
    def left(self) -> int:
        """Instructions until it rings."""
        return max(int(self._state.tick_at) - int(self._state.n), 0)

    @left.setter
    def left(self, instructions: int) -> None:
        self._state.tick_at = int(self._state.n) + max(instructions, 0)

    @property
    def inside(self) -> bool:
        """A handler is under way."""
        return bool(self._state.tick_inside)

    @inside.setter
    def inside(self, value: bool) -> None:
        self._state.tick_inside = int(value)
