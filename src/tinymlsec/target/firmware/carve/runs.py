"""The bytes of an image as they lie in memory: runs without a gap, which is what a model is searched in.

Neighboring segments, records and blocks are one run, so that a model that goes over their borders is whole. Small gaps
are erased flash that the tool left out, and read as 0xff there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.limits import MAX_FILL, MAX_GAP
from tinymlsec.target.firmware.image import FirmwareImage

SMALLEST = 64
"""Bytes of a run that is looked at; no model and no key fits in less."""
MOST = 256
"""Runs that are looked at, the largest ones; an honest image has a few."""


@dataclass(frozen=True)
class Run:
    """Bytes that follow each other in memory."""

    address: int
    """Load address of the first one."""
    data: bytes = field(repr=False)


def runs_of(image: FirmwareImage, budget: Budget) -> tuple[Run, ...]:
    """The runs of an image in order of address.

    Args:
        image: of any kind.
        budget: told of what is left out.
    """
    joined: list[tuple[int, bytearray]] = []
    fill = MAX_FILL
    for address, data in image.stored():
        gap = address - joined[-1][0] - len(joined[-1][1]) if joined else -1
        if 0 <= gap <= min(MAX_GAP, fill):
            fill -= gap
            joined[-1][1].extend(b"\xff" * gap + data)
        else:
            joined.append((address, bytearray(data)))
    runs = [Run(address, bytes(data)) for address, data in joined]
    large = [run for run in runs if len(run.data) >= SMALLEST]
    if len(large) > MOST:
        budget.skip(f"{len(large) - MOST} small runs of data: the {MOST} largest of {len(large)} were looked at")
        large = sorted(large, key=lambda run: -len(run.data))[:MOST]
    return tuple(sorted(large, key=lambda run: run.address))
