"""From t-tests to a verdict, and how strong a leak would have been found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tinymlsec.records import Verdict, VerdictKind

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._assess_run import Assessed
    from tinymlsec.attacks.side_channel._assess_test import WindowTest

ONE_SIDED = 1.645
"""Standard deviations below which a normal variable is with 5 %."""


def leaking(found: Assessed) -> list[WindowTest]:
    """Windows with an alarm."""
    return [window for window in found.windows if window.alarms.any()]


def smallest_difference(window: WindowTest) -> float:
    """Difference of the means, in deviations of the noise, that would have raised an alarm with 95 %."""
    return (window.threshold + ONE_SIDED) * 2 / math.sqrt(window.traces)


def judge(found: Assessed) -> Verdict:
    """The verdict.

    An alarm is never *vulnerable*: a t-test says that something depends on the data, not that a secret can be had from
    it, and a threat is *demonstrated* only by what was really taken.
    """
    if not found.negative.succeeded:
        return _open(f"alarms in the silent control, whose signal is constant: {found.negative.detail}")
    if leaks := leaking(found):
        words = [
            f"{sum(w.varied == varied for w in leaks)} of {len(found.of(varied))} windows against other {varied}"
            for varied in found.against
        ]
        return _open(
            f"leaks were detected, and nothing was extracted: {' and '.join(words)} alarm in {leaks[0].traces} traces "
            f"each at a ratio of {found.named.ratio:g}. A t-test says that something depends on the data, not that a "
            "secret can be had from it; the attacks on weights and inputs show that"
        )
    if not found.positive.succeeded:
        return _open(f"no alarm, but neither in the control that leaks: {found.positive.detail}")
    if points := open_points(found):
        return _open("no alarm, which is not enough: " + "; ".join(points))
    samples = sum(int(window.tested.any(axis=0).sum()) for window in found.windows)
    power = max(map(smallest_difference, found.windows))
    return Verdict(
        kind=VerdictKind.RESISTANT,
        reason=f"no alarm in {samples} samples of {len(found.windows)} windows from {found.windows[0].traces} traces "
        f"each; a difference of {power:.2g} deviations of the noise would have raised one with 95 %, and the control "
        "layer did with the same noise",
    )


def open_points(found: Assessed) -> list[str]:
    """What keeps silence from being resistance."""
    made = []
    if (
        missing := {"inputs", "weights"} - set(found.against)
        if _has_weights(found)
        else {"inputs"} - set(found.against)
    ):
        made.append(f"not assessed against other {' and '.join(sorted(missing))}")
    if found.untested:
        made.append(f"weights in a form that was not replaced: layers {', '.join(found.untested)}")
    if parted := [w.part.name for w in found.windows if w.parted]:
        made.append(f"paths depend on the data in {', '.join(dict.fromkeys(parted))}")
    if unseen := unseen_layers(found):
        made.append(f"floating-point registers, in which {', '.join(unseen)} compute, are not recorded")
    if cut := [w.part.name for w in found.windows if w.cut]:
        made.append(f"only the beginning was run of {', '.join(dict.fromkeys(cut))}")
    return made


def unseen_layers(found: Assessed) -> list[str]:
    """Layers that compute in registers of a floating-point unit, of which there are no records."""
    if not found.twin.core.hard_float:
        return []
    return list(dict.fromkeys(window.part.name for window in found.windows if window.part.real))


def _has_weights(found: Assessed) -> bool:
    return any(window.part.stored is not None for window in found.windows)


def _open(reason: str) -> Verdict:
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason[:1900])
