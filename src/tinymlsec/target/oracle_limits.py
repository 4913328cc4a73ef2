"""What the oracle may use: limits of a worker process, and the counted budget of inferences."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from tinymlsec.errors import BudgetExceeded, UsageError

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one worker process and of what the parent accepts from it.

    Raises:
        UsageError: a limit with which no worker can run.
    """

    memory_bytes: int = 1024 * MIB
    """Address space. A worker without a model needs 130 MiB on Linux x86_64 with NumPy 2."""
    seconds_per_call: float = 10.0
    """Seconds that one inference may take before the worker counts as hung."""
    seconds_load: float = 30.0
    """Seconds until a model is loaded or refused."""
    start_seconds: float = 60.0
    """Seconds until a worker is ready; 0.25 s is usual on an idle machine."""
    models_per_worker: int = 4
    """Interpreters that a worker keeps; the least recently used one goes first."""
    restarts: int = 1000
    """Workers that a pool starts in place of dead ones before it gives up."""
    sample_bytes: int = 16 * MIB
    """Most bytes that one input or output of one inference may have."""
    result_bytes: int = 256 * MIB
    """Most bytes that the outputs of one call may have together."""

    def __post_init__(self) -> None:
        if self.memory_bytes < 160 * MIB:
            found = f"{self.memory_bytes / MIB:.0f} MiB"
            raise UsageError("the memory limit leaves no room for the runtime", found=found, expected="160 MiB or more")
        for name in ("seconds_per_call", "seconds_load", "start_seconds", "models_per_worker"):
            if not getattr(self, name) > 0:
                raise UsageError(f"limit {name} must be positive", found=str(getattr(self, name)))

    def arena_for(self, model_bytes: int) -> int:
        """Default size of the tensor arena: ten times the model as the runtime's own default has it, but enough for
        small models with large activations, and never more than an eighth of the memory."""
        return min(max(10 * model_bytes, 16 * MIB), self.memory_bytes // 8)


class Budget:
    """What may be spent on the runtime, shared by everything that is given the same object.

    Args:
        total: inferences in all; None for no limit. Counted, so that equal runs end alike.
        seconds: wall-clock seconds of the runtime in all, the start of workers left out; None for no limit.

    Raises:
        UsageError: a negative budget.
    """

    def __init__(self, total: int | None = None, seconds: float | None = None) -> None:
        for value in (total, seconds):
            if value is not None and value < 0:
                raise UsageError("a budget of the runtime cannot be negative", found=str(value))
        self.total, self.seconds = total, seconds
        self.spent = 0
        """Inferences spent."""
        self.spent_seconds = 0.0
        self._lock = threading.Lock()

    @property
    def remaining(self) -> int | None:
        """Inferences left; None for no limit."""
        return None if self.total is None else self.total - self.spent

    @property
    def remaining_seconds(self) -> float:
        """Seconds left; infinite for no limit."""
        return math.inf if self.seconds is None else self.seconds - self.spent_seconds

    def take(self, count: int) -> None:
        """Spends ``count`` inferences.

        Raises:
            BudgetExceeded: fewer are left; nothing was spent.
        """
        with self._lock:
            if self.total is not None and self.spent + count > self.total:
                left = self.total - self.spent
                raise BudgetExceeded(
                    "the budget of inferences is used up",
                    found=f"{count} asked for, {left} left",
                    expected=f"at most {self.total} in all",
                    next_step="raise --budget",
                )
            self.spent += count

    def charge(self, count: int) -> None:
        """Books inferences that an earlier part of the same run has spent; what is left may become nothing."""
        with self._lock:
            self.spent += count

    def take_seconds(self, seconds: float) -> None:
        """Books time that the runtime took."""
        with self._lock:
            self.spent_seconds += seconds
