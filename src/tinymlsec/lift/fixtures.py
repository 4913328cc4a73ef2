"""A cache of trained models, by what they were made from.

Training takes minutes, and several parts need the same trained models. A recipe says everything that a model depends
on; its digest names two files in the user's cache folder, the .tflite and a JSON with recipe, facts and SHA-256. What
is read is verified, and what does not verify is made again. No pickles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.cache_folder import cache_folder
from tinymlsec.target.tflite.limits import MAX_FILE_BYTES

CODE_VERSION = 1
"""Raised whenever training code changes in a way that changes its results: older fixtures are then not found."""
MAX_JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """Everything that a trained model depends on."""

    name: str
    """What it is for, in a few words; part of the digest."""
    model_sha256: str
    """Of the file that was trained or gave the topology."""
    data_sha256: str
    """See `data_digest`."""
    config: Mapping[str, Any]
    """Plain JSON: numbers, text, lists, dictionaries."""
    seed: int
    code_version: int = CODE_VERSION

    @property
    def text(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Fixture:
    """A trained model and what was measured on it."""

    model: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: accuracies with their n, versions, seconds."""


def data_digest(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 over types, shapes and bytes of arrays, in their order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def recipe_for(name: str, model: bytes, data: tuple[NDArray[np.generic], ...], config: Any, seed: int) -> Recipe:
    """The recipe of a training run.

    Args:
        name: what it is for.
        model: the .tflite file that is trained or gives the topology.
        data: all arrays that training sees.
        config: a dataclass (`TrainConfig`, `ScratchConfig`) or a dictionary of plain JSON.
        seed: the run's seed.
    """
    plain = asdict(config) if is_dataclass(config) and not isinstance(config, type) else dict(config)
    return Recipe(name, hashlib.sha256(model).hexdigest(), data_digest(*data), plain, seed)


def cached(recipe: Recipe, make: Callable[[], Fixture], folder: Path | None = None) -> Fixture:
    """The fixture of a recipe, from the cache or made now and kept.

    A folder that cannot be written only costs time: the fixture is returned all the same.

    Args:
        recipe: what it is made from.
        make: makes it.
        folder: in place of `cache_folder`.
    """
    place = (folder or cache_folder()) / "fixtures"
    held = _read(place, recipe)
    if held is not None:
        return held
    made = make()
    with contextlib.suppress(OSError):
        _write(place, recipe, made)
    return made


def _read(place: Path, recipe: Recipe) -> Fixture | None:
    """The fixture, None where it is absent or anything about it does not verify."""
    note, model = (_bounded(place / f"{recipe.digest}.{end}", most) for end, most in _FILES.items())
    if note is None or model is None:
        return None
    try:
        record = json.loads(note)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("recipe") != json.loads(recipe.text):
        return None
    facts = record.get("facts")
    if not isinstance(facts, dict) or record.get("sha256") != hashlib.sha256(model).hexdigest():
        return None
    return Fixture(model, facts)


_FILES = {"json": MAX_JSON_BYTES, "tflite": MAX_FILE_BYTES}


def _bounded(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError:
        return None
    return data if len(data) <= most else None


def _write(place: Path, recipe: Recipe, fixture: Fixture) -> None:
    """Model first: a record without its model is never seen, and each file appears whole."""
    record = {
        "recipe": json.loads(recipe.text),
        "sha256": hashlib.sha256(fixture.model).hexdigest(),
        "facts": dict(fixture.facts),
    }
    place.mkdir(parents=True, exist_ok=True)
    _replace(place / f"{recipe.digest}.tflite", fixture.model)
    _replace(place / f"{recipe.digest}.json", json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode())


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
