"""The table device -> core -> engine as Markdown: `python -m tinymlsec.emulate.device_table` writes it into the docs.

A test keeps `docs/firmware/devices.md` equal to what this module makes.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tinymlsec.emulate.contract import Fidelity
from tinymlsec.emulate.cores import CoreChoice, core_for
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.target.device import ENVIRONMENT, Device, list_devices

START, END = "<!-- generated: devices -->", "<!-- end of generated -->"
PAGE = Path("docs/firmware/devices.md")
_HEAD = ("device", "core", "engine", "flash", "RAM", "why, and where the addresses come from")


def device_table(devices: Sequence[Device]) -> str:
    """A row for each device: the core that stands for it, how well, its memories, and the reason.

    Args:
        devices: such as those of `list_devices`.
    """
    choices = [(device, core_for(device)) for device in devices]
    counts = Counter(choice.fidelity for _, choice in choices)
    total = ", ".join(f"{counts[fidelity]} {fidelity.value}" for fidelity in Fidelity)
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(device, choice) for device, choice in choices)]
    return f"{len(devices)} devices: {total}.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(device: Device, choice: CoreChoice) -> tuple[str, ...]:
    name = f"`{device.id}`"
    if choice.core is None:
        return name, "", choice.fidelity.value, "", "", f"{choice.reason}."
    memory = memory_map(device, choice.core)
    flash, ram = (
        "<br>".join(f"`0x{r.address:08x}` {r.size >> 10} KiB" for r in memory.regions if ("w" in r.access) is written)
        for written in (False, True)
    )
    source = memory.source[:1].upper() + memory.source[1:]
    return name, choice.core.title, choice.fidelity.value, flash, ram, f"{choice.reason}. {source}."


def with_table(page: str, table: str) -> str:
    """A page whose generated part is the table.

    Args:
        page: text with the two marks.
        table: from `device_table`.
    """
    before, _, rest = page.partition(START)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has no {START} ... {END}")
    return f"{before}{START}\n\n{table}\n\n{END}{after}"


def main() -> None:
    """Writes the table into the page."""
    os.environ.pop(ENVIRONMENT, None)  # devices of users are not for the docs
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page.write_text(with_table(page.read_text(encoding="utf-8"), device_table(list_devices())), encoding="utf-8")
    sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main()
