"""Groups for a t-test: traces of one fixed input against all others where there are such, decisions otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._measured_subject import Subject

if TYPE_CHECKING:
    from tinymlsec.traces.traceset import TraceSet

LOOKED_AT, ASKED = 1000, 100
"""Traces at each end of a set in which a fixed input is looked for, and whose decision is asked for without one."""
LEAST, MOST = 0.2, 0.8
"""Share of them that must have the fixed input."""


@dataclass(frozen=True)
class Groups:
    """How traces are told apart."""

    fixed: NDArray[np.uint8] | None
    """(k,) the input of the fixed group."""
    common: int | None = None
    """The decision that most inputs lead to; None with a fixed group, or where nothing is decided."""
    words: str = ""

    def of(self, subject: Subject, inputs: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """(b,) 0 or 1; None where there are no groups."""
        if self.fixed is not None:
            same: NDArray[np.uint8] = (inputs == self.fixed).all(axis=1).astype(np.uint8)
            return same
        if self.common is None or subject.decide is None:
            return None
        common: NDArray[np.uint8] = (subject.decide(subject.codes(inputs)) == self.common).astype(np.uint8)
        return common


def groups_of(traces: TraceSet, subject: Subject) -> Groups:
    """What the traces can be told apart by."""
    ends = [chunk for start in {0, max(len(traces) - LOOKED_AT, 0)}
            for chunk in traces.chunks(LOOKED_AT, start=start, end=start + LOOKED_AT)]  # fmt: skip
    rows = np.concatenate([chunk.inputs for chunk in ends])
    values, counts = np.unique(rows, axis=0, return_counts=True)
    share = counts.max() / len(rows)
    if LEAST <= share <= MOST:
        return Groups(values[counts.argmax()], words=f"one fixed input ({share:.0%} of those looked at) and others")
    if subject.decide is None:
        return Groups(None, words="no groups: the task takes no decision, and no input is fixed")
    some = np.concatenate([chunk.inputs[:ASKED] for chunk in ends])
    decided, often = np.unique(subject.decide(subject.codes(some)), return_counts=True)
    if len(decided) < 2:
        return Groups(None, words="no groups: all inputs lead to one decision, and no input is fixed")
    common = int(decided[often.argmax()])
    return Groups(None, common, f"decision {common} and all others")
