"""The worst points of a window: instructions with their source lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.attacks.side_channel._timing_places import Spot, spot_of

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._assess_test import WindowTest
    from tinymlsec.emulate.twin import Twin


@dataclass(frozen=True)
class WorstPoint:
    """One instruction, at the execution of it at which the groups differ most."""

    spot: Spot
    t: float
    order: int
    """1: means, 2: variances."""
    snr: float
    """Largest over all values, there."""
    record: int
    """Number in the window."""
    alarms: int
    """Executions of the instruction in the window that alarm."""


def worst_points(twin: Twin, window: WindowTest, most: int) -> list[WorstPoint]:
    """Instructions that alarm, the worst first.

    Args:
        twin: the firmware.
        window: what was seen.
        most: of them.
    """
    size = np.where(window.alarms, np.where(window.tested, np.abs(window.t), np.inf), 0.0).max(axis=0)
    order = np.argsort(-size, kind="stable")
    rings = order[size[order] > 0]
    _, first = np.unique(window.pcs[rings], return_index=True)
    made = []
    for at in rings[np.sort(first)][:most].tolist():
        column = np.abs(window.t[:, at])
        alarms = int((window.pcs[rings] == window.pcs[at]).sum())
        which = int(column.argmax())
        made.append(
            WorstPoint(
                spot_of(twin, int(window.pcs[at]), window.part.layer.index), float(window.t[which, at]), which + 1,
                float(window.snr[at]), int(window.records[at]), alarms,
            )
        )  # fmt: skip
    return made
