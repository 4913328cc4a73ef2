"""A target description to start from, written from what the finder found. What it cannot know is marked to fill in."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tinymlsec.emulate.foreign.finder.layers import LayerWindow
from tinymlsec.emulate.foreign.finder.static import Findings
from tinymlsec.emulate.foreign.finder.tensors import tensor_bytes

FILL_IN = "FILL_IN"


@dataclass(frozen=True)
class Ran:
    """How far a first run came."""

    windows: tuple[LayerWindow, ...] = ()
    confirmed: bool = False
    """The nodes that the kernels were given are the model's."""
    over: int | None = None
    """Address that is reached when the last layer is done."""
    over_hit: int = 1
    text: str = ""
    peripherals: tuple[tuple[int, int, int], ...] = ()
    """(address of a 4 KiB page, reads, writes)"""


def suggestion(findings: Findings, *, core: str | None, device: str | None, ran: Ran | None = None) -> str:
    """The TOML text.

    Args:
        findings: of the finder.
        core: id of the core; used where no device is given.
        device: id of the device.
        ran: of a first run, where there was one.
    """
    ran = ran or Ran()
    lines = [f"device = {_text(device)}" if device else f"core = {_text(core or FILL_IN)}", ""]
    lines += [*_boot(ran), "", *_inference(ran), "", *_buffers(findings)]
    if ran.text:
        lines += ["", f"# the firmware prints, to a register that may be a UART's: {_text(ran.text[:60])}"]
    for address, reads, writes in ran.peripherals:
        lines += ["", f"[[peripheral]]  # {reads} reads, {writes} writes while starting"]
        lines += [f'name = "0x{address:08x}"', f"address = 0x{address:08x}", 'reads = "either"']
    return "\n".join(lines) + "\n"


def _boot(ran: Ran) -> list[str]:
    if ran.windows:
        return ["[boot]", f"until = 0x{ran.windows[0].invoke:08x}  # the first layer"]
    return ["[boot]", f'until = "{FILL_IN}"  # a function of the main loop, or: start = "none", init = "..."']


def _inference(ran: Ran) -> list[str]:
    if ran.windows and ran.confirmed and ran.over is not None:
        where = f"until = 0x{ran.over:08x}  # where the last layer returns to"
        return ["[inference]", where, f"hit = {ran.over_hit}"]
    return ["[inference]", f'function = "{FILL_IN}"', '# arguments = ["input", "output"]']


def _buffers(findings: Findings) -> list[str]:
    lines: list[str] = []
    for role in ("input", "output"):
        port = _port(findings, role)
        if port is None:
            lines += [f"[{role}]", f'at = "{FILL_IN}"', "bytes = 1", ""]
            continue
        address, size, kind = port
        at = f"at = 0x{address:08x}" if address else f'at = "{FILL_IN}"'
        lines += [f"[{role}]", at, f"bytes = {size}", f"type = {_text(kind)}", ""]
    return lines[:-1]


def _port(findings: Findings, role: str) -> tuple[int, int, str] | None:
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


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's, and nothing raw gets through."""
    return json.dumps(value.encode("utf-8", "replace").decode("utf-8"))
