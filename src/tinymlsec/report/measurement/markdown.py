"""A measurement as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.report.measurement.words import facts, share, size, span, time


def markdown(measurement: Measurement) -> str:
    """The measurement as a page that begins with a heading of the second level."""
    total, memory = measurement.total, measurement.memory
    lines = [f"## {_safe(measurement.model)} on {_safe(measurement.device_name)}", ""]
    lines += _table(("", ""), [(name, _safe(words)) for name, words in facts(measurement)])
    if measurement.milliseconds is not None:
        lines += ["", f"One inference: **{span(total.cycles)} cycles**, {time(measurement.milliseconds)} at "
                  f"{measurement.mhz:g} MHz."]  # fmt: skip
    else:
        lines += ["", f"One inference: **{span(total.cycles)} cycles**."]
    rows = [
        (str(layer.index), _safe(layer.op), span(layer.cost.instructions), span(layer.cost.cycles),
         share(layer.cost.cycles.high, total.cycles.high))
        for layer in measurement.layers
    ]  # fmt: skip
    lines += ["", *_table(("#", "operator", "instructions", "cycles", "share"), rows)]
    flash, ram = memory.flash, memory.ram
    use = [
        ("flash", size(flash.total), size(memory.flash_bytes), f"code {size(flash.code)}, weights "
         f"{size(flash.weights)}, constants {size(flash.constants)}, first values {size(flash.initial)}"),
        ("RAM", size(ram.total), size(memory.ram_bytes), f"arena {size(ram.arena)} (bound "
         f"{size(memory.arena_bound)}), variables {size(ram.variables)}, stack {size(ram.stack)}"),
    ]  # fmt: skip
    lines += ["", *_table(("memory", "used", "of", "made of"), use)]
    lines += ["", *(f"- {_safe(note)}" for note in measurement.notes)] if measurement.notes else []
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [_row(head), _row(("---",) * len(head)), *(_row(row) for row in rows)]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _safe(text: str) -> str:
    """Words of files from strangers: no markup, no line breaks."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return "".join("\\" + c if c in "\\`*_[]<>|#" else c for c in clean)
