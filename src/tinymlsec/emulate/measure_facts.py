"""What the device file and the tables add to counted cycles: clock, energy, the flash model, and what to mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinymlsec.emulate.contract import Fidelity
from tinymlsec.emulate.cores import CoreChoice
from tinymlsec.emulate.cycles.flash_timing import FlashTiming
from tinymlsec.emulate.cycles.table import CycleTable
from tinymlsec.emulate.measure_records import FlashModel, Range
from tinymlsec.target.device import Device
from tinymlsec.target.tflite.graph import Model

NO_POWER = "not printed: no sourced power figure"


def clock_of(device: Device, timing: FlashTiming | None) -> tuple[float | None, str]:
    """The clock that times are given at, and a note where it is not plain.

    The flash model holds at one clock; without it the highest clock of the device file counts.
    """
    if timing is not None:
        return timing.mhz, ""
    core = next((core for core in device.cores if core.kind == "cpu"), None)
    if core is None or core.mhz is None:
        return None, "the device file has no clock: no times"
    if core.mhz.min != core.mhz.max:
        return core.mhz.max, f"times at the highest of {core.mhz.min:g} to {core.mhz.max:g} MHz"
    return core.mhz.max, ""


def energy_of(device: Device, mhz: float | None, milliseconds: Range | None) -> tuple[Range | None, str]:
    """Microjoules of one inference from a figure of the device file for this clock, or why there are none.

    Figures to be checked (C) are not used; the core is taken to draw this power while it runs, memories included.
    """
    if milliseconds is None or mhz is None:
        return None, NO_POWER
    figures = [
        figure
        for figure in device.power
        if figure.confidence != "C" and figure.mhz == mhz and figure.state.lower().startswith(("active", "run"))
    ]
    if not figures:
        other = [f"{figure.mhz:g} MHz" for figure in device.power if figure.mhz is not None]
        return None, NO_POWER + (f" at {mhz:g} MHz (there are some at {', '.join(other)})" if other else "")
    low, high = min(f.milliwatts for f in figures), max(f.milliwatts for f in figures)
    words = "; ".join(f"{f.state}, {f.milliwatts:g} mW: {f.source} ({f.confidence})" for f in figures)
    return Range(low=low * milliseconds.low, high=high * milliseconds.high), words


def flash_model(timing: FlashTiming | None) -> FlashModel | None:
    """The flash timing as it is reported."""
    if timing is None:
        return None
    return FlashModel(
        wait_states=timing.wait_states,
        line_bytes=timing.line_bytes,
        code_lines=timing.code.lines,
        data_lines=timing.data.lines,
        source=timing.source,
        confidence=timing.confidence,
        note=timing.note,
    )


def unchecked(table: CycleTable, kinds: Mapping[str, int]) -> str:
    """Which costs of a run were not compared with a source, and how many of its instructions they price.

    Args:
        table: of the core.
        kinds: executed instructions by class.
    """
    weak = {name: count for name, count in kinds.items() if count and table.rows[name].confidence == "C"}
    if not weak:
        return ""
    part = sum(weak.values()) / sum(kinds.values())
    return f"costs from memory or by analogy, to be checked ({part:.0%} of instructions): {', '.join(sorted(weak))}"


def notes_for(
    table: CycleTable, kinds: Mapping[str, int], choice: CoreChoice, model: Model, more: Sequence[str]
) -> tuple[str, ...]:
    """What a reader must know besides the figures."""
    notes = [
        "cycles belong to this ELF and its build, not to the model",
        "" if choice.fidelity is Fidelity.NATIVE else f"approximated core: {choice.reason}",
        f"cycle table: {table.note}" if table.note else "",
        unchecked(table, kinds),
        "the model keeps state: the inputs are consecutive steps of one sequence" if model.state_tensors else "",
        "functions are priced at zero wait states; a layer is run by itself, with empty flash caches at its start",
        "stack: deepest word written in these runs; interrupts come on top",
        *more,
    ]
    return tuple(note for note in notes if note)
