"""Holds one-operator models on the runtime against the lift: every element of every output must be equal.

A module ``cases_<family>.py`` in this folder has ``CASES``: for an operator and the types of its row in the support
table a function that makes a random `Setting`. It must only make settings that the runtime accepts.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tinymlsec.lift.graph import LiftedGraph, as_value
from tinymlsec.lift.op import Site
from tinymlsec.lift.ops import lookup
from tinymlsec.lift.profiles import profile_named
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Tensor
from tinymlsec.target.tflite.writer import write_model

Array = NDArray[Any]
Feed = Callable[[np.random.Generator, int], list[Array]]


@dataclass(frozen=True)
class Setting:
    """One model, and what to feed it."""

    model: Model
    note: str
    """What was drawn, for the message of a failure."""
    extent: float = 4.0
    """Largest magnitude of float32 inputs."""
    feed: Feed | None = None
    """Other inputs than random codes: (generator, samples) to one array per input, (samples[, steps], *shape)."""
    steps: int = 1
    """More than one: sequences of so many steps, for models with state and one input."""
    tolerance: float = 0.0
    """Allowed difference relative to the largest output; float32 operators whose order of summation is not fixed."""


Maker = Callable[[np.random.Generator], Setting]


@dataclass(frozen=True)
class Comparison:
    """What came out for one setting."""

    elements: int
    mismatches: int
    message: str
    varied: bool
    """The runtime's outputs were not all one value."""


def setting(builder: GraphBuilder, note: str, **more: Any) -> Setting:
    """A setting of the model built so far."""
    return Setting(builder.build(), note, **more)


@cache
def makers() -> dict[tuple[str, str], Maker]:
    """All makers by (operator, types), from every module of cases in this folder."""
    found: dict[tuple[str, str], Maker] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if info.name.startswith("cases_"):
            found |= importlib.import_module(f"lift.conformance.{info.name}").CASES
    return found


def compare(case: Setting, pool: OraclePool, rng: np.random.Generator, samples: int) -> Comparison:
    """Runs random inputs, the all-minimum and the all-maximum one on both sides."""
    inputs = feed(case, rng, samples)
    real, ours = on_runtime(case, pool, inputs), on_lift(case, inputs)
    assert len(real) == len(ours), f"{len(real)} outputs on the runtime, {len(ours)} of the lift: {case.note}"
    wrong, elements = 0, 0
    message = ""
    for k, (a, b) in enumerate(zip(real, ours, strict=True)):
        b = b.reshape(a.shape) if a.size == b.size else b
        assert a.shape == b.shape, f"output {k}: {a.shape} on the runtime, {b.shape} of the lift: {case.note}"
        differs = _differs(a, b, case.tolerance)
        wrong, elements = wrong + int(differs.sum()), elements + a.size
        if differs.any() and not message:
            where = tuple(int(i) for i in np.argwhere(differs)[0])
            message = f"output {k} at {where}: runtime {a[where]}, lift {b[where]}; {case.note}"
    varied = len(np.unique(np.concatenate([output.ravel() for output in real]))) > 1
    return Comparison(elements, wrong, message, varied)


def _differs(a: Array, b: Array, tolerance: float) -> NDArray[np.bool_]:
    if not tolerance:
        return np.asarray(a != b) & ~((a != a) & (b != b))
    largest = max(float(np.abs(a).max(initial=0)), 1e-6)
    return np.asarray(np.abs(a.astype(np.float64) - b) > tolerance * largest)


def feed(case: Setting, rng: np.random.Generator, samples: int) -> list[Array]:
    """Inputs: (samples + 2[, steps], *shape) each; the last two samples are all-minimum and all-maximum."""
    if case.feed is not None:
        return case.feed(rng, samples)
    main = case.model.main
    lead = (samples,) if case.steps == 1 else (samples, case.steps)
    return [_feed(main.tensors[index], lead, rng, case.extent) for index in main.inputs]


def _feed(tensor: Tensor, lead: tuple[int, ...], rng: np.random.Generator, extent: float) -> Array:
    shape = (*lead, *tensor.shape)
    if tensor.dtype == "float32":
        low, high = -extent, extent
        body = rng.uniform(low, high, shape).astype(np.float32)
    else:
        info = np.iinfo(tensor.dtype) if tensor.dtype != "bool" else None
        low, high = (info.min, info.max) if info else (0, 1)
        body = rng.integers(low, high, shape, endpoint=True).astype(tensor.dtype)
    ends = [np.full((1, *shape[1:]), value, body.dtype) for value in (low, high)]
    return np.concatenate([body, *ends])


def on_runtime(case: Setting, pool: OraclePool, inputs: list[Array]) -> list[Array]:
    """Outputs of the runtime, (samples, ...) each."""
    handle = pool.open(write_model(case.model), stateful=bool(case.model.state_tensors))
    return [handle.run_sequences(inputs[0])] if case.steps > 1 else handle.run_all(inputs)


def on_lift(case: Setting, inputs: list[Array], profile: str = "tflm") -> list[Array]:
    """Outputs of the lift: of the whole graph where it has one input and one output, else operator by operator."""
    main = case.model.main
    if len(main.inputs) == 1 and len(main.outputs) == 1:
        graph = LiftedGraph(case.model, profile)
        if case.steps == 1:
            return [graph.predict(inputs[0])]
        with torch.no_grad():
            return [graph.sequence(_tensor(inputs[0])).numpy().astype(main.tensors[main.outputs[0]].dtype)]
    return _operator_by_operator(case.model, inputs, profile)


@torch.no_grad()
def _operator_by_operator(model: Model, inputs: list[Array], profile: str) -> list[Array]:
    main = model.main
    values = {}
    for tensor in main.tensors:
        value = constant(model, tensor)
        if value is not None:
            values[tensor.index] = as_value(value, tensor)[None]
    values |= {index: _tensor(array) for index, array in zip(main.inputs, inputs, strict=True)}
    for operator in main.operators:
        site = Site(model, main, operator, profile_named(profile))
        operands = [values.get(index, torch.empty(0)) for index in operator.inputs]
        values |= zip(operator.outputs, lookup(site).build(site)(operands, {}), strict=True)
    return [values[index].numpy().astype(main.tensors[index].dtype) for index in main.outputs]


def _tensor(array: Array) -> torch.Tensor:
    wide = np.float32 if array.dtype.name in ("int8", "uint8", "int16", "float32") else np.int64
    return torch.from_numpy(array.astype(wide))
