"""A measurement for the terminal: a table of layers, bars of memory, totals and notes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.report.measurement.words import count, facts, share, size, span, time

BAR = 28
"""Characters of a full bar."""
LINE = 116
"""Characters of a line of words; tables may be wider."""


def text_lines(measurement: Measurement, *, functions: int = 8) -> list[str]:
    """The measurement as lines without control characters of ours.

    Args:
        measurement: what to print.
        functions: how many of the dearest functions are listed.
    """
    return [
        *_facts(measurement), "", *_layers(measurement), "", *_functions(measurement, functions), "",
        *_memory(measurement), "", *_totals(measurement),
        *(line for note in measurement.notes for line in _wrapped("note:", 6, note)),
    ]  # fmt: skip


def _facts(measurement: Measurement) -> list[str]:
    return [line for name, words in facts(measurement) for line in _wrapped(f"{name}:", 13, words)]


def _wrapped(name: str, column: int, words: str) -> list[str]:
    """A name and words beside it, in lines that a terminal shows."""
    first, others = name.ljust(column), " " * column
    return textwrap.wrap(
        words, LINE, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    ) or [name]  # fmt: skip


def _layers(measurement: Measurement) -> list[str]:
    whole = measurement.total.cycles.high
    rows = [("#", "operator", "instructions", "cycles", "share", "")]
    for layer in measurement.layers:
        high = layer.cost.cycles.high
        rows.append(
            (str(layer.index), layer.op, span(layer.cost.instructions), span(layer.cost.cycles), share(high, whole),
             _bar(high, whole, "#"))
        )  # fmt: skip
    return _columns(rows, "r.rrr.")


def _functions(measurement: Measurement, limit: int) -> list[str]:
    shown = measurement.functions[:limit]
    rows = [("function (by itself)", "cycles", "share")]
    rows += [(f.name, span(f.cost.cycles), share(f.cost.cycles.high, measurement.total.cycles.high)) for f in shown]
    more = len(measurement.functions) - len(shown)
    return _columns(rows, ".rr") + ([f"and {more} more"] if more > 0 else [])


def _memory(measurement: Measurement) -> list[str]:
    memory = measurement.memory
    flash, ram = memory.flash, memory.ram
    rows = [("memory", "used", "of", "share", "", "")]
    rows.append(
        ("flash", size(flash.total), size(memory.flash_bytes), share(flash.total, memory.flash_bytes),
         _bar(flash.total, memory.flash_bytes, "#"),
         f"code {size(flash.code)}, weights {size(flash.weights)}, constants {size(flash.constants)}, "
         f"first values {size(flash.initial)}")
    )  # fmt: skip
    rows.append(
        ("RAM", size(ram.total), size(memory.ram_bytes), share(ram.total, memory.ram_bytes),
         _bar(ram.total, memory.ram_bytes, "#"),
         f"arena {size(ram.arena)} (bound {size(memory.arena_bound)}), variables {size(ram.variables)}, stack "
         f"{size(ram.stack)} of {size(ram.stack_reserved)} reserved")
    )  # fmt: skip
    return _columns(rows, ".rrr..")


def _totals(measurement: Measurement) -> list[str]:
    total = measurement.total
    lines = [
        f"one inference: {span(total.cycles)} cycles ({span(total.zero_wait)} at zero wait states), "
        f"{span(total.instructions)} instructions"
    ]
    if total.flash_reads is not None:
        lines.append(f"flash reads:   {span(total.flash_reads)} lines")
    if measurement.milliseconds is not None and measurement.mhz is not None:
        lines.append(f"time:          {time(measurement.milliseconds)} at {measurement.mhz:g} MHz")
    return lines


def _bar(part: float, whole: float, mark: str) -> str:
    """A bar of marks; anything above nothing shows at least one."""
    filled = min(BAR, round(BAR * part / whole)) if whole else 0
    return mark * max(filled, 1 if part > 0 else 0)


def _columns(rows: Sequence[tuple[str, ...]], sides: str) -> list[str]:
    """Rows in columns; `sides` has r for a column that is set flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(sides))]
    return [
        "  ".join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    ]


def one_line(measurement: Measurement) -> str:
    """The shortest form: model, device, cycles."""
    return f"{measurement.model} on {measurement.device}: {count(measurement.total.cycles.low)} to " + (
        f"{count(measurement.total.cycles.high)} cycles"
    )
