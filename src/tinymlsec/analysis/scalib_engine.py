"""SCALib where it is installed: whether it can be used, how it is called, and how samples become its int16.

SCALib (G. Cassiers, O. Bronchain, "SCALib: A Side-Channel Analysis Library", JOSS 8 (86), 2023) takes int16 only. Whole
numbers of that range go in as they are. Other samples are scaled with one offset and one factor, which change neither a
signal-to-noise ratio nor a t; samples whose noise the rounding would add to are left to NumPy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.batches import refuse_infinite
from tinymlsec.errors import CapabilityMissing
from tinymlsec.traces.traceset import TraceError

Engine = Literal["auto", "scalib", "numpy"]
Result = TypeVar("Result")
TOP = 32767
NARROW = 1 << 16
"""Traces of which 32 bits with a sign hold the sum, whatever their values: 2^31 / 2^15."""
HEADROOM = 4
"""How many times further than the first batch later ones may reach."""
BLOCK = 1 << 16
"""Values that are scaled at a time."""
HEAD = 1024
"""Traces that tell the spread of each sample."""
STEPS = 16
"""Least standard deviation of a sample in steps of int16: then rounding adds at most 0.04 % to its variance."""


class DoesNotFit(TraceError):
    """Samples that left the range that the first batch had led to expect."""


@dataclass(frozen=True)
class Scaling:
    """int16 = round((sample - offset) * factor)."""

    offset: float = 0.0
    factor: float = 1.0

    @property
    def words(self) -> str:
        """For reports."""
        if self.factor == 1:
            return "int16, exact" + (f" (minus {self.offset:g})" if self.offset else "")
        return f"int16, rounded to steps of {1 / self.factor:.3g}"

    def apply(self, rows: NDArray[np.generic], first: int = 0) -> NDArray[np.int16]:
        """(b, t) as int16; `first` is the number of the first trace.

        Raises:
            DoesNotFit: a value out of range, or no whole number where whole ones were expected.
            TraceError: a value that is no number.
        """
        if self == Scaling() and rows.dtype.kind in "biu" and rows.dtype in (np.int16, np.int8, np.uint8, np.bool_):
            return np.asarray(rows, np.int16)
        out = np.empty(rows.shape, np.int16)
        step = max(1, BLOCK // rows.shape[1])
        work = np.empty((step, rows.shape[1]), np.result_type(rows.dtype, np.float32))
        for top in range(0, len(rows), step):
            self._block(rows[top : top + step], work, out[top : top + step], first + top)
        return out

    def _block(self, rows: NDArray[Any], work: NDArray[Any], out: NDArray[np.int16], first: int) -> None:
        """A few rows, which stay in the processor's cache meanwhile."""
        made = np.subtract(rows, self.offset, out=work[: len(rows)])
        if self.factor != 1:
            made *= self.factor
            np.rint(made, out=made)
        low, high = made.min(), made.max()
        if low >= -TOP and high <= TOP:
            np.copyto(out, made, casting="unsafe")
            if self.factor != 1 or np.array_equal(out, made):
                return
        if not np.isfinite(low) or not np.isfinite(high):
            refuse_infinite(rows, first, "samples")
        raise DoesNotFit(
            "samples do not fit the int16 that the first batch led to expect",
            found=f"{rows.min():g} to {rows.max():g}", expected=self.words,
            next_step="use engine='numpy'",
        )  # fmt: skip


def scaling_for(rows: NDArray[np.generic]) -> Scaling | None:
    """How samples like these become int16; None where they cannot without loss.

    Args:
        rows: (b, t) first batch.
    """
    if rows.dtype.kind == "b" or rows.dtype in (np.int8, np.uint8, np.int16):
        return Scaling()
    low, high = float(rows.min()), float(rows.max())
    if not np.isfinite(high - low):
        return None
    whole = rows.dtype.kind in "iu" or bool((rows == np.rint(rows)).all())
    if whole and high - low <= TOP:
        return Scaling() if 2 * low >= -TOP and 2 * high <= TOP else Scaling(float(round((low + high) / 2)))
    factor = TOP / HEADROOM / max(high - low, 1e-300) * 2
    deviation = rows[:HEAD].std(axis=0, dtype=np.float64) * factor
    if len(rows) < 2 or not np.isfinite(factor) or ((deviation > 0) & (deviation < STEPS)).any():
        return None
    return Scaling((low + high) / 2, factor)


@cache
def available() -> bool:
    """Whether SCALib is installed and runs on this processor (its wheels need AVX2)."""
    if find_spec("scalib") is None:
        return False
    try:
        import scalib.metrics  # noqa: F401
    except ImportError:
        return False
    return True


def chosen(engine: Engine) -> bool:
    """Whether SCALib is to be tried.

    Raises:
        CapabilityMissing: it was asked for and is not there.
    """
    if engine == "scalib" and not available():
        raise CapabilityMissing(
            "SCALib cannot be used", found="not installed, or a processor without AVX2",
            next_step='pip install "tinymlsec[sidechannel]", or use engine="numpy"',
        )  # fmt: skip
    return engine != "numpy" and available()


def run(work: Callable[[], Result]) -> Result:
    """Calls SCALib on one thread and without its progress bars.

    It is called from a thread of our own, because on the main thread SCALib lets Ctrl-C kill the process, and what was
    written so far would be lost. Python waits for the thread before it ends: SCALib aborts where it is cut off.
    """
    box: dict[str, Any] = {}
    done = threading.Event()

    def inner() -> None:
        try:
            with _config().activate():
                box["result"] = work()
        except BaseException as error:  # handed on to the caller
            box["error"] = error
        finally:
            done.set()

    threading.Thread(target=inner).start()
    done.wait()  # not join(): an interrupted join takes the thread for ended (Python issue 90882)
    if "error" in box:
        raise box["error"]
    result: Result = box["result"]
    return result


@cache
def _config() -> Any:
    from scalib.config import Config

    return Config(n_threads=1, show_progress=False)
