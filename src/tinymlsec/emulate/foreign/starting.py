"""Where firmware begins to run, and with which stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.emulate.foreign.description import DescriptionError
from tinymlsec.emulate.foreign.plan import Plan

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage


def starting_point(plan: Plan, image: FirmwareImage) -> tuple[int, int, int]:
    """First instruction, top of the stack, and where start-up is over.

    Raises:
        DescriptionError: the image has no vector table, or no entry.
    """
    assert plan.until is not None
    return _first(plan, image), top_of_stack(plan, image), plan.until


def _first(plan: Plan, image: FirmwareImage) -> int:
    if plan.core.machine == "arm" and plan.start == "vector_table":
        if image.vectors is None or not image.vectors.plausible:
            raise DescriptionError(
                "the image has no vector table to start from",
                found="none" if image.vectors is None else image.vectors.reason,
                next_step='boot.start = "entry" with boot.stack, or start = "none" with boot.init',
            )
        return image.vectors.reset
    if image.entry is None:
        raise DescriptionError(
            "the image names no entry to start from",
            next_step='boot.start = "none" with boot.init, a function that gets everything ready',
        )
    return image.entry


def top_of_stack(plan: Plan, image: FirmwareImage) -> int:
    """As described; else as the vector table has it; else the end of the largest RAM."""
    if plan.stack is not None:
        return plan.stack
    if image.vectors is not None and image.vectors.plausible:
        return image.vectors.initial_sp
    written = [r for r in plan.memory.regions if "w" in r.access]
    if not written:
        raise DescriptionError("there is no RAM for a stack", next_step="describe one as [[memory]]")
    largest = max(written, key=lambda region: region.size)
    return largest.address + largest.size & ~0xF
