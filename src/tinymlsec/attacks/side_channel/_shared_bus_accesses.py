"""Which accesses of an inference depend on its input, and in which memory: found by following the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.attacks.side_channel._timing_flow import Followed, Kind, Place, follow
from tinymlsec.attacks.side_channel._timing_places import instructions_at
from tinymlsec.attacks.side_channel._timing_runs import Runner
from tinymlsec.emulate.cycles.instruction import LOADS, STORES

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._timing_inputs import Inputs
    from tinymlsec.emulate.twin import Twin

ADDRESSES = (Kind.LOAD, Kind.STORE)


@dataclass(frozen=True)
class Accesses:
    """What other masters could notice of the inputs, by where it happens."""

    known: bool
    """An inference was followed to its end."""
    why: str
    """Why not, or why not everything is known."""
    addresses: tuple[Place, ...] = ()
    """Loads and stores whose address depends on the inputs."""
    choices: tuple[Place, ...] = ()
    """Branches that do: what is accessed after them, and when, depends on the inputs."""
    left_out: tuple[Place, ...] = ()
    """Loads and stores that are carried out or not."""
    shifted: tuple[Place, ...] = ()
    """Instructions that take more or fewer cycles: all accesses after them come earlier or later."""
    instructions: int = 0

    @property
    def depend(self) -> bool:
        """Addresses or order of accesses depend on the inputs."""
        return bool(self.addresses or self.choices or self.left_out)


def unknown(why: str) -> Accesses:
    """Nothing is known, for a reason."""
    return Accesses(False, why)


def accesses_of(twin: Twin, inputs: Inputs, limit: int) -> Accesses:
    """Follows the inputs through inferences.

    Args:
        twin: the firmware.
        inputs: each is followed: paths that only some of them take have accesses of their own.
        limit: instructions that may be followed in all.
    """
    from tinymlsec.errors import BudgetExceeded, MachineError

    with twin.start() as started:
        try:
            length = Runner(started).length(inputs.sample(0), limit)
            count = min(len(inputs), max(1, limit // max(length, 1)))
            seen = [follow(started, inputs.sample(i)) for i in range(count)]
        except (BudgetExceeded, MachineError) as error:
            return unknown(f"{error.message} ({error.found})")
    return _merged(twin, seen)


def _merged(twin: Twin, seen: list[Followed]) -> Accesses:
    found: dict[tuple[int, int, Kind], Place] = {}
    for run in seen:
        for place in run.places:
            key = (place.address, place.layer, place.kind)
            found[key] = _wider(found[key], place) if key in found else place
    places = tuple(found.values())
    conditional = {p.address for p in places if p.kind is Kind.CONDITIONAL}
    moving = {i.address for i in instructions_at(twin, sorted(conditional)) if i.kind in LOADS | STORES}
    return Accesses(
        True, next((run.gap for run in seen if run.gap), ""),
        addresses=tuple(p for p in places if p.kind in ADDRESSES),
        choices=tuple(p for p in places if p.kind is Kind.BRANCH),
        left_out=tuple(p for p in places if p.kind is Kind.HIDDEN or p.address in moving),
        shifted=tuple(p for p in places if p.kind is Kind.OPERANDS),
        instructions=max(run.instructions for run in seen),
    )  # fmt: skip


def _wider(first: Place, second: Place) -> Place:
    reach = min(first.reach[0], second.reach[0]), max(first.reach[1], second.reach[1])
    return Place(
        first.address, first.layer, first.kind, max(first.count, second.count), min(first.first, second.first), reach
    )


def region_of(twin: Twin, address: int) -> str:
    """Name of the memory an address lies in; empty for none."""
    return next((r.name for r in twin.memory.regions if r.address <= address < r.address + r.size), "")
