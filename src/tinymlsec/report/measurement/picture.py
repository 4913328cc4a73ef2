"""A measurement as one picture: flash and RAM of the device with what fills them, and cycles per layer as ranges."""

from __future__ import annotations

from xml.sax.saxutils import escape

from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.report.measurement.frame import NARROW, WIDE, Frame
from tinymlsec.report.measurement.palette import style
from tinymlsec.report.measurement.picture_layers import layers_part
from tinymlsec.report.measurement.picture_memory import memory_part
from tinymlsec.report.measurement.shapes import box, line, number, words
from tinymlsec.report.measurement.words import NOT_VALIDATED, inferences, size, span, time
from tinymlsec.report.text import clean

_TYPE = (
    "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif}"
    ".t{fill:var(--m-text)}.m{fill:var(--m-muted)}.s{fill:var(--m-muted);font-size:11.5px}"
    ".h{fill:var(--m-text);font-size:18px;font-weight:650}.g{fill:var(--m-text);font-size:14px;font-weight:650}"
)


def picture(measurement: Measurement, prefix: str = "measurement", *, page: bool = False, narrow: bool = False) -> str:
    """The picture as an ``<svg>`` element; a file of its own where it does not stand in a page.

    Args:
        measurement: what to draw.
        prefix: class and start of identifiers, unique in a page; letters, digits and hyphens.
        page: for the inside of an HTML page that sets `color-scheme`.
        narrow: for a phone.
    """
    frame = NARROW if narrow else WIDE
    parts, y = _head(measurement, frame, titled=not page)
    for draw in (memory_part, layers_part, _foot):
        more, y = draw(measurement, frame, y)
        parts += more
    css = style(prefix, page=page) + "".join(f".{prefix} {rule}}}" for rule in _TYPE.split("}") if rule)
    top = f'<svg class="{prefix}" role="img" aria-labelledby="{prefix}-t {prefix}-d" viewBox="0 0 '
    top += f'{number(frame.width)} {number(y)}"'
    if not page:
        top += f' xmlns="http://www.w3.org/2000/svg" width="{number(frame.width)}" height="{number(y)}"'
    title, text = _title(measurement), describe(measurement)
    head = f'>\n<title id="{prefix}-t">{escape(title)}</title><desc id="{prefix}-d">{escape(text)}</desc>'
    back = box(0, 0, frame.width, y, "back", radius=10)
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


def _head(measurement: Measurement, frame: Frame, *, titled: bool) -> tuple[list[str], float]:
    binary, total = measurement.binary, measurement.total
    build = f"{measurement.core}, {binary.style} kernels, {clean(binary.compiler, 60)}"
    costs = f"one inference: {span(total.cycles)} cycles"
    if measurement.milliseconds is not None and measurement.mhz is not None:
        costs += f", {time(measurement.milliseconds)} at {measurement.mhz:g} MHz"
    parts, y = [], 12.0
    for text in frame.lines(_title(measurement), 18.0) if titled else ():
        y += 23
        parts.append(words(frame.margin, y, text, css="h"))
    for text in [build, costs] if frame.stacked else [f"{build}; {costs}"]:
        for piece in frame.lines(text):
            y += 20
            parts.append(words(frame.margin, y, piece, css="m", limit=160))
    return parts, y + 28


def _foot(measurement: Measurement, frame: Frame, y: float) -> tuple[list[str], float]:
    flash = measurement.flash_model
    waits = "flash term not modeled" if flash is None else f"with {flash.wait_states} wait states and the flash caches"
    table = "" if measurement.cycle_table == "vendor" else "approximate cycle table; "
    text = f"simulated, {inferences(measurement.inputs.count)}; {table}{waits}; {NOT_VALIDATED}. Figures belong to "
    parts = [line(frame.margin, y - 8, frame.right, y - 8)]
    for piece in frame.lines(text + "this build.", 11.5):
        parts.append(words(frame.margin, y + 12, piece, css="s", limit=180))
        y += 16
    return parts, y + 14
