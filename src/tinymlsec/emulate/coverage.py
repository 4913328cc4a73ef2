"""Which targets have a firmware twin, answered before anything is generated or built: planning asks this."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from tinymlsec.emulate.cores import core_for
from tinymlsec.lift.coverage import OPERATORS

if TYPE_CHECKING:
    from tinymlsec.target.device import Device
    from tinymlsec.target.tflite.graph import Model

PACKAGES = ("unicorn", "capstone")
HOW_TO_INSTALL = "pip install 'tinymlsec[firmware]'"


def firmware_obstacle(model: Model, device: Device | None) -> str | None:
    """Why this model cannot be run as firmware of this device; None where nothing speaks against it.

    Whether every type and option is covered, and whether it fits the memories, shows when the twin is built.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        return f"needs tinymlsec[firmware] (without {', '.join(missing)}): {HOW_TO_INSTALL}"
    if device is None:
        return "name the board whose firmware is emulated: --device ID (tinymlsec list devices)"
    choice = core_for(device)
    if choice.core is None:
        return f"firmware of {device.id} cannot be emulated: {choice.reason}"
    unknown = sorted({op.label[:40] for graph in model.subgraphs for op in graph.operators} - OPERATORS)
    if unknown:
        return f"operators for which no C is generated: {', '.join(unknown[:8])} (tinymlsec list ops)"
    return None
