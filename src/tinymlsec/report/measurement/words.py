"""Numbers of a measurement in words; ranges stay ranges.

No figure of ours was compared with silicon yet: `NOT_VALIDATED` stands beside all of them. A record's `validation`
tells how far the method was.
"""

from __future__ import annotations

from tinymlsec.emulate.measure_records import Measurement, Range

NOT_VALIDATED = "not validated on silicon"


def count(value: float) -> str:
    """A count with three significant digits: 812, 12.3 k, 4.56 M."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= limit:
            return _digits(value / (1e3 if unit == " k" else limit)) + unit
    return f"{value:,.0f}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def span(values: Range) -> str:
    """Both ends, or one where three digits do not tell them apart; a shared unit stands once: 2.86 to 3.67 M."""
    low, high = count(values.low), count(values.high)
    if low == high:
        return low
    same = low[-2:] == high[-2:] and low[-1].isalpha()
    return f"{low[:-2] if same else low} to {high}"


def time(milliseconds: Range) -> str:
    """Milliseconds with three digits."""
    low, high = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in (milliseconds.low, milliseconds.high))
    return f"{low} ms" if low == high else f"{low} to {high} ms"


def size(value: int) -> str:
    """Bytes below 10 KiB, else KiB or MiB."""
    if value < 10_240:
        return f"{value:,} B"
    return f"{value / 1024:.1f} KiB" if value < 1 << 20 else f"{value / (1 << 20):.2f} MiB"


def share(part: float, whole: float) -> str:
    """Percent of a whole."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def inferences(value: int) -> str:
    """How many inputs were run."""
    return "1 input" if value == 1 else f"{value:,} inputs"


def facts(measurement: Measurement) -> list[tuple[str, str]]:
    """What is to be read beside the figures, by name."""
    binary, inputs = measurement.binary, measurement.inputs
    flash = measurement.flash_model
    rows = [
        ("model", f"{measurement.model}, SHA-256 {measurement.model_digest[:16]}"),
        ("device", f"{measurement.device_name} ({measurement.device})"),
        ("core", f"{measurement.core}, {measurement.fidelity.value}: {measurement.fidelity_reason}"),
        ("build", f"{binary.style} kernels, {binary.compiler} {_level(binary.flags)}, ELF {binary.digest[:16]}"),
        ("inputs", f"{inputs.count} ({inputs.source}){_exact(measurement)}"),
        ("basis", "simulated: emulated firmware, cycles by a table"),
        ("cycle table", _table(measurement)),
        ("validation", f"{NOT_VALIDATED}{_method(measurement)}"),
    ]
    if flash is None:
        rows.append(("flash", "flash term not modeled: no source for wait states and caches; zero wait states"))
    else:
        rows.append(
            ("flash", f"{flash.wait_states} wait states, lines of {flash.line_bytes} bytes, {flash.code_lines} for code"
             f" and {flash.data_lines} for data; confidence {flash.confidence}: {flash.source}; {flash.note}")
        )  # fmt: skip
    return [*rows, ("memory map", measurement.memory.source), ("energy", energy(measurement))]


def energy(measurement: Measurement) -> str:
    """Microjoules, or why there are none."""
    if measurement.microjoules is None:
        return measurement.energy_note
    return f"{span(measurement.microjoules)} uJ ({measurement.energy_note})"


def _level(flags: tuple[str, ...]) -> str:
    return next((flag for flag in flags if flag.startswith("-O")), "")


def _exact(measurement: Measurement) -> str:
    exact = measurement.inputs.exact
    return "" if exact is None else f"; {exact} of {measurement.inputs.count} outputs equal to the reference runtime's"


def _method(measurement: Measurement) -> str:
    return f"; {measurement.validation}" if measurement.validation else ""


def _table(measurement: Measurement) -> str:
    return "the vendor's" if measurement.cycle_table == "vendor" else "approximate, the vendor publishes none"
