"""The bundled example: a small int8 network that reads handwritten digits, its data and a deployment profile.

`tinymlsec demo` assesses it. The files are package data, so they are found in a wheel, in a checkout and in a zip; they
are remade by ``examples/digits/make.py``. Importing this module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

DIGITS_DEVICE = "stm32l4r5zi"
"""Id of the device on which the example runs: the reference board of MLPerf Tiny."""


@dataclass(frozen=True)
class ExamplePaths:
    """The example's files on disk."""

    model: Path
    data: Path
    deployment: Path
    hardened_model: Path


def digits_model() -> bytes:
    """The model file: int8, input (1, 8, 8, 1), output (1, 10)."""
    return _digits("digits.tflite").read_bytes()


def digits_hardened_model() -> bytes:
    """The same network, trained to be harder to attack; remade by ``examples/digits/make_hardened.py``."""
    return _digits("digits_hardened.tflite").read_bytes()


def digits_data() -> bytes:
    """The data file (.npz): x (590, 8, 8, 1) float32 in 0..16, y (590,), class_names, task, x_train, y_train."""
    return _digits("digits.npz").read_bytes()


def digits_deployment() -> str:
    """The deployment profile (TOML) of the invented product that uses the model."""
    return _digits("deployment.toml").read_text(encoding="utf-8")


def digits_license() -> str:
    """Origin and license of the data (Markdown)."""
    return _digits("LICENSE-DATA.md").read_text(encoding="utf-8")


@contextmanager
def digits_paths() -> Iterator[ExamplePaths]:
    """The example's files as paths, extracted for the time of the block where the package lies in a zip file."""
    with ExitStack() as stack:
        names = ("digits.tflite", "digits.npz", "deployment.toml", "digits_hardened.tflite")
        yield ExamplePaths(*(stack.enter_context(as_file(_digits(name))) for name in names))


def _digits(name: str) -> Traversable:
    return files(__name__).joinpath("digits", name)
