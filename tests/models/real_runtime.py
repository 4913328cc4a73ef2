"""Runs models on the real runtime in a process of its own: a damaged file ends that process, not the tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Arrays = Sequence[NDArray[np.generic]]

needs_runtime = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="needs tflite-micro, which has no wheel for this platform"
)

WORKER = """
import sys
import numpy as np
from tflite_micro import runtime
with np.load(sys.argv[1]) as archive:
    jobs = {key: archive[key] for key in archive.files}
results = {}
for job in range(int(jobs["count"])):
    model = jobs[f"{job}_model"].tobytes()
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=int(jobs["arena"]))
    inputs, outputs = int(jobs[f"{job}_inputs"]), int(jobs[f"{job}_outputs"])
    for i in range(inputs):
        interpreter.set_input(jobs[f"{job}_input_{i}"], i)
    interpreter.invoke()
    for i in range(outputs):
        results[f"{job}_{i}"] = interpreter.get_output(i)
np.savez(sys.argv[2], **results)
"""


def run_models(
    jobs: Sequence[tuple[bytes, Arrays, int]], folder: Path, arena: int = 1 << 20
) -> list[list[NDArray[np.generic]]]:
    """Outputs of each job (file, inputs, number of outputs); fails the test with the runtime's words where it stops."""
    arrays: dict[str, NDArray[np.generic]] = {"count": np.array(len(jobs)), "arena": np.array(arena)}
    for job, (model, inputs, outputs) in enumerate(jobs):
        arrays[f"{job}_model"] = np.frombuffer(model, np.uint8)
        arrays[f"{job}_inputs"], arrays[f"{job}_outputs"] = np.array(len(inputs)), np.array(outputs)
        arrays |= {f"{job}_input_{i}": value for i, value in enumerate(inputs)}
    np.savez(folder / "jobs.npz", **arrays)
    command = [sys.executable, "-c", WORKER, str(folder / "jobs.npz"), str(folder / "results.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"the runtime ended with {done.returncode}:\n{done.stderr[-2000:]}"
    with np.load(folder / "results.npz") as results:
        return [[results[f"{job}_{i}"] for i in range(outputs)] for job, (_, _, outputs) in enumerate(jobs)]
