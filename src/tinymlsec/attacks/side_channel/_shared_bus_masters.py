"""Who reads and writes the memories of a device, as far as its file tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinymlsec.target.device import Device
    from tinymlsec.target.device_facts import Core, Memory

RUNS_CODE = ("cpu", "dsp")
"""Kinds of masters on which somebody else's code may run."""
EITHER_PAIR = re.compile(r"either pair|one at a time", re.IGNORECASE)
"""A remark of the source: of these cores not all run together."""
_SUM = re.compile(r"\ball\b|\+|TCM", re.IGNORECASE)
"""A remark of the source: the figure stands for several memories together."""
_OF_ONE_CORE = re.compile(r"(first|second|third) core", re.IGNORECASE)
NO_DMA = "device files say nothing of DMA controllers and of the bus between masters and memories"


@dataclass(frozen=True)
class Master:
    """What puts addresses on the bus."""

    name: str
    kind: str
    count: int
    sure: bool
    """Its origin is surer than C."""

    @property
    def runs_code(self) -> bool:
        """Somebody else's code may run on it."""
        return self.kind in RUNS_CODE

    @property
    def words(self) -> str:
        """Such as ``2 x Cortex-M33``."""
        return f"{self.count} x {self.name}" if self.count > 1 else self.name


@dataclass(frozen=True)
class Shared:
    """A memory, and what follows about who uses it."""

    name: str
    kind: str
    external: bool
    shared: Literal["yes", "no", "not said"]
    reason: str


@dataclass(frozen=True)
class Bus:
    """Masters and memories of a device."""

    masters: tuple[Master, ...]
    memories: tuple[Shared, ...]
    trustzone_m: str
    """yes, no, optional or unknown, as scoring may use it."""
    trustzone_words: str

    @property
    def processors(self) -> int:
        """Masters on which code runs, all of them counted; of those the source is unsure about, none."""
        return sum(master.count for master in self.masters if master.runs_code and master.sure)

    @property
    def processors_words(self) -> str:
        """How many processors there are, and how many of them may be."""
        unsure = [master.words for master in self.masters if master.runs_code and not master.sure]
        told = (
            "one processor is listed" if self.processors == 1 else f"{self.processors} processors are listed for sure"
        )
        return told + (f", and {', '.join(unsure)} to be checked" if unsure else "")

    @property
    def single(self) -> bool:
        """The file lists one master, and no second world on it."""
        return sum(master.count for master in self.masters) == 1 and self.trustzone_m == "no"

    def surely_shared(self) -> tuple[Shared, ...]:
        """Memories that more than one processor uses, by what the file says."""
        return tuple(memory for memory in self.memories if memory.shared == "yes")


def bus_of(device: Device) -> Bus:
    """Reads a device file. Which master reaches which memory is in none of them; what follows all the same is said."""
    masters = _masters(device.cores)
    processors = sum(m.count for m in masters if m.runs_code and m.sure)
    memories = tuple(_shared(memory, device.memories, processors) for memory in device.memories)
    declared = device.declared("trustzone_m")
    return Bus(masters, memories, device.fact("trustzone_m"), declared.note)


def _masters(cores: Iterable[Core]) -> tuple[Master, ...]:
    found: list[Master] = []
    alternatives = False
    for core in cores:
        if EITHER_PAIR.search(core.note):
            if alternatives:  # the other half of what runs one or the other
                continue
            alternatives = True
        found.append(Master(core.name, core.kind, core.count, core.confidence not in (None, "C")))
    return tuple(found)


def _shared(memory: Memory, every: tuple[Memory, ...], processors: int) -> Shared:
    def made(shared: Literal["yes", "no", "not said"], reason: str) -> Shared:
        return Shared(memory.name, memory.kind, memory.external, shared, reason)

    if processors < 2:
        return made("not said", "fewer than two processors are listed for sure")
    if memory.kind == "tcm":
        return made("no", "tightly coupled to a core; whether DMA reaches it is not said")
    if memory.kind == "weights":
        return made("no", "an accelerator's own")
    if _OF_ONE_CORE.search(memory.name):
        return made("not said", "named for one core; whether others reach it is not said")
    like = [m for m in every if m.volatile == memory.volatile and m.kind not in ("tcm", "weights")]
    if len(like) == 1 and _SUM.search(memory.note):
        return made("not said", f"several memories in one figure ({memory.note})")
    if len(like) == 1:
        what = "RAM" if memory.volatile else "lasting memory"
        return made("yes", f"the only {what} that is listed: all processors use it (banks are not listed)")
    return made("not said", "one of several of its kind; which core uses which is not said")
