"""From what was found to a verdict: one rule, for the target and for the controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.side_channel._timing_flow import Kind
from tinymlsec.attacks.side_channel._timing_statistics import SIGNIFICANT
from tinymlsec.records import Control, Verdict, VerdictKind

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._timing_examine import Examined
    from tinymlsec.emulate.twin import Twin

CACHED = ("cortex-m7",)
"""Cores whose accesses to data take a time that depends on the address wherever the memory is not tightly coupled."""


def bits_about_class(found: Examined) -> float:
    """The smaller of what both readings of the cycle table give; 0 where one of them may be chance."""
    readings = (found.low.about_class, found.high.about_class)
    return min(r.value for r in readings) if all(r.chance <= SIGNIFICANT for r in readings) else 0.0


def bits_about_input(found: Examined) -> float:
    """The smaller of the lower ends that both readings give."""
    return min(found.low.about_input.low, found.high.about_input.low)


def leaks(found: Examined, least: float) -> bool:
    """Whether a reading of the timer tells more than `least` bits."""
    return max(bits_about_class(found), bits_about_input(found)) > least


def open_points(found: Examined, twin: Twin) -> list[str]:
    """What keeps a constant latency from being proved."""
    follow, points = found.followed, []
    if follow.gap:
        points.append(follow.gap)
    if branches := follow.of(Kind.BRANCH):
        lines = {twin.image.line_at(place.address) for place in branches} - {""}
        points.append(
            f"{len({p.address for p in branches})} branches read what depends on the inputs"
            + (f", first at {sorted(lines)[0]}" if lines else "") + ", though these inputs took no different time"
        )  # fmt: skip
    if operands := found.open_operands:
        count = sum(place.count for place in operands)
        points.append(f"{count} instructions of each inference take a time that depends on operands from the input")
    if tables := [place for place in follow.of(Kind.LOAD) if slow_memory(twin, place.reach)]:
        points.append(
            f"{len(tables)} loads go to addresses that depend on the inputs, in memory with wait states or caches"
        )
    if found.unresolved:
        points.append(
            f"in {len(found.unresolved)} layers instructions are left out under conditions from the input, and the "
            "core's table does not say that this takes the same time"
        )
    return points


def slow_memory(twin: Twin, reach: tuple[int, int]) -> bool:
    """Whether time may depend on the address there: flash, or any memory behind a cache."""
    region = next((r for r in twin.memory.regions if r.address <= reach[0] < r.address + r.size), None)
    return region is None or "w" not in region.access or twin.core.id in CACHED


def judge(found: Examined, twin: Twin, least: float, timer: str, positive: Control, negative: Control) -> Verdict:
    """The verdict.

    Args:
        found: of the target.
        twin: its firmware.
        least: bits of one query below which nothing counts as a leak.
        timer: in words.
        positive: the twin that had to leak.
        negative: the twin that had to be silent.
    """
    if not negative.succeeded:
        return _open(f"the firmware without any choice did not stay silent: {negative.detail}")
    spread = f"{_span(found.low.cycles)} to {_span(found.high.cycles)} cycles between the fastest and the slowest"
    bits = (
        f"{bits_about_input(found):.4f} bits about the input and {bits_about_class(found):.4f} about the class for sure"
    )
    if leaks(found, least):
        return Verdict(
            kind=VerdictKind.VULNERABLE, reason=f"a query tells {bits} at {timer}; {spread} of {found.n} inputs"
        )
    if found.low.constant != found.high.constant:
        return _open("whether the latency depends on the inputs hangs on what the core's cycle table leaves open")
    if not found.low.constant:
        return _open(
            f"the latency depends on the inputs ({spread} of {found.n}), but one query tells no more than {least:g} "
            f"bits at {timer}: {bits}"
        )
    points = open_points(found, twin)
    if points:
        return _open(f"{found.n} inputs took the same time, which proves nothing: " + "; ".join(points))
    if not positive.succeeded:
        return _open(f"the latency is constant, but the known-weak firmware was not found: {positive.detail}")
    return Verdict(
        kind=VerdictKind.RESISTANT,
        reason=f"no branch, no address that matters and no operand of an instruction with a varying time depends on "
        f"the inputs, in all {found.followed.instructions:,} instructions: proved for every input, and {found.n} took "
        "the same time",
    )


def _span(cycles: object) -> str:
    import numpy as np

    return f"{np.ptp(np.asarray(cycles, np.float64)):,.0f}"


def _open(reason: str) -> Verdict:
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason[:1900])
