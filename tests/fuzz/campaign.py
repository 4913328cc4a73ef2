"""Tries many damaged files one after the other and reports what became of them."""

from __future__ import annotations

import collections
import contextlib
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

SECONDS_PER_FILE = 2.0


class Peak:
    """Most memory that this process takes from now on, beyond what it has now.

    What `getrusage` says counts from the start of the process, and of one that was forked from a large one even from
    before that: in the midst of a test run it tells nothing.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        self._now = self._kilobytes("VmRSS")

    @property
    def megabytes(self) -> int:
        """Growth up to the peak."""
        return max(0, self._kilobytes("VmHWM") - self._now) // 1024

    @staticmethod
    def _kilobytes(name: str) -> int:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak // 1024 if sys.platform == "darwin" else peak
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def run_campaign(
    make: Callable[[], bytes], exercise: Callable[[bytes], str], count: int, label: str, keep: Path | None, suffix: str
) -> dict[str, object]:
    """Tries `count` files.

    Args:
        make: gives the next file.
        exercise: reads a file and uses what was read; returns what became of it. Whatever it raises is a failure.
        count: of files.
        label: names the campaign in failures and files that are kept.
        keep: folder for files that fail.
        suffix: of these.

    Returns:
        Summary: outcomes, files a second, slowest file, growth of memory, and the failures, which should be none.
    """
    outcomes: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    slowest, peak = 0.0, Peak()
    begin = time.perf_counter()
    for number in range(count):
        data = make()
        start = time.process_time()
        try:
            outcomes[exercise(data)] += 1
            problem = ""
        except Exception:  # any other error is what we look for
            problem = traceback.format_exc()
        seconds = time.process_time() - start
        slowest = max(slowest, seconds)
        if seconds > SECONDS_PER_FILE:
            problem = problem or f"took {seconds:.1f} s"
        if problem:
            failures.append(f"file {number} of {label}: {problem}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{label.replace(' ', '')}_file{number}{suffix}").write_bytes(data)
    elapsed = time.perf_counter() - begin
    return {
        "count": count,
        "files_per_second": round(count / elapsed, 1),
        "slowest_ms": round(1e3 * slowest, 1),
        "peak_megabytes": peak.megabytes,
        "outcomes": dict(outcomes.most_common()),
        "failures": failures,
    }
