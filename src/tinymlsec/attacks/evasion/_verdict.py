"""From success rates to a verdict: one rule for all evasion attacks, with its numbers in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.records import Verdict, VerdictKind

if TYPE_CHECKING:
    from tinymlsec.analysis.intervals import Share
    from tinymlsec.records import Control

TOLERATED = 0.10
"""Success rate that divides a vulnerable target from one that stands. A convention of ours: it is printed with every
verdict, and rate and interval stand beside it, so that a reader may draw the line elsewhere."""

MIN_ATTACKED = 50
"""Attacked inputs below which nothing is called resistant."""


def judge(success: Share, noise: Share, positive: Control, negative: Control) -> Verdict:
    """The verdict of an evasion attack.

    Args:
        success: success rate of the attack, with its interval.
        noise: success rate of random noise of the same size.
        positive: the twin that had to fall.
        negative: the twin that had to stand, and the noise.
    """
    attacked = success.n
    rate = f"success rate {success.value:.1%} (95 % interval {success.low:.1%} to {success.high:.1%}, n = {attacked})"
    if attacked == 0:
        return _inconclusive("no input that was drawn is answered correctly, so there was nothing to attack")
    if success.low > TOLERATED and success.low > noise.high:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=f"{rate}: above {TOLERATED:.0%} and above random noise")
    if success.low > TOLERATED:
        return _inconclusive(
            f"{rate}, but random noise of the same size reaches {noise.value:.1%} (up to {noise.high:.1%}): at this "
            "size the model is not stable against noise, and the search adds nothing that can be told from it"
        )
    if success.high >= TOLERATED:
        return _inconclusive(f"{rate}: the interval includes {TOLERATED:.0%}; use more samples")
    if attacked < MIN_ATTACKED:
        return _inconclusive(f"{rate}: {attacked} attacked inputs, a verdict of resistant needs {MIN_ATTACKED}")
    if not positive.succeeded:
        return _inconclusive(f"{rate}, but the known-weak twin did not fall either: the budget is too small")
    if not negative.succeeded:
        return _inconclusive(f"{rate}, but the negative control failed: {negative.detail}")
    return Verdict(kind=VerdictKind.RESISTANT, reason=f"{rate}: below {TOLERATED:.0%}, and both controls held")


def _inconclusive(reason: str) -> Verdict:
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)
