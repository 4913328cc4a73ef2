"""Tries many damaged files one after the other and reports what became of them."""

from __future__ import annotations

import collections
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

SECONDS_PER_FILE = 2.0


def peak_megabytes() -> int:
    """Most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20) if sys.platform == "darwin" else peak // 1024


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
        Summary: outcomes, files a second, slowest file, peak memory, and the failures, which should be none.
    """
    outcomes: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    slowest = 0.0
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
        "peak_megabytes": peak_megabytes(),
        "outcomes": dict(outcomes.most_common()),
        "failures": failures,
    }
