"""Counts, bytes and facts become a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinymlsec.emulate.codegen.program import Layer
from tinymlsec.emulate.cycles import CycleModel, cycle_model
from tinymlsec.emulate.measure_costs import cost_of, function_costs, price
from tinymlsec.emulate.measure_facts import clock_of, energy_of, flash_model, notes_for
from tinymlsec.emulate.measure_memory import check_built, memory_use
from tinymlsec.emulate.measure_records import Binary, Cost, Inputs, LayerCost, Measurement, Range
from tinymlsec.emulate.measure_reference import NOT_ASKED, compare_outputs
from tinymlsec.emulate.measure_run import Run, stack_size

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_model import MeasureOptions, Ran, Subject


def measurement(subject: Subject, ran: Ran, options: MeasureOptions) -> Measurement:
    """The record of a measurement.

    Args:
        subject: model and device.
        ran: what was run.
        options: how.

    Raises:
        DoesNotFit: the build is larger than the device's memory, and the linker let it pass.
    """
    prices = cycle_model(subject.core)
    total = _cost([run.whole for run in ran.runs], prices, ran, subject)
    mhz, clock_note = clock_of(subject.device, subject.timing)
    milliseconds = None if mhz is None else Range(low=total.cycles.low / mhz / 1e3, high=total.cycles.high / mhz / 1e3)
    microjoules, energy_note = energy_of(subject.device, mhz, milliseconds)
    stack = max(run.stack for run in ran.runs)
    use = memory_use(ran.image, subject.program, subject.memory, stack=stack, stack_reserved=stack_size(ran.image))
    check_built(subject.device.id, use)
    agreed = compare_outputs(subject.model, subject.data, ran.feed, ran.runs) if options.compare else NOT_ASKED
    kinds = prices.kinds(ran.runs[0].whole.counts, ran.image)
    more = (clock_note, agreed.note)
    return Measurement(
        model=subject.name,
        model_digest=subject.digest,
        device=subject.device.id,
        device_name=subject.device.name,
        core=subject.core.id,
        fidelity=subject.choice.fidelity,
        fidelity_reason=subject.choice.reason,
        binary=Binary(
            style=subject.program.style.value, compiler=ran.build.compiler, flags=ran.build.flags,
            digest=ran.image.digest,
        ),
        inputs=Inputs(count=ran.feed.count, source=ran.feed.source, exact=agreed.exact, close=agreed.close),
        total=total,
        layers=tuple(_layer(i, layer, prices, ran, subject) for i, layer in enumerate(subject.program.layers)),
        functions=function_costs([run.whole.counts for run in ran.runs], prices, ran.image),
        memory=use,
        mhz=mhz,
        milliseconds=milliseconds,
        microjoules=microjoules,
        energy_note=energy_note,
        flash_model=flash_model(subject.timing),
        cycle_table="approximate" if prices.table.approximate else "vendor",
        validation=prices.table.validation,
        notes=notes_for(prices.table, kinds, subject.choice, subject.model, more),
    )  # fmt: skip


def _cost(runs: Sequence[Run], prices: CycleModel, ran: Ran, subject: Subject) -> Cost:
    return cost_of([price(*run, prices, ran.image) for run in runs], subject.timing)


def _layer(number: int, layer: Layer, prices: CycleModel, ran: Ran, subject: Subject) -> LayerCost:
    cost = _cost([run.layers[number] for run in ran.runs], prices, ran, subject)
    return LayerCost(index=layer.index, op=layer.op, symbol=layer.symbol, cost=cost)
