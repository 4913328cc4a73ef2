"""Builds targets for attack tests without files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks._twins import linear_twin, twin_inputs
from tinymlsec.context import Context
from tinymlsec.evidence import Observation
from tinymlsec.registry import Attack, EffortLevel
from tinymlsec.target.data import Dataset
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.space import Codes, InputSpace, input_space
from tinymlsec.target.target import Target
from tinymlsec.target.task import Task, task_from_graph
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.classifiers import dense_int8
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.victim import Victim

MLPERF_TINY = {
    "kws": ("mlperf_tiny_kws/kws_ref_model.tflite", 13),
    "ad": ("mlperf_tiny_ad/ad01_int8.tflite", 10),
    "vww": ("mlperf_tiny_vww/vww_96_int8.tflite", 31),
    "ic": ("mlperf_tiny_ic/pretrainedResnet_quant.tflite", 16),
}
"""File below ../shared/data and number of layers."""


def dataset(x: Codes, y: NDArray[np.int64] | None, names: tuple[str, ...] = ()) -> Dataset:
    return Dataset(path="memory", digest="0" * 64, x=x, y=y, class_names=names)


def space_of(shape: tuple[int, ...], dtype: str = "int8", **changes: Any) -> InputSpace:
    """An input space of its own, without a model."""
    if dtype == "float32":
        base = InputSpace((1, *shape), dtype, dtype, 0.0, 0, 0.0, 1.0, False, "test")
    else:
        info = np.iinfo(dtype)
        base = InputSpace((1, *shape), dtype, dtype, 0.5, 0, float(info.min), float(info.max), False, "test")
    return replace(base, **changes)


@dataclass
class Workbench:
    """Makes targets on one pool and runs attacks on them."""

    pool: OraclePool

    def victim_of(self, data: bytes) -> Victim:
        model = read_model(data)
        return Victim(data, model, input_space(model), task_from_graph(model), self.pool)

    def target(self, data: bytes, samples: Dataset | None = None, task: Task | None = None) -> Target:
        model = read_model(data)
        space, told = input_space(model), task or task_from_graph(model)
        if samples is not None and not space.is_grid:
            space = space.with_bounds(float(samples.x.min()), float(samples.x.max()), "range of the given data")
        victim = Victim(data, model, space, told, self.pool)
        return Target("test", data, model, space, told, victim, samples)

    def linear(self, distance: int, n: int = 60, reach: int = 8) -> Target:
        """The linear twin with inputs at `distance` from its border on both sides; 512 is what 8 steps can move."""
        totals = np.where(np.arange(n) % 2, -distance, distance)
        x = twin_inputs(np.random.default_rng(5), totals)
        return self.target(linear_twin(reach), dataset(x, (totals < 0).astype(np.int64), ("left", "right")))

    def run(
        self, attack: Attack[Any], target: Target, seed: int = 0, folder: Path | None = None, **config: Any
    ) -> Observation:
        settings = attack.configure(EffortLevel.STANDARD, config)
        return attack(target, settings, Context(np.random.default_rng(seed), self.victim_of, folder))


def regression(weights: list[float]) -> bytes:
    """A linear int8 model with one output and no decision."""
    builder = GraphBuilder("regression")
    x = builder.input((1, len(weights)), "int8", 1.0, 0)
    builder.output(dense_int8(builder, x, [weights], [0.0], output_scale=4.0, output_zero_point=0))
    return builder.tobytes()


def detector() -> bytes:
    """Probability that the sum of 16 inputs is positive."""
    builder = GraphBuilder("detector")
    x = builder.input((1, 16), "int8", 1.0, 0)
    score = dense_int8(builder, x, [[1.0] * 16], [0.0], output_scale=1.0, output_zero_point=0)
    builder.output(builder.op("LOGISTIC", [score], scale=1 / 256, zero_point=-128, options={}))
    return builder.tobytes()


def float_linear(features: int = 16) -> bytes:
    """A float classifier: class 1 where the sum of the inputs is positive."""
    builder = GraphBuilder("float linear")
    x = builder.input((1, features), "float32")
    kernel = builder.constant(np.stack([-np.ones(features), np.ones(features)]).astype(np.float32), name="kernel")
    bias = builder.constant(np.zeros(2, np.float32), name="bias")
    scores = builder.op("FULLY_CONNECTED", [x, kernel, bias], options={"fused_activation_function": "NONE"})
    builder.output(builder.op("SOFTMAX", [scores], options={"beta": 1.0}))
    return builder.tobytes()
