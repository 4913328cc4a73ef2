"""Whether the firmware that was priced computes what the runtime computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.measure_inputs import Feed
from tinymlsec.errors import TinymlsecError
from tinymlsec.target.tflite.graph import Model

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_run import SampleRun

TOLERANCE = 1e-6
"""Of real outputs, relative to the largest of the sample: the runtime takes functions such as exp from its C library,
which rounds the last bit in its own way. Integers have no tolerance."""


class Agreement(NamedTuple):
    """How the outputs of a measurement agree with the runtime's."""

    exact: int | None
    """Samples with the same bytes; None where it was not asked."""
    close: int | None
    """Samples with the same bytes or within the tolerance."""
    note: str
    """What there is to say about it."""


NOT_ASKED = Agreement(None, None, "")


def compare_outputs(model: Model, data: bytes, feed: Feed, runs: Sequence[SampleRun]) -> Agreement:
    """How many samples gave what the runtime gives.

    Args:
        model: the graph.
        data: the .tflite file.
        feed: what was run.
        runs: what came out.
    """
    from tinymlsec.target.oracle import runtime_available

    installed, why = runtime_available()
    if not installed:
        return Agreement(None, None, f"outputs were not compared: {why}")
    try:
        theirs = _runtime_outputs(model, data, feed)
    except TinymlsecError as error:
        return Agreement(None, None, f"outputs were not compared: {error.message}")
    return agreement([run.outputs[: len(theirs)] for run in runs], theirs)


def agreement(mine: Sequence[Sequence[bytes]], theirs: Sequence[NDArray[np.generic]]) -> Agreement:
    """Compares outputs.

    Args:
        mine: per sample, the bytes of each output.
        theirs: per output, (n, ...).
    """
    far = [max(_distance(o, t[i]) for o, t in zip(sample, theirs, strict=True)) for i, sample in enumerate(mine)]
    exact, close = sum(d == 0 for d in far), sum(d <= TOLERANCE for d in far)
    if close < len(far):
        words = f"{len(far) - close} of {len(far)} outputs differ from the runtime's: do not trust these figures"
    elif exact < len(far):
        count = f"{len(far) - exact} of {len(far)}"
        words = f"{count} outputs differ from the runtime's by at most {max(far):.1g} of the largest"
    else:
        words = ""
    return Agreement(exact, close, words)


def _distance(mine: bytes, theirs: NDArray[np.generic]) -> float:
    """0 for the same bytes; of real numbers the largest difference relative to the largest number; else infinite."""
    kept = np.ascontiguousarray(theirs)
    if mine == kept.tobytes():
        return 0.0
    if kept.dtype.kind != "f" or len(mine) != kept.nbytes or not np.isfinite(kept).all():
        return float("inf")
    wide = kept.astype(np.float64)
    gap = np.abs(np.frombuffer(mine, kept.dtype).reshape(kept.shape).astype(np.float64) - wide).max()
    found = float(gap / max(float(np.abs(wide).max()), np.finfo(np.float32).tiny))
    return found if np.isfinite(found) else float("inf")


def _runtime_outputs(model: Model, data: bytes, feed: Feed) -> list[NDArray[np.generic]]:
    """Per output (n, ...); of a model with state only the first output, over one sequence of steps."""
    from tinymlsec.target.oracle import OraclePool

    stateful = bool(model.state_tensors)
    with OraclePool() as pool:
        handle = pool.open(data, stateful=stateful, fresh=stateful)
        if stateful and len(feed.arrays) == 1:
            return [handle.run_sequences(feed.arrays[0][None])[0]]
        return handle.run_all(list(feed.arrays))
