"""What the page of a measurement shows, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinymlsec.emulate.measure_records import Cost, FunctionCost, Measurement
from tinymlsec.report.measurement.words import NOT_VALIDATED, energy, facts, inferences, share, size, span, time
from tinymlsec.report.text import clean

SHOWN = 12
"""Functions that are listed; the others are folded away."""
MOST_FUNCTIONS = 400
"""More than these are not in the page at all; the JSON has them."""


@dataclass(frozen=True)
class Table:
    """A table of words."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int]
    """Columns of figures."""


@dataclass(frozen=True)
class Tile:
    """One of the figures at the top."""

    name: str
    value: str
    more: str


@dataclass(frozen=True)
class MeasurementPage:
    """Everything that the template shows."""

    title: str
    build: str
    warning: str
    waits: str
    """How the upper bound ends."""
    tiles: tuple[Tile, ...]
    layers: Table
    functions: Table
    more_functions: Table | None
    memory: Table
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def page_of(measurement: Measurement) -> MeasurementPage:
    """The page of a measurement."""
    functions = measurement.functions[:MOST_FUNCTIONS]
    return MeasurementPage(
        title=clean(f"{measurement.model} on {measurement.device_name}", 120),
        build=f"{measurement.core}, {measurement.binary.style} kernels, {clean(measurement.binary.compiler, 80)}",
        warning=_warning(measurement),
        waits=_waits(measurement),
        tiles=tuple(_tiles(measurement)),
        layers=_layers(measurement),
        functions=_functions(measurement, functions[:SHOWN]),
        more_functions=_functions(measurement, functions[SHOWN:]) if len(functions) > SHOWN else None,
        memory=_memory(measurement),
        facts=tuple(facts(measurement)),
        notes=measurement.notes,
    )


def _warning(measurement: Measurement) -> str:
    wrong = measurement.inputs.wrong
    return f"{wrong} of {measurement.inputs.count} outputs differ from the reference runtime's." if wrong else ""


def _waits(measurement: Measurement) -> str:
    if measurement.flash_model is None:
        return "; wait states of the flash are not modeled for this device, so the truth may lie above"
    return f" and {measurement.flash_model.wait_states} wait states for every line that is read from the flash"


def _tiles(measurement: Measurement) -> list[Tile]:
    total, memory = measurement.total, measurement.memory
    ran = f"{span(total.instructions)} instructions, {inferences(measurement.inputs.count)}"
    tiles = [Tile("Cycles of one inference", span(total.cycles), ran)]
    if measurement.milliseconds is not None:
        tiles.append(Tile("Time", time(measurement.milliseconds), f"at {measurement.mhz:g} MHz"))
    if measurement.microjoules is not None:
        tiles.append(Tile("Energy", f"{span(measurement.microjoules)} uJ", "from a power figure of the device file"))
    for name, used, has in (
        ("Flash", memory.flash.total, memory.flash_bytes), ("RAM", memory.ram.total, memory.ram_bytes),
    ):  # fmt: skip
        tiles.append(Tile(name, size(used), f"{share(used, has)} of {size(has)}"))
    if measurement.inputs.exact is not None:
        equal = f"{measurement.inputs.exact} of {measurement.inputs.count}"
        tiles.append(Tile("Outputs equal to the runtime's", equal, "to the last bit"))
    return tiles


def _figures(cost: Cost, whole: float) -> tuple[str, ...]:
    lines = span(cost.flash_reads) if cost.flash_reads is not None else "-"
    return span(cost.instructions), span(cost.zero_wait), lines, span(cost.cycles), share(cost.cycles.high, whole)


def _layers(measurement: Measurement) -> Table:
    whole = measurement.total.cycles.high
    rows = [(str(e.index), e.op, e.symbol, *_figures(e.cost, whole)) for e in measurement.layers]
    head = ("#", "Operator", "Function", "Instructions", "Cycles, no waits", "Flash lines", "Cycles", "Share")
    return Table("One inference, by operator, all that it calls included", head, tuple(rows), frozenset(range(3, 8)))


def _functions(measurement: Measurement, shown: Sequence[FunctionCost]) -> Table:
    whole = measurement.total.zero_wait.high
    rows = [
        (e.name, span(e.cost.instructions), span(e.cost.zero_wait), share(e.cost.zero_wait.high, whole)) for e in shown
    ]
    head = ("Function", "Instructions", "Cycles, no waits", "Share")
    return Table("By itself, without what it calls", head, tuple(rows), frozenset((1, 2, 3)))


def _memory(measurement: Measurement) -> Table:
    memory = measurement.memory
    flash, ram = memory.flash, memory.ram
    rows = (
        ("Flash", "code", size(flash.code), "functions, with the literals among their instructions"),
        ("Flash", "weights", size(flash.weights), "constant tables of the model"),
        ("Flash", "constants", size(flash.constants), "other constants, vectors, padding"),
        ("Flash", "first values", size(flash.initial), "of variables"),
        (
            "Flash",
            "all",
            size(flash.total),
            f"of {size(memory.flash_bytes)} ({share(flash.total, memory.flash_bytes)})",
        ),
        ("RAM", "arena", size(ram.arena), f"activations; {_ratio(ram.arena, memory.arena_bound)}"),
        ("RAM", "variables", size(ram.variables), "the rest of .data and .bss, state of the model"),
        ("RAM", "stack", size(ram.stack), f"deepest seen; {size(ram.stack_reserved)} are set aside"),
        ("RAM", "all", size(ram.total), f"of {size(memory.ram_bytes)} ({share(ram.total, memory.ram_bytes)})"),
    )
    return Table(memory.source, ("Memory", "What", "Bytes", ""), rows, frozenset((2,)))


def _ratio(arena: int, bound: int) -> str:
    return f"{arena / max(bound, 1):.2f} x the {size(bound)} alive at the busiest operator"


def summary(measurement: Measurement) -> str:
    """The measurement in a few words, for the page of an assessment."""
    binary, memory = measurement.binary, measurement.memory
    text = f"One inference of this build ({binary.style} kernels, {binary.compiler}): {span(measurement.total.cycles)} "
    text += "cycles"
    if measurement.milliseconds is not None:
        text += f", {time(measurement.milliseconds)} at {measurement.mhz:g} MHz"
    text += f"; flash {size(memory.flash.total)} of {size(memory.flash_bytes)}, RAM {size(memory.ram.total)} of "
    text += f"{size(memory.ram_bytes)}; energy: {energy(measurement)}. {NOT_VALIDATED.capitalize()}."
    return f"{_warning(measurement)} {text}".strip()
