"""A measurement as one picture: flash and RAM of the device with what fills them, and cycles per layer as ranges."""

from __future__ import annotations

from xml.sax.saxutils import escape

from tinymlsec.emulate.measure_records import LayerCost, Measurement
from tinymlsec.report.measurement.palette import style
from tinymlsec.report.measurement.shapes import box, line, number, ticks, words
from tinymlsec.report.measurement.words import NOT_VALIDATED, count, share, size, span, time
from tinymlsec.report.text import clean

WIDTH, MARGIN = 920.0, 28.0
LEFT, RIGHT = 216.0, 152.0
"""Columns for the names of layers and for figures."""
ROW = 22.0
MOST_LAYERS = 48
"""More layers than this are not drawn; the dearest are."""

_TYPE = (
    "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif}"
    ".t{fill:var(--text)}.m{fill:var(--muted)}.s{fill:var(--muted);font-size:11.5px}"
    ".h{fill:var(--text);font-size:18px;font-weight:650}.g{fill:var(--text);font-size:14px;font-weight:650}"
)


def picture(measurement: Measurement, prefix: str = "measurement", *, page: bool = False) -> str:
    """The picture as an ``<svg>`` element; a file of its own where it does not stand in a page.

    Args:
        measurement: what to draw.
        prefix: class and start of identifiers, unique in a page; letters, digits and hyphens.
        page: for the inside of an HTML page that sets `color-scheme`.
    """
    parts, y = _head(measurement)
    for draw in (_memory, _layers, _foot):
        more, y = draw(measurement, y)
        parts += more
    css = style(prefix, page=page) + "".join(f".{prefix} {rule}}}" for rule in _TYPE.split("}") if rule)
    top = f'<svg class="{prefix}" role="img" aria-labelledby="{prefix}-t {prefix}-d" viewBox="0 0 '
    top += f'{number(WIDTH)} {number(y)}"'
    if not page:
        top += f' xmlns="http://www.w3.org/2000/svg" width="{number(WIDTH)}" height="{number(y)}"'
    title, text = _title(measurement), describe(measurement)
    head = f'>\n<title id="{prefix}-t">{escape(title)}</title><desc id="{prefix}-d">{escape(text)}</desc>'
    back = box(0, 0, WIDTH, y, "back", radius=10)
    return f"{top}{head}\n<style>{css}</style>\n{back}\n" + "\n".join(parts) + "\n</svg>\n"


def describe(measurement: Measurement) -> str:
    """The picture in words, for those who do not see it."""
    memory, total = measurement.memory, measurement.total
    dearest = max(measurement.layers, key=lambda layer: layer.cost.cycles.high, default=None)
    text = f"{span(total.cycles)} cycles for one inference. Flash: {size(memory.flash.total)} of "
    text += f"{size(memory.flash_bytes)}; RAM: {size(memory.ram.total)} of {size(memory.ram_bytes)}."
    if dearest is not None:
        text += f" Dearest layer: {dearest.index} {clean(dearest.op, 40)}, {span(dearest.cost.cycles)} cycles."
    return text


def _title(measurement: Measurement) -> str:
    return clean(f"{measurement.model} on {measurement.device_name}", 90)


def _head(measurement: Measurement) -> tuple[list[str], float]:
    binary, total = measurement.binary, measurement.total
    about = f"{measurement.core}, {binary.style} kernels, {binary.compiler}; one inference: {span(total.cycles)} cycles"
    if measurement.milliseconds is not None and measurement.mhz is not None:
        about += f", {time(measurement.milliseconds)} at {measurement.mhz:g} MHz"
    return [words(MARGIN, 40, _title(measurement), css="h"), words(MARGIN, 63, about, css="m", limit=150)], 92.0


def _memory(measurement: Measurement, y: float) -> tuple[list[str], float]:
    memory = measurement.memory
    flash, ram = memory.flash, memory.ram
    bars = (
        ("Flash", memory.flash_bytes, flash.total, (("code", flash.code), ("weights", flash.weights),
         ("constants", flash.constants), ("initial", flash.initial))),
        ("RAM", memory.ram_bytes, ram.total, (("arena", ram.arena), ("variables", ram.variables),
         ("stack", ram.stack))),
    )  # fmt: skip
    parts: list[str] = []
    for name, has, used, pieces in bars:
        parts += _memory_bar(name, has, used, pieces, y)
        y += 68
    return parts, y + 10


_NAMES = {"initial": "first values"}


def _memory_bar(name: str, has: int, used: int, pieces: tuple[tuple[str, int], ...], y: float) -> list[str]:
    """One bar: the track is the device's memory, the pieces are what fills it, the legend says how much."""
    wide = WIDTH - 2 * MARGIN - 64 - RIGHT
    x = MARGIN + 64
    parts = [words(MARGIN, y + 16, name, css="g"), box(x, y, wide, 22, "track", radius=4)]
    left, shown = x, [(color, amount) for color, amount in pieces if amount > 0]
    for color, amount in shown:
        width = max(1.5, wide * amount / max(has, used, 1))
        parts.append(box(left, y, width, 22, color, hint=f"{_NAMES.get(color, color)}: {amount:,} bytes"))
        left += width
    parts.append(words(WIDTH - MARGIN, y + 16, f"{size(used)} of {size(has)}", anchor="end"))
    at = x
    for color, amount in shown:
        label = f"{_NAMES.get(color, color)} {size(amount)}"
        parts += [box(at, y + 31, 10, 10, color, radius=2), words(at + 15, y + 40, label, css="s")]
        at += 15 + 6.6 * len(label) + 16
    parts.append(words(WIDTH - MARGIN, y + 40, f"{share(used, has)} used", css="s", anchor="end"))
    return parts


def _layers(measurement: Measurement, y: float) -> tuple[list[str], float]:
    shown = measurement.layers
    heading = "Cycles per layer"
    if len(shown) > MOST_LAYERS:
        kept = sorted(shown, key=lambda layer: -layer.cost.cycles.high)[:MOST_LAYERS]
        shown = tuple(sorted(kept, key=lambda layer: layer.index))
        heading += f" (the {MOST_LAYERS} dearest of {len(measurement.layers)})"
    marks = ticks(max((layer.cost.cycles.high for layer in shown), default=0.0))
    wide = WIDTH - MARGIN - LEFT - RIGHT
    first, bottom = y + 22, y + 22 + ROW * len(shown) + 4
    parts = [words(MARGIN, y + 8, heading, css="g"), *_legend(y + 8)]
    for mark in marks:
        x = LEFT + wide * mark / marks[-1]
        parts += [line(x, first, x, bottom), words(x, bottom + 16, count(mark), css="s", anchor="middle")]
    for number_, layer in enumerate(shown):
        parts += _layer_bar(layer, measurement, first + ROW * number_, wide / marks[-1])
    return parts, bottom + 34


def _legend(y: float) -> list[str]:
    x = WIDTH - MARGIN - 240
    return [
        box(x, y - 10, 10, 10, "low", radius=2), words(x + 15, y - 1, "at least", css="s"),
        box(x + 76, y - 10, 10, 10, "high", radius=2), words(x + 91, y - 1, "at most, by the model", css="s"),
    ]  # fmt: skip


def _layer_bar(layer: LayerCost, measurement: Measurement, y: float, scale: float) -> list[str]:
    cycles = layer.cost.cycles
    hint = f"{layer.op}: {cycles.low:,.0f} to {cycles.high:,.0f} cycles"
    part = share(cycles.high, measurement.total.cycles.high)
    return [
        words(MARGIN, y + 15, str(layer.index), css="s"),
        words(MARGIN + 26, y + 15, layer.op.lower().replace("_", " "), limit=24),
        box(LEFT, y + 4, max(1.0, cycles.high * scale), ROW - 8, "high", hint=hint),
        box(LEFT, y + 4, max(1.0, cycles.low * scale), ROW - 8, "low", hint=hint),
        words(WIDTH - MARGIN, y + 15, f"{span(cycles)}  ({part})", css="s", anchor="end"),
    ]


def _foot(measurement: Measurement, y: float) -> tuple[list[str], float]:
    flash = measurement.flash_model
    waits = "flash term not modeled" if flash is None else f"with {flash.wait_states} wait states and the flash caches"
    table = "" if measurement.cycle_table == "vendor" else "approximate cycle table; "
    judged = "" if measurement.validation else f"; {NOT_VALIDATED}"
    runs = f"{measurement.inputs.count} inputs; {table}{waits}{judged}. Figures belong to this build."
    return [line(MARGIN, y - 8, WIDTH - MARGIN, y - 8), words(MARGIN, y + 12, runs, css="s", limit=160)], y + 30
