"""Whether the firmware that was priced computes what the runtime computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.measure_inputs import Feed, same_outputs
from tinymlsec.errors import TinymlsecError
from tinymlsec.target.tflite.graph import Model

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_run import SampleRun


def equal_outputs(model: Model, data: bytes, feed: Feed, runs: Sequence[SampleRun]) -> tuple[int | None, str]:
    """How many samples gave the runtime's bytes, and a note where that is not all or was not asked.

    Args:
        model: the graph.
        data: the .tflite file.
        feed: what was run.
        runs: what came out.
    """
    from tinymlsec.target.oracle import runtime_available

    installed, why = runtime_available()
    if not installed:
        return None, f"outputs were not compared: {why}"
    try:
        theirs = _runtime_outputs(model, data, feed)
    except TinymlsecError as error:
        return None, f"outputs were not compared: {error.message}"
    same = same_outputs([run.outputs[: len(theirs)] for run in runs], theirs)
    if same == len(runs):
        return same, ""
    return same, f"{len(runs) - same} of {len(runs)} outputs differ from the runtime's: do not trust these figures"


def _runtime_outputs(model: Model, data: bytes, feed: Feed) -> list[NDArray[np.generic]]:
    """Per output (n, ...); of a model with state only the first output, over one sequence of steps."""
    from tinymlsec.target.oracle import OraclePool

    stateful = bool(model.state_tensors)
    with OraclePool() as pool:
        handle = pool.open(data, stateful=stateful, fresh=stateful)
        if stateful and len(feed.arrays) == 1:
            return [handle.run_sequences(feed.arrays[0][None])[0]]
        return handle.run_all(list(feed.arrays))
