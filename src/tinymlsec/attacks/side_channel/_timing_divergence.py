"""Two inferences side by side, instruction by instruction, up to where they go apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._timing_places import Spot, spot_of
from tinymlsec.emulate.contract import FAILED, Probe, Window

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._timing_runs import Sample
    from tinymlsec.emulate.twin import StartedTwin

LONGEST = 3_000_000
"""Instructions of a layer that are compared; layers that differ do so long before."""


@dataclass(frozen=True)
class Divergence:
    """Where two inferences part."""

    spot: Spot
    """The last instruction of the common path."""
    number: int
    """Of that instruction in its layer, from 0."""
    inputs: tuple[int, int]
    """Numbers of the two inputs."""
    next: tuple[int, int]
    """Where each of them goes on."""


def first_divergence(
    started: StartedTwin, layer: int, samples: tuple[Sample, Sample], inputs: tuple[int, int]
) -> Divergence | None:
    """The first instruction after which two inputs take different paths through a layer; None where none is found.

    Args:
        started: the firmware.
        layer: index of the operator.
        samples: the two inputs.
        inputs: their numbers, for the record.
    """
    first, second = (_path(started, layer, sample) for sample in samples)
    length = min(len(first), len(second))
    apart = np.flatnonzero(first["pc"][:length] != second["pc"][:length])
    if not len(apart) and len(first) == len(second):
        return None
    at = int(apart[0]) if len(apart) else length
    # what was left out in an IT block is no choice of a path
    last = next((k for k in range(at - 1, -1, -1) if not first["flags"][k] & FAILED), 0)
    spot = spot_of(started.twin, int(first["pc"][last]), layer)
    return Divergence(spot, last, inputs, (_onward(first, at), _onward(second, at)))


def _onward(records: NDArray[Any], at: int) -> int:
    return int(records["pc"][at]) if at < len(records) else 0


def _path(started: StartedTwin, layer: int, sample: Sample) -> NDArray[Any]:
    window = started.enter(f"op:{layer}", sample)
    result = started.machine.run(
        Window(window.name, window.start, window.arguments, window.stop, window.hit),
        probe=Probe(addresses=True, limit=LONGEST + 64), instructions=LONGEST,
    )  # fmt: skip
    return result.records
