"""The rule on two devices whose answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.side_channel._shared_bus_accesses import Accesses, accesses_of
from tinymlsec.attacks.side_channel._shared_bus_masters import Bus, Master, Shared
from tinymlsec.attacks.side_channel._timing_twins import ControlTwin, constant_twin, weak_twin
from tinymlsec.records import Control, VerdictKind

if TYPE_CHECKING:
    from numpy.random import Generator

    from tinymlsec.emulate.twin import Twin

LIMIT = 20_000
"""Instructions: one inference or two."""
TICKS_APART = 1.0
TWO_CORES = Bus(
    (Master("processor", "cpu", 2, True),),
    (Shared("RAM", "sram", False, "yes", "the only one"), Shared("flash", "flash", False, "yes", "the only one")),
    "unknown", "",
)  # fmt: skip
"""Two processors on one RAM and one flash."""


def controls(like: Twin, rng: Generator) -> tuple[Control, Control]:
    """Both of them on the target's core and style."""
    from tinymlsec.attacks.side_channel.shared_bus_timing import describe, judge

    weak, constant = weak_twin(like, TICKS_APART, rng), constant_twin(like, rng)
    found, silent = _accesses(weak), _accesses(constant)
    lines = sorted({weak.twin.image.line_at(place.address) for place in found.choices} - {""})
    return (
        Control(
            kind="positive",
            twin=f"two processors on one RAM, and a layer with a branch at {weak.line}",
            succeeded=judge(TWO_CORES, found, None, None).kind is VerdictKind.VULNERABLE,
            detail=f"{describe(found)} Branches at: {', '.join(lines) or 'no line'}",
        ),
        Control(
            kind="negative",
            twin="the same device, and the layer without any choice",
            succeeded=silent.known and judge(TWO_CORES, silent, None, None).kind is VerdictKind.INCONCLUSIVE,
            detail=describe(silent),
        ),
    )


def _accesses(made: ControlTwin) -> Accesses:
    return accesses_of(made.twin, made.inputs, LIMIT)
