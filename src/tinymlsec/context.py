"""What a running attack is given beside its target: randomness, progress, artifacts, helper victims."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from tinymlsec._lazy import np
from tinymlsec.records import Artifact

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.target.victim import Victim

Progress = Callable[[int, int, str], None]
"""(done, total, what): called often, must be cheap."""


def silent(done: int, total: int, what: str) -> None:
    """A progress channel that shows nothing."""


class Context:
    """One unit of work's surroundings.

    Args:
        rng: the only source of randomness; seeded from the run's seed and the attack's id.
        victim_of: turns the bytes of a model file into something that can be asked (for controls and variants).
        artifacts: folder for files named by digest; None keeps nothing.
        progress: where to say how far we are.
    """

    def __init__(
        self,
        rng: Generator,
        victim_of: Callable[[bytes], Victim],
        artifacts: Path | None = None,
        progress: Progress = silent,
    ) -> None:
        self.rng = rng
        self.victim_of = victim_of
        self.progress = progress
        self._artifacts = artifacts

    def save(self, name: str, data: bytes, media_type: str, description: str = "") -> Artifact:
        """Keep a file in the run folder under its digest and return the record that names it."""
        digest = hashlib.sha256(data).hexdigest()
        if self._artifacts is not None:
            self._artifacts.mkdir(parents=True, exist_ok=True)
            (self._artifacts / digest).write_bytes(data)
        return Artifact(name=name, sha256=digest, media_type=media_type, size=len(data), description=description)

    def save_arrays(self, name: str, description: str = "", **arrays: NDArray[np.generic]) -> Artifact:
        """Keep arrays as an .npz without pickles; the same arrays give the same bytes.

        Raises:
            ValueError: an array of objects, which only a pickle could hold.
        """
        objects = [key for key, array in arrays.items() if array.dtype.hasobject]
        if objects:
            raise ValueError(f"arrays of objects are not kept: {', '.join(objects)}")
        stream = io.BytesIO()
        # Its option allow_pickle came with NumPy 2.1; before, it would be one more array.
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        return self.save(name, stream.getvalue(), "application/x-npz", description)
