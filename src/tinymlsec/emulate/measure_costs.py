"""Counts of several runs become costs: the cheapest and the dearest input span the range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.emulate.cycles import CycleModel, Span
from tinymlsec.emulate.cycles.flash_cache import FlashReads
from tinymlsec.emulate.cycles.flash_timing import FlashTiming
from tinymlsec.emulate.cycles.model import AddressCycles, Counts
from tinymlsec.emulate.cycles.span import hull
from tinymlsec.emulate.measure_records import Cost, FunctionCost, Range

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage


@dataclass(frozen=True)
class Priced:
    """One run of one part of the firmware."""

    instructions: int
    cycles: Span
    """At zero wait states."""
    flash: FlashReads | None = None
    """None where the flash is not modeled."""


def price(counts: Counts, flash: FlashReads | None, model: CycleModel, image: FirmwareImage) -> Priced:
    """A run from its counts."""
    executed = sum(pair[0] for pair in counts.values())
    return Priced(executed, model.per_address(counts, image).total if counts else Span(0, 0), flash)


def cost_of(runs: Sequence[Priced], timing: FlashTiming | None) -> Cost:
    """The cost over several runs of the same part.

    Args:
        runs: at least one; all with or all without flash reads.
        timing: of the device's flash; None where it is not modeled.
    """
    zero = hull(run.cycles for run in runs)
    instructions = [run.instructions for run in runs]
    reads = [run.flash for run in runs if run.flash is not None]
    modeled = timing is not None and len(reads) == len(runs)
    lines = [each.code + each.data for each in reads]
    high = zero.high
    if timing is not None and modeled:
        high = max(run.cycles.high + each.cycles(timing) for run, each in zip(runs, reads, strict=True))
    return Cost(
        instructions=Range(low=min(instructions), high=max(instructions)),
        zero_wait=Range(low=zero.low, high=zero.high),
        flash_reads=Range(low=min(lines), high=max(lines)) if modeled else None,
        cycles=Range(low=zero.low, high=high),
    )


def function_costs(runs: Iterable[Counts], model: CycleModel, image: FirmwareImage) -> tuple[FunctionCost, ...]:
    """Cost of each function by itself, the dearest first; at zero wait states.

    Args:
        runs: counts of whole inferences.
        model: of the core.
        image: names the functions.
    """
    found: dict[str, list[Priced]] = {}
    total = 0
    for counts in runs:
        total += 1
        for name, priced in _by_function(counts, model.per_address(counts, image), image).items():
            found.setdefault(name, []).append(priced)
    # a function that some inputs never reach cost nothing with those
    full = {name: [*each, *[Priced(0, Span(0, 0))] * (total - len(each))] for name, each in found.items()}
    costs = [FunctionCost(name=name, cost=cost_of(each, None)) for name, each in full.items()]
    return tuple(sorted(costs, key=lambda function: (-function.cost.cycles.high, function.name)))


def _by_function(counts: Counts, cycles: AddressCycles, image: FirmwareImage) -> dict[str, Priced]:
    names = [_name(int(address), image) for address in cycles.addresses]
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    group = np.array([order[name] for name in names], np.int64)
    executed = np.array([counts[int(a)][0] for a in cycles.addresses], np.float64)
    sums = [np.bincount(group, weights, len(order)) for weights in (executed, cycles.cycles[:, 0], cycles.cycles[:, 1])]
    return {name: Priced(int(sums[0][i]), Span(float(sums[1][i]), float(sums[2][i]))) for name, i in order.items()}


def _name(address: int, image: FirmwareImage) -> str:
    found = image.symbol_at(address)
    return found[0] if found is not None else f"0x{address:08x}"
