"""Many generated programs in one shared library: kernels are compiled once, and names of models get a prefix each."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.codegen.program import Program

Array = NDArray[Any]
_NAME = re.compile(r"\btms_\w+\b")
_INCLUDED = re.compile(r'#include "(?!kernels/)(tms_\w+\.h)"')

_WORKER = """
import ctypes, json, sys
import numpy as np
job = json.load(sys.stdin)
lib = ctypes.CDLL(job["library"])
for k, run in enumerate(job["runs"]):
    init, reset, infer = (getattr(lib, f"{run['prefix']}{name}") for name in ("init", "reset", "infer"))
    inputs = [np.load(path, allow_pickle=False) for path in run["inputs"]]
    count = len(inputs[0])
    outputs = [np.empty((count, *shape), dtype) for shape, dtype in run["outputs"]]
    init()
    for i in range(count):
        if i % run["steps"] == 0:
            reset()
        ins = (ctypes.c_void_p * len(inputs))(*(a[i:].ctypes.data for a in inputs))
        outs = (ctypes.c_void_p * len(outputs))(*(a[i:].ctypes.data for a in outputs))
        assert infer(ins, outs) == 0
    for n, a in enumerate(outputs):
        np.save(f"{job['into']}/{k}-out{n}.npy", a)
"""


def bundle(programs: Sequence[Program]) -> dict[str, str]:
    """Files of one library; program k has ``m<k>_`` where its names would begin with ``tms_``."""
    kernels: dict[str, str] = {}
    for program in programs:
        for path, text in program.files.items():
            if path.startswith("kernels/"):
                assert kernels.setdefault(path, text) == text
    shared = {name for text in kernels.values() for name in _NAME.findall(text)}
    files = dict(kernels)
    for k, program in enumerate(programs):
        own = {path: text for path, text in program.files.items() if path not in kernels}
        files[f"m{k}.c"] = _one_text(own, f"m{k}_", shared)
    return files


def _one_text(own: Mapping[str, str], prefix: str, shared: set[str]) -> str:
    """All files of a model as one, headers where they are included first."""
    seen: set[str] = set()

    def inlined(path: str) -> str:
        if path in seen:
            return ""
        seen.add(path)
        return _INCLUDED.sub(lambda found: inlined(found[1]), own[path])

    text = "\n".join(inlined(path) for path in sorted(own) if path.endswith(".c"))
    return _NAME.sub(lambda found: found[0] if found[0] in shared else prefix + found[0][4:], text)


def run_bundle(
    library: Path, programs: Sequence[Program], feeds: Sequence[Sequence[Array]], steps: Sequence[int], into: Path
) -> list[list[Array]]:
    """Outputs of every program, (n, *shape) each, computed in a process of its own.

    Args:
        library: built from `bundle`.
        programs: the same.
        feeds: inputs of every program, (n, ...) or (n, steps, ...) each.
        steps: inferences between two resets, for every program.
        into: a folder that is empty.
    """
    runs = []
    for k, (program, inputs) in enumerate(zip(programs, feeds, strict=True)):
        paths = []
        for n, (array, port) in enumerate(zip(inputs, program.inputs, strict=True)):
            paths.append(str(into / f"{k}-in{n}.npy"))
            np.save(paths[-1], np.ascontiguousarray(array.astype(port.dtype)).reshape(-1, *port.shape))
        outputs = [(port.shape, port.dtype) for port in program.outputs]
        runs.append({"prefix": f"m{k}_", "inputs": paths, "outputs": outputs, "steps": steps[k]})
    job = json.dumps({"library": str(library), "into": str(into), "runs": runs})
    done = subprocess.run([sys.executable, "-c", _WORKER], input=job, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"generated code ended with {done.returncode} in {library}: {done.stderr[-500:]}"
    return [
        [np.load(into / f"{k}-out{n}.npy", allow_pickle=False) for n in range(len(program.outputs))]
        for k, program in enumerate(programs)
    ]
