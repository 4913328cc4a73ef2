"""Runs generated C on this host: built as a shared library, called in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinymlsec.emulate.codegen.program import Program
from tinymlsec.emulate.compilers import find_host_compiler
from tinymlsec.emulate.toolchain import build_host_library
from tinymlsec.errors import ToolchainError

Array = NDArray[Any]

_WORKER = """
import ctypes, json, sys
import numpy as np

def infer(lib, inputs, outputs, i):
    ins = (ctypes.c_void_p * len(inputs))(*(a[i:].ctypes.data for a in inputs))
    outs = (ctypes.c_void_p * len(outputs))(*(a[i:].ctypes.data for a in outputs))
    assert lib.tms_infer(ins, outs) == 0

def infer_by_layers(lib, inputs, outputs, i, layers):
    arena = (ctypes.c_uint8 * 0).in_dll(lib, "tms_arena")
    ports = (ctypes.c_void_p * len(inputs)).in_dll(lib, "tms_input")
    for port, a in zip(ports, inputs):
        ctypes.memmove(port, a[i:].ctypes.data, a[i].nbytes)
    k = 0
    for symbol, tensors in layers:
        getattr(lib, symbol)()
        for offset in tensors:
            ctypes.memmove(outputs[k][i:].ctypes.data, ctypes.addressof(arena) + offset, outputs[k][i].nbytes)
            k += 1

for line in sys.stdin:
    job = json.loads(line)
    lib = ctypes.CDLL(job["library"])
    inputs = [np.load(path, allow_pickle=False) for path in job["inputs"]]
    outputs = [np.empty((len(inputs[0]), *shape), dtype) for shape, dtype in job["outputs"]]
    lib.tms_init()
    for i in range(len(inputs[0])):
        if i % job["steps"] == 0:
            lib.tms_reset()
        if "layers" in job:
            infer_by_layers(lib, inputs, outputs, i, job["layers"])
        else:
            infer(lib, inputs, outputs, i)
    for k, a in enumerate(outputs):
        np.save(job["into"] + f"/output{k}.npy", a)
    print(json.dumps("done"), flush=True)
"""


class HostRunner:
    """One process that loads library after library. A crash of generated code is an error of the test, not its end."""

    def __init__(self, folder: Path, flags: Sequence[str] = ()) -> None:
        self.folder, self.flags, self.count = folder, tuple(flags), 0
        self.process: subprocess.Popen[str] | None = None

    def library(self, files: Mapping[str, str]) -> Path:
        """Build a shared library, or skip the test where nothing can compile it."""
        try:
            find_host_compiler()
        except ToolchainError as error:
            pytest.skip(f"no compiler for this host: {error.message}")
        return build_host_library(files, name="tms_test", extra_flags=self.flags)

    def run(self, program: Program, inputs: Sequence[Array], *, steps: int = 1) -> list[Array]:
        """Outputs, (n, *shape) each.

        Args:
            program: generated.
            inputs: (n, ...) an input of the model; with steps, (n, steps, ...).
            steps: inferences between two resets.
        """
        outputs = [(port.shape, port.dtype) for port in program.outputs]
        return self._run(program, inputs, steps, {"outputs": outputs})

    def layers(self, program: Program, inputs: Sequence[Array], *, steps: int = 1) -> dict[int, Array]:
        """By tensor: what every layer left in the arena when it had run, (n, bytes) uint8; else as `run`."""
        spans = [[span for span in layer.outputs if span.offset is not None] for layer in program.layers]
        flat = [span for layer in spans for span in layer]
        calls = [(each.symbol, [s.offset for s in own]) for each, own in zip(program.layers, spans, strict=True)]
        outputs = [((span.bytes,), "uint8") for span in flat]
        found = self._run(program, inputs, steps, {"outputs": outputs, "layers": calls})
        return {span.tensor: array for span, array in zip(flat, found, strict=True)}

    def _run(self, program: Program, inputs: Sequence[Array], steps: int, more: dict[str, Any]) -> list[Array]:
        self.count += 1
        into = self.folder / f"run{self.count}"
        into.mkdir()
        paths = []
        for k, (array, port) in enumerate(zip(inputs, program.inputs, strict=True)):
            flat = np.ascontiguousarray(array.astype(port.dtype)).reshape(-1, *port.shape)
            np.save(into / f"input{k}.npy", flat)
            paths.append(str(into / f"input{k}.npy"))
        library = str(self.library(program.files))
        self._ask({"library": library, "inputs": paths, "into": str(into), "steps": steps, **more})
        return [np.load(into / f"output{k}.npy", allow_pickle=False) for k in range(len(more["outputs"]))]

    def _ask(self, job: dict[str, Any]) -> None:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"generated code crashed (exit code {self.process.wait()}) in {job['library']}"

    def close(self) -> None:
        """End the process."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
