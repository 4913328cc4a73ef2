"""Whether the firmware that was priced computes what the runtime computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinymlsec.emulate.measure_inputs import Feed, same_outputs
from tinymlsec.errors import TinymlsecError
from tinymlsec.target.tflite.graph import Model

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_run import SampleRun


def equal_outputs(model: Model, data: bytes, feed: Feed, runs: Sequence[SampleRun]) -> tuple[int | None, str]:
    """How many outputs have the runtime's bytes, and a note where that is not all or was not asked.

    Args:
        model: the graph.
        data: the .tflite file.
        feed: what was run.
        runs: what came out.
    """
    from tinymlsec.target.oracle import OraclePool, runtime_available

    installed, why = runtime_available()
    if not installed:
        return None, f"outputs were not compared: {why}"
    stateful = bool(model.state_tensors)
    try:
        with OraclePool() as pool:
            handle = pool.open(data, stateful=stateful, fresh=stateful)
            theirs = handle.run_all(list(feed.arrays))
    except TinymlsecError as error:
        return None, f"outputs were not compared: {error.message}"
    same = same_outputs([run.outputs for run in runs], theirs)
    if same == len(runs):
        return same, ""
    return same, f"{len(runs) - same} of {len(runs)} outputs differ from the runtime's: do not trust these figures"
