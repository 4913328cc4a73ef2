"""The bias without a board of one's own: the number and the sample that explain what follows the sum.

The source says that the bias is added before anything else happens to the sum. So the first sample behind it that shows
the sum plus a number, under the template of the sums themselves, tells the bias; copies of the bare sum say zero, and
what is made of the sum later (rescaling) comes too late to be taken for it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._costs import sums_over_traces
from tinymlsec.attacks.side_channel._points import Point

FEW = 600
"""Traces on which all biases are compared at a sample."""
FINALISTS = 2000
REACH, LOOKED = 120, 10
"""So far behind the last sum, and at so many samples."""
AHEAD = 16.0
"""Log-likelihood by which a bias has to be ahead of none: a quarter of a million of them are tried."""
ALIKE = 0.5
"""Correlation with the bare sum, in units of that at the last sum, from which a sample is looked at."""


def find_bias(traces: NDArray[np.float32], sums: NDArray[np.int32], template: Point, most: int) -> int | None:
    """The bias that is added to a known sum; None where no sample behind it shows the sum at all.

    Args:
        traces: (n, t)
        sums: (n,) without bias.
        template: of the last sum, with gain, level and spread.
        most: largest magnitude.
    """
    seen = np.bitwise_count(sums.view(np.uint32)).astype(np.float32)
    at_sum, shown = _alike(traces[:, template.sample], seen), False
    allowed = 1 + 4 * np.sqrt(2 / len(traces))
    behind = range(template.sample + 1, min(template.sample + 1 + REACH, traces.shape[1]))
    for sample in [s for s in behind if _alike(traces[:, s], seen) >= ALIKE * at_sum][:LOOKED]:
        trace = np.ascontiguousarray(traces[:, sample])
        left = _left(trace, sums, np.zeros(1, np.int32), template)[0]
        bias, best = _best(trace, sums, template, most)
        fits = best <= allowed * template.spread**2 + 1e-3
        if fits and (left - best) * len(traces) / (2 * template.spread**2 + 1e-3) > AHEAD:
            return bias
        shown = shown or fits
    return 0 if shown else None


def _alike(trace: NDArray[np.float32], seen: NDArray[np.float32]) -> float:
    if trace.std() == 0 or seen.std() == 0:
        return 0.0
    return abs(float(np.corrcoef(trace, seen)[0, 1]))


def _best(trace: NDArray[np.float32], sums: NDArray[np.int32], template: Point, most: int) -> tuple[int, float]:
    guesses = np.arange(-most, most + 1, dtype=np.int32)
    rough = _left(trace[:FEW], sums[:FEW], guesses, template)
    finalists = guesses[np.argpartition(rough, FINALISTS)[:FINALISTS]]
    left = _left(trace, sums, finalists, template)
    place = int(left.argmin())
    return int(finalists[place]), float(left[place])


def _left(
    trace: NDArray[np.float32], sums: NDArray[np.int32], guesses: NDArray[np.int32], template: Point
) -> NDArray[np.float64]:
    """(g,) variance that the template leaves."""
    rest = np.ascontiguousarray(trace - np.float32(template.level), np.float32)
    ones = np.ones((len(sums), 1), np.int32)
    seen = sums_over_traces("hw_sum", sums[None], ones, guesses[:, None], rest)
    total = float((rest.astype(np.float64) ** 2).sum())
    left: NDArray[np.float64] = (total + template.gain**2 * seen.square - 2 * template.gain * seen.cross)[0] / len(sums)
    return left
