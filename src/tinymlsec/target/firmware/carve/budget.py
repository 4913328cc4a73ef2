"""CPU time that a search may take; what it ran out of is said, not silently left out."""

from __future__ import annotations

import time

from tinymlsec.target.firmware.carve.limits import MAX_UNPACKED_TOTAL


class Budget:
    """What is left of the CPU time of this thread, and of the bytes that may be unpacked.

    CPU time, because a busy machine should not find less.

    Args:
        seconds: of CPU time from now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.unpacked = MAX_UNPACKED_TOTAL
        self._start = time.thread_time()
        self._skipped: dict[str, None] = {}

    @property
    def used(self) -> float:
        """Seconds since the beginning."""
        return time.thread_time() - self._start

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self.used >= self.seconds

    def ended(self, what: str) -> bool:
        """Whether the time is used up; if so, `what` is noted as not looked at."""
        if self.over:
            self.skip(f"{what}: the time budget of {self.seconds:g} s was used up")
            return True
        return False

    def skip(self, reason: str) -> None:
        """Notes what was not looked at, and why."""
        self._skipped[reason] = None

    @property
    def skipped(self) -> tuple[str, ...]:
        """What was not looked at."""
        return tuple(self._skipped)
