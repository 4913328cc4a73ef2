"""A target description to start from, written from what the finder found. What it cannot know is marked to fill in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.emulate.foreign.finder.static import Findings
from tinymlsec.emulate.foreign.finder.tensors import tensor_bytes
from tinymlsec.emulate.foreign.first_run import FirstRun
from tinymlsec.emulate.foreign.outcome import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinymlsec.target.firmware.image import FirmwareImage, Symbol

FILL_IN = "FILL_IN"
BOOT_INSTRUCTIONS, INFERENCE_INSTRUCTIONS = 50_000_000, 500_000_000
"""Defaults of a description; more is said where a first run needed more than half of it."""
MAX_PAGES = 48
"""Most peripherals of one page each; where firmware touched more, they are described as larger blocks."""
MAX_NAMES = 6
TEXT = 8
"""Characters that a register must have taken, all of them printable, to be taken for a UART's."""
_FUNCTIONS = re.compile(r"invoke|infer|classif|predict|forward|run_?model|model::run|detect|main_loop|^loop$", re.I)
_BUFFERS = re.compile(r"input|output|frame|image|feature|sample|audio|mfcc|score|result|logit|probab", re.I)


@dataclass(frozen=True)
class Target:
    """What the description is for."""

    image: FirmwareImage
    core: str
    device: str | None = None


def suggestion(target: Target, findings: Findings, ran: FirstRun | None = None) -> str:
    """The TOML text.

    Args:
        target: image, and the core or device it was looked at with.
        findings: of the finder.
        ran: a first run, where there was one.
    """
    head = f"device = {_text(target.device)}" if target.device else f"core = {_text(target.core)}"
    confirmed = ran is not None and ran.calls is not None
    lines = [head]
    if ran is not None and "semihosting" in ran.report.text:
        lines.append("semihosting = true")
    lines += ["", *_boot(target, ran), "", *_inference(target, ran), "", *_buffers(findings)]
    if not confirmed:
        lines += [""] * bool(names := list(_named(target.image))) + names
    if ran is not None:
        lines += _hardware(ran)
    return "\n".join(lines) + "\n"


def _boot(target: Target, ran: FirstRun | None) -> list[str]:
    if ran is None or ran.calls is None:
        return ["[boot]", f'until = "{FILL_IN}"  # a function of the main loop, or: start = "none", init = "..."']
    first = ran.calls.calls[0].kernel
    lines = ["[boot]", f"until = 0x{first:08x}  # the first layer{_symbol(target, first)}"]
    started = ran.calls.calls[0].index
    if started > BOOT_INSTRUCTIONS // 2:
        lines.append(f"instructions = {min(4 * started, 2_000_000_000)}")
    return lines


def _inference(target: Target, ran: FirstRun | None) -> list[str]:
    if ran is None or ran.calls is None:
        return ["[inference]", f'function = "{FILL_IN}"', '# arguments = ["input", "output"]']
    calls = ran.calls
    over, length = calls.calls[-1].back, calls.calls[-1].index - calls.calls[0].index
    lines = ["[inference]", f"until = 0x{over:08x}  # where the last layer returns to{_symbol(target, over)}"]
    lines.append(f"hit = {calls.over_hit}")
    if length > INFERENCE_INSTRUCTIONS // 4:
        lines.append("instructions = 4000000000")
    return lines


def _symbol(target: Target, address: int) -> str:
    symbol, line = place(address, target.image)
    return "".join(f", {_printable(part)}" for part in (symbol, line) if part)


def _buffers(findings: Findings) -> list[str]:
    lines: list[str] = []
    for role in ("input", "output"):
        port = port_of(findings, role)
        if port is None or findings.blob is None:
            lines += [f"[{role}]", f'at = "{FILL_IN}"', "bytes = 1  # its size", 'type = "int8"', ""]
            continue
        address, size, kind = port
        at = f"at = 0x{address:08x}" if address else f'at = "{FILL_IN}"'
        count = len(findings.blob.model.main.inputs if role == "input" else findings.blob.model.main.outputs)
        more = f"  # the first of {count} {role}s of the model" if count > 1 else ""
        lines += [f"[{role}]{more}", at, f"bytes = {size}", f"type = {_text(kind)}", ""]
    return lines[:-1]


def port_of(findings: Findings, role: str) -> tuple[int, int, str] | None:
    """Address (0: not known), bytes and type of the model's first input or output."""
    if findings.blob is None:
        return None
    graph = findings.blob.model.main
    indices = graph.inputs if role == "input" else graph.outputs
    if not indices:
        return None
    tensor = graph.tensors[indices[0]]
    placed = findings.tensors.tensors[indices[0]].address if findings.tensors else 0
    kind = tensor.dtype if tensor.dtype in ("int8", "uint8", "int16", "int32", "float32") else "uint8"
    return placed, max(tensor_bytes(tensor), 1), kind


def _named(image: FirmwareImage) -> Iterator[str]:
    """Comments with symbols whose names sound right."""
    functions = (s for s in image.symbols.values() if s.kind == "function" and _FUNCTIONS.search(s.short))
    objects = (s for s in image.symbols.values() if s.kind == "object" and s.size and _BUFFERS.search(s.short))
    if found := _listed(functions, lambda s: s.short):
        yield f"# functions whose names sound like it: {found}"
    if found := _listed(objects, lambda s: f"{s.short} ({s.size} bytes)"):
        yield f"# data whose names sound like it: {found}"


def _listed(symbols: Iterable[Symbol], words: object) -> str:
    assert callable(words)
    chosen = sorted(symbols, key=lambda s: (len(s.short), s.address))[:MAX_NAMES]
    return ", ".join(_printable(words(symbol)) for symbol in chosen)


def _hardware(ran: FirstRun) -> list[str]:
    lines: list[str] = []
    for register, text in printed(ran).items():
        lines += ["", f"[[uart]]  # prints {_text(text[:60])}", f"register = 0x{register:08x}"]
    if ran.clock is not None and ran.clock.handler is not None and ran.report.ticks:
        lines += ["", "[systick]", f"every = {ran.clock.every}", f"handler = 0x{ran.clock.handler:08x}"]
    for start, size, reads, writes in touched_blocks(ran.report.touched):
        lines += ["", f"[[peripheral]]  # {reads} reads, {writes} writes in a first run"]
        lines += [f'name = "0x{start:08x}"', f"address = 0x{start:08x}"]
        lines += [f"size = 0x{size:x}"] * (size != 4096) + ['reads = "either"']
    return lines


def printed(ran: FirstRun) -> dict[int, str]:
    """Text by register that took nothing but text."""
    found: dict[int, str] = {}
    for name, data in ran.report.text.items():
        if name.startswith("0x") and len(data) >= TEXT:
            register = int(name, 16)
            if ran.report.touched.get(register & ~3, (0, 0))[1] == len(data):
                found[register] = data.decode("ascii", "replace")
    return found


def touched_blocks(touched: dict[int, tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """(address, size, reads, writes) of blocks that hold all registers outside of the core's own."""
    registers = {a: counts for a, counts in touched.items() if not 0xE0000000 <= a < 0xE0100000}
    for bits in (12, 16, 20, 24):
        blocks: dict[int, tuple[int, int]] = {}
        for address, (reads, writes) in registers.items():
            start = address >> bits << bits
            before = blocks.get(start, (0, 0))
            blocks[start] = (before[0] + reads, before[1] + writes)
        if len(blocks) <= MAX_PAGES:
            break
    return [(start, 1 << bits, *counts) for start, counts in sorted(blocks.items())[:MAX_PAGES]]


def _printable(text: str) -> str:
    """Without anything that could end a comment or move a terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's, and nothing raw gets through."""
    return json.dumps(value.encode("utf-8", "replace").decode("utf-8"))
