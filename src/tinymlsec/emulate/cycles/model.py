"""Cycles from counts: how often each instruction ran, times what it costs on the core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import Core
from tinymlsec.emulate.cycles.decode_arm import arm_decoder
from tinymlsec.emulate.cycles.decode_riscv import riscv_decoder
from tinymlsec.emulate.cycles.instruction import Decoder, Instruction, unknown
from tinymlsec.emulate.cycles.span import Span
from tinymlsec.emulate.cycles.static import Pairs, StaticCosts, static_costs
from tinymlsec.emulate.cycles.table import CycleTable, cycle_table

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

Counts = Mapping[int, tuple[int, int]]
"""address -> (executed, of these taken or condition failed), as `RunResult.counts` has them."""


@dataclass(frozen=True)
class AddressCycles:
    """Cycles of one run at zero wait states, by address of the instruction."""

    addresses: NDArray[np.int64]
    """(n,) ascending"""
    cycles: Pairs
    """(n, 2): low and high"""

    @property
    def total(self) -> Span:
        """Over all instructions."""
        return self.within(0, 1 << 32)

    def within(self, start: int, end: int) -> Span:
        """Over the instructions in [start, end)."""
        first, last = np.searchsorted(self.addresses, (start, end))
        low, high = self.cycles[first:last].sum(axis=0)
        return Span(float(low), float(high))


class CycleModel:
    """Prices the runs of one core. Decoded instructions are kept, so that many runs of one image cost little.

    Args:
        core: id of the core.
        table: what instructions cost.
        decoder: reads instructions of the core.
    """

    def __init__(self, core: str, table: CycleTable, decoder: Decoder) -> None:
        self.core = core
        self.table = table
        self._decoder = decoder
        self._known: dict[tuple[str, int], Instruction] = {}
        self._last: tuple[tuple[str, bytes], StaticCosts] | None = None

    def cost(self, counts: Counts, image: FirmwareImage, *, flash_cycles: float = 0.0) -> Span:
        """Cycles of a run.

        Args:
            counts: how often each instruction ran.
            image: the firmware that ran.
            flash_cycles: wait states of the run; they raise the upper bound only.
        """
        return self.per_address(counts, image).total.raised(flash_cycles)

    def per_address(self, counts: Counts, image: FirmwareImage) -> AddressCycles:
        """Cycles of a run by address, at zero wait states.

        Raises:
            UnknownInstruction: an address that ran is not in the image, or holds no instruction of the core.
        """
        order = np.array(sorted(counts), np.int64)
        pairs = np.array([counts[int(a)] for a in order], np.float64).reshape(-1, 2)
        costs = self._static(order, image)
        return AddressCycles(order, _run_costs(costs, pairs[:, 0], pairs[:, 1], self._skipped))

    def kinds(self, counts: Counts, image: FirmwareImage) -> dict[str, int]:
        """How many instructions of each class a run executed."""
        found: dict[str, int] = {}
        for instruction in self._decoded(counts, image):
            found[instruction.kind] = found.get(instruction.kind, 0) + counts[instruction.address][0]
        return found

    @cached_property
    def _skipped(self) -> NDArray[np.float64]:
        skipped = self.table.rules.skipped
        return np.array((skipped.low, skipped.high))

    def _static(self, order: NDArray[np.int64], image: FirmwareImage) -> StaticCosts:
        key = (image.digest, order.tobytes())
        if self._last is None or self._last[0] != key:
            instructions = list(self._decoded(order.tolist(), image))
            self._last = (key, static_costs(instructions, self.table))
        return self._last[1]

    def _decoded(self, addresses: Iterable[int], image: FirmwareImage) -> Iterable[Instruction]:
        for address in addresses:
            key = (image.digest, address)
            if key not in self._known:
                self._known[key] = self._decoder(address, image_bytes(image, address, 4))
            yield self._known[key]


def image_bytes(image: FirmwareImage, address: int, size: int) -> bytes:
    """Bytes of the image from an address on: fewer where the segment ends.

    Raises:
        UnknownInstruction: the address is in no segment.
    """
    for segment in image.segments:
        offset = address - segment.virtual_address
        if 0 <= offset < len(segment.data):
            return bytes(segment.data[offset : offset + size])
    raise unknown(address, b"")


def _run_costs(
    costs: StaticCosts, executed: NDArray[np.float64], marked: NDArray[np.float64], skipped: NDArray[np.float64]
) -> Pairs:
    """Each instruction's cost times how often it ran, by the way it was reached.

    What is not reached from the instruction before it is reached by a branch: then nothing is pipelined into it.
    """
    taken = np.where(costs.always_taken, executed, np.where(costs.is_branch, marked, 0.0))
    failed = np.where(costs.is_branch, 0.0, marked)
    onward = np.concatenate(([0.0], (executed - taken)[:-1]))
    fallen = np.minimum(np.where(costs.follows, onward, 0.0), executed)
    reached = fallen[:, None] * costs.after + (executed - fallen)[:, None] * costs.alone
    ran = np.divide(executed - failed, executed, out=np.zeros_like(executed), where=executed > 0)
    return reached * ran[:, None] + failed[:, None] * skipped + taken[:, None] * costs.refill


def cycle_model(core: Core | str) -> CycleModel:
    """The model of one core.

    Raises:
        DeviceError: there is no cycle table for it.
    """
    name = core if isinstance(core, str) else core.id
    table = cycle_table(name)
    return CycleModel(name, table, riscv_decoder() if name.startswith("rv") else arm_decoder())
