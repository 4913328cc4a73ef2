"""Inputs whose latencies are compared, and the classes they fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tinymlsec.emulate.codegen.program import Port, Program
    from tinymlsec.target.data import Dataset
    from tinymlsec.target.space import InputSpace

KINDS = ("random codes", "one code everywhere", "weak noise", "few strong values")
"""Of inputs where there is no data: what saturates, what is silent, what is sparse takes other paths."""
EACH_CLASS = 3
"""Inputs below which a class is left out of the comparison of classes."""


@dataclass(frozen=True)
class Inputs:
    """What is fed, one row for each inference."""

    arrays: tuple[NDArray[np.generic], ...]
    """For each input of the model (n, *shape) in its type."""
    labels: NDArray[np.int64]
    """(n,) labels of the data, or kinds of generated inputs."""
    names: tuple[str, ...]
    """Of the labels; numbers stand for themselves where empty."""
    labeled: bool
    """The labels are those of the data."""
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, index: int) -> tuple[NDArray[np.generic], ...]:
        """One row."""
        return tuple(array[index] for array in self.arrays)


@dataclass(frozen=True)
class Classes:
    """Inputs in groups whose latencies are compared."""

    of: NDArray[np.int64]
    """(n,) 0 to c - 1; -1 where an input belongs to a class of too few."""
    names: tuple[str, ...]
    meaning: str


def choose(
    program: Program, space: InputSpace | None, dataset: Dataset | None, most: int, rng: np.random.Generator
) -> Inputs:
    """At most so many inputs: of the data, each label equally often, else generated.

    Args:
        program: says what the inputs are.
        space: maps codes to what the device is given.
        dataset: the user's samples; they feed a model with one input.
        most: inputs.
        rng: which, and random codes.
    """
    if dataset is None or space is None or len(program.inputs) != 1:
        return _generated(program, most, rng)
    port = program.inputs[0]
    codes, y = dataset.x, dataset.y
    labeled = y is not None and y.dtype.kind == "i"
    labels = y.astype(np.int64) if y is not None and labeled else np.zeros(len(codes), np.int64)
    if codes.ndim == len(space.sample_shape) + 2:  # sequences: steps are inputs, each from the first state
        labels = np.repeat(labels, codes.shape[1])
        codes = codes.reshape(-1, *space.sample_shape)
    rows = _balanced(labels, most, rng)
    array = space.to_device(codes[rows]).astype(np.dtype(port.dtype)).reshape(len(rows), *port.shape)
    source = f"{len(rows)} samples of the data" + (", each label equally often" if labeled else "")
    return Inputs((array,), labels[rows], dataset.class_names, labeled, source)


def _balanced(labels: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows, one label after the other in turn."""
    order = rng.permutation(len(labels))
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        turn[mine] = np.arange(len(mine))
    chosen = order[np.argsort(turn[order], kind="stable")][:most]
    return np.asarray(chosen, np.intp)


def _generated(program: Program, most: int, rng: np.random.Generator) -> Inputs:
    kinds = np.arange(most) % len(KINDS)
    arrays = tuple(_codes(port, kinds, rng) for port in program.inputs)
    return Inputs(arrays, kinds.astype(np.int64), KINDS, False, f"{most} generated inputs of {len(KINDS)} kinds")


def _codes(port: Port, kinds: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.generic]:
    kind = np.dtype(port.dtype)
    shape = (len(kinds), *port.shape)
    where = kinds.reshape(-1, *(1,) * len(port.shape))
    if kind == np.bool_:
        return rng.integers(0, 2, shape).astype(kind)
    if kind.kind == "f":
        low, high = -3.0, 3.0
        random = rng.standard_normal(shape)
        level = rng.uniform(low, high, where.shape)
    else:
        limits = np.iinfo(kind)
        low, high = float(limits.min), float(limits.max)
        random = rng.integers(limits.min, limits.max, shape, endpoint=True).astype(np.float64)
        level = rng.integers(limits.min, limits.max, where.shape, endpoint=True).astype(np.float64)
    middle = (low + high) / 2
    weak = middle + (random - middle) / 32
    sparse = np.where(rng.random(shape) < 0.05, np.where(rng.random(shape) < 0.5, low, high), middle)
    made = np.select([where == 0, where == 1, where == 2], [random, np.broadcast_to(level, shape), weak], sparse)
    return made.astype(kind) if kind.kind == "f" else np.rint(made).astype(kind)


def classes_of(inputs: Inputs, outputs: NDArray[np.generic]) -> Classes:
    """The classes to compare: labels, else the model's own decisions, else the kinds of inputs.

    Args:
        inputs: what was fed.
        outputs: (n, ...) the model's first output.
    """
    if inputs.labeled and (found := _grouped(inputs.labels, inputs.names, "labels of the data")):
        return found
    flat = outputs.reshape(len(inputs), -1)
    if 2 <= flat.shape[1] <= 1000:
        decisions = flat.astype(np.float64).argmax(axis=1)
        if found := _grouped(decisions, inputs.names if inputs.labeled else (), "decisions of the model"):
            return found
    if not inputs.labeled and (found := _grouped(inputs.labels, inputs.names, "kinds of inputs")):
        return found
    return Classes(np.zeros(len(inputs), np.int64), ("all",), "no classes: all inputs alike")


def _grouped(labels: NDArray[np.int64], names: tuple[str, ...], meaning: str) -> Classes | None:
    """Classes with enough inputs; None where fewer than two are left."""
    kinds, counts = np.unique(labels, return_counts=True)
    kept = kinds[counts >= EACH_CLASS]
    if len(kept) < 2:
        return None
    of = np.full(len(labels), -1, np.int64)
    for number, kind in enumerate(kept):
        of[labels == kind] = number
    words = tuple(names[k] if 0 <= k < len(names) else str(k) for k in kept.tolist())
    return Classes(of, words, meaning)
