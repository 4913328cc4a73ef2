"""What the firmware is fed: samples of a data file, or random codes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.codegen.program import Port, Program
from tinymlsec.errors import DataError
from tinymlsec.target.tflite.graph import Model


@dataclass(frozen=True)
class Feed:
    """Samples for every input of a model."""

    arrays: tuple[NDArray[np.generic], ...]
    """One per input: (n, *shape) in the input's type."""
    source: str
    """Where they come from."""

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.arrays[0])

    def sample(self, index: int) -> tuple[bytes, ...]:
        """One sample as the bytes of each input."""
        return tuple(np.ascontiguousarray(array[index]).tobytes() for array in self.arrays)


def make_feed(program: Program, model: Model, *, data: Path | None, count: int, seed: int) -> Feed:
    """Samples for a measurement.

    Args:
        program: says what the inputs are.
        model: the graph, which says how real values become codes.
        data: an .npz file; None for random codes.
        count: most samples.
        seed: of random codes.

    Raises:
        DataError: a data file that does not fit, or a model without inputs.
    """
    if not program.inputs:
        raise DataError("the model has no input", next_step="there is nothing to vary: measure is for models with one")
    if data is None:
        rng = np.random.default_rng(seed)
        return Feed(tuple(_random(port, count, rng) for port in program.inputs), f"random codes, seed {seed}")
    return _from_file(program, model, data, count)


def _random(port: Port, count: int, rng: np.random.Generator) -> NDArray[np.generic]:
    """Codes that are spread evenly over the type; real numbers from a normal distribution."""
    shape, kind = (count, *port.shape), np.dtype(port.dtype)
    if kind == np.bool_:
        return rng.integers(0, 2, shape).astype(kind)
    if kind.kind == "f":
        return rng.standard_normal(shape).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


def _from_file(program: Program, model: Model, path: Path, count: int) -> Feed:
    from tinymlsec.target.data import load_dataset
    from tinymlsec.target.space import input_space

    if len(program.inputs) != 1:
        raise DataError(
            "a data file feeds one input", found=f"a model with {len(program.inputs)}",
            next_step="leave --data out: random codes are used",
        )  # fmt: skip
    space = input_space(model)
    frames = bool(model.state_tensors)
    dataset = load_dataset(path, space, frames=frames)
    codes = (dataset.x[0] if frames else dataset.x)[:count]
    port = program.inputs[0]
    array = space.to_device(codes).astype(np.dtype(port.dtype)).reshape(len(codes), *port.shape)
    return Feed((array,), f"{path.name}, the first {len(codes)}" + (" steps of its first sequence" if frames else ""))
