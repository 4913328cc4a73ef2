"""Changed copies of a model file, and what the real runtime does with each, in a worker process that may die of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.errors import BudgetExceeded, OracleCrash, OracleError, OracleTimeout, UsageError
from tinymlsec.records import Severity
from tinymlsec.target.oracle import Limits, OraclePool

if TYPE_CHECKING:
    from numpy.random import Generator

    from tinymlsec.target.tflite.graph import Model

BEFORE, BEHIND = 24, 96
"""Bytes around the table of an operator or tensor that are changed: its vtable, fields, shape and options."""
VALUES = (0, 1, 2, 0x7F, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE)
"""What stands in place of a word; random words come beside."""
LIMITS = Limits(seconds_load=5.0, seconds_per_call=3.0)
CRASH, HANG, REFUSED, RAN = "crash", "hang", "refused", "ran"


@dataclass
class Outcomes:
    """What became of the files."""

    counts: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    """Signals that ended the process."""
    warned: int = 0
    """Of the files that ended the runtime, those in which the scanner's rules find something at medium or above."""
    first: bytes = b""
    """The first file that ended it."""

    @property
    def ended(self) -> int:
        """Files that the runtime did not survive."""
        return self.counts[CRASH] + self.counts[HANG]


def changed_copies(model: Model, data: bytes, samples: int, rng: Generator) -> list[bytes]:
    """Copies of a file with one word of its structure changed; weights stay as they are.

    Args:
        model: as read from `data`.
        data: the file.
        samples: copies.
        rng: which word, and what stands there instead.
    """
    places = [t.offset for g in model.subgraphs for t in g.tensors] + [
        o.offset for g in model.subgraphs for o in g.operators
    ]
    starts = [place for place in places if place is not None]
    copies = []
    for _ in range(samples if starts else 0):
        start = starts[int(rng.integers(len(starts)))]
        at = min(max(start + int(rng.integers(-BEFORE, BEHIND)) & ~3, 4), max(len(data) - 4, 4))
        pick = int(rng.integers(len(VALUES) + 3))
        word = VALUES[pick] if pick < len(VALUES) else int(rng.integers(1 << 32))
        copies.append(data[:at] + word.to_bytes(4, "little") + data[at + 4 :])
    return copies


def run_files(files: list[bytes]) -> Outcomes:
    """Loads and runs each file; a worker that dies is replaced."""
    found = Outcomes()
    with OraclePool(1, LIMITS) as pool:
        for data in files:
            outcome, signal = _run(pool, data)
            found.counts[outcome] += 1
            if outcome in (CRASH, HANG):
                found.signals[signal or "time"] += 1
                found.warned += _warned(data)
                found.first = found.first or data
    return found


def _run(pool: OraclePool, data: bytes) -> tuple[str, str]:
    try:
        handle = pool.open(data)
        handle.run_all([np.zeros((1, *detail.shape), detail.dtype) for detail in handle.inputs])
    except OracleCrash as error:
        return CRASH, error.signal or "a crash"
    except OracleTimeout:
        return HANG, ""
    except (OracleError, BudgetExceeded, UsageError):
        return REFUSED, ""
    return RAN, ""


def _warned(data: bytes) -> bool:
    from tinymlsec.rules.runtime import load_runtime
    from tinymlsec.scan.models import run_model_rules

    return any(f.severity.rank >= Severity.MEDIUM.rank for f in run_model_rules(data, runtime=load_runtime()))


def deadly_model() -> bytes:
    """A small model with a block of zero in BATCH_TO_SPACE_ND, which its kernel divides by."""
    from tinymlsec.target.tflite.builder import GraphBuilder

    builder = GraphBuilder("control: a block of zero")
    x = builder.input((4, 2, 2, 3), "int8", 0.5, 0)
    block = builder.constant(np.array([2, 0], np.int32))
    crops = builder.constant(np.zeros((2, 2), np.int32))
    builder.output(builder.op("BATCH_TO_SPACE_ND", [x, block, crops], (1, 4, 4, 3)))
    return builder.tobytes()
