"""The real models with inputs, and what the runtime makes of them: every output, and every tensor on the way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lift.models import FILES, images, load, streams
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.oracle_run import run_rows
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model_file
from tinymlsec.target.tflite.writer import write_model

Array = NDArray[Any]
COUNTS = {"kws": 200, "ic": 50, "ad": 60, "vww": 12, "micro_speech": 60, "hello_world": 256}
"""Inputs of each model: real ones for kws and ic, random ones for the others."""
STREAMING = {"alexa": "microwakeword/alexa.tflite", "vad": "microwakeword/vad.tflite"}
STEPS = 50
MODELS = (*COUNTS, *STREAMING)


@dataclass(frozen=True)
class RealModel:
    """A model and what to feed it."""

    name: str
    model: Model
    content: bytes
    inputs: Array
    """(n, *shape): samples, or streams one after the other."""
    steps: int
    """Inferences from one reset to the next; 1 where there is no state."""

    def first(self, count: int) -> RealModel:
        """The same with fewer inputs: whole streams where there is state."""
        return replace(self, inputs=self.inputs[: count * self.steps])


def real_model(data: Path, name: str) -> RealModel:
    """One of `MODELS` with all its inputs."""
    if name in STREAMING:
        model, content = read_model_file(data / STREAMING[name])
        inputs = streams(model.main.tensors[model.main.inputs[0]].shape[1:], STEPS)
        return RealModel(name, model, content, inputs.reshape(-1, *inputs.shape[2:]), STEPS)
    assert name in FILES
    return RealModel(name, *load(data, name, COUNTS[name]), steps=1)


def real_numbers(data: Path, count: int) -> RealModel:
    """A model on float32: the pixels as they are, 0 to 255."""
    model, content = read_model_file(data / "mlperf_tiny_ic" / "pretrainedResnet.tflite")
    pixels = images(data / "cifar10_jpeg" / "cifar10_jpeg_test2000.zip", count).astype(np.float32) + 128
    return RealModel("ic_float", model, content, pixels, steps=1)


def on_runtime(real: RealModel, pool: OraclePool) -> Array:
    """The runtime's first output, (n, ...)."""
    return _rows(real, pool, real.content)[0]


def layers_on_runtime(real: RealModel, pool: OraclePool, tensors: Sequence[int]) -> list[Array]:
    """What the runtime computes for tensors of the main graph, (n, bytes) each: they are made outputs of the file."""
    main = replace(real.model.main, outputs=tuple(tensors))
    changed = replace(real.model, subgraphs=(main, *real.model.subgraphs[1:]), signatures=())
    found = _rows(real, pool, write_model(changed))
    return [np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1) for rows in found]


def _rows(real: RealModel, pool: OraclePool, content: bytes) -> list[Array]:
    stateful = real.name in STREAMING
    handle = pool.open(content, stateful=stateful)
    feed = np.ascontiguousarray(real.inputs).reshape(-1, *handle.inputs[0].shape)
    return run_rows(handle, [feed], real.steps, real.steps if stateful else 0, None, None)
