"""The user's samples: read from .npz without pickles, checked against the model before anything runs."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import DataError
from tinymlsec.target.npz import read_npz
from tinymlsec.target.space import Codes, InputSpace
from tinymlsec.target.task import TaskKind

MEMBERS = frozenset(
    {"x", "y", "x_train", "y_train", "members", "nonmembers", "class_names", "task", "sequence", "threshold"}
)


@dataclass(frozen=True)
class Dataset:
    """Samples in the model's codes, with labels where the file has them."""

    path: str
    digest: str
    x: Codes
    """(n, *sample_shape), or (n, steps, *sample_shape) for a model with state."""
    y: NDArray[np.int64] | NDArray[np.float64] | None
    """(n,) integer labels; float targets for a regression."""
    class_names: tuple[str, ...] = ()
    task: str | None = None
    """What the file itself says: a name of TaskKind."""
    threshold: float | None = None
    clipped: float = 0.0
    """Share of real values that lay outside of the quantized range."""
    training: tuple[Codes, NDArray[np.int64]] | None = field(default=None, repr=False)

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.x)


def load_dataset(path: Path, space: InputSpace, *, frames: bool, encoding: str | None = None) -> Dataset:
    """Read and check a data file.

    Args:
        path: an .npz with ``x`` (n, ...), optional ``y`` (n,), ``class_names``, ``task``, ``sequence``, ``threshold``,
            ``x_train``, ``y_train``.
        space: the model's input space.
        frames: the model keeps state, so an input is a sequence of steps.
        encoding: ``"uint8"`` where 0..255 stands for -128..127.

    Raises:
        DataError: anything in the file that does not fit, with what was found and expected.
    """
    if encoding not in (None, "uint8"):
        raise DataError("unknown input encoding", found=encoding, expected="uint8, or leave the option out")
    arrays = read_npz(path, MEMBERS)
    if "x" not in arrays:
        raise DataError(
            "the data file has no array x",
            found=", ".join(arrays) or "nothing that is known",
            expected="x (samples), and y (labels) where there are any",
        )
    raw = arrays["x"]
    shaped = _fit(raw, space, frames)
    codes = space.encode(shaped, encoding)
    training = None
    if "x_train" in arrays and "y_train" in arrays:
        training = (space.encode(_fit(arrays["x_train"], space, frames), encoding), _labels(arrays["y_train"], None))
    task = _word(arrays.get("task"), "task", {k.value for k in TaskKind})
    sequence = _word(arrays.get("sequence"), "sequence", {"frames", "none"})
    if sequence is not None and (sequence == "frames") != frames:
        raise DataError(
            "the data file and the model disagree on whether inputs are streams",
            found=f"sequence = {sequence}",
            expected="frames: the model keeps state" if frames else "none: the model keeps no state",
        )
    return Dataset(
        path=str(path),
        digest=_digest(path),
        x=codes,
        y=_targets(arrays.get("y"), len(codes), task),
        class_names=_names(arrays.get("class_names")),
        task=task,
        threshold=_threshold(arrays.get("threshold")),
        clipped=_clipped(shaped, codes, space),
        training=training,
    )


def _fit(x: NDArray[np.generic], space: InputSpace, frames: bool) -> NDArray[np.generic]:
    wanted = space.sample_shape
    lead = 2 if frames else 1
    if x.ndim == 0 or len(x) == 0:
        raise DataError("x holds no samples", found=f"shape {x.shape}")
    tail = x.shape[lead:]
    same = tuple(d for d in tail if d != 1) == tuple(d for d in wanted if d != 1)  # batch or channel of 1 left out
    flat = x.ndim == lead + 1 and tail[0] == math.prod(wanted)
    if same or flat:
        return x.reshape(x.shape[:lead] + wanted)
    steps = "steps, " if frames else ""
    raise DataError(
        "the samples do not have the model's input shape",
        found=f"x of shape {x.shape}",
        expected=f"(n, {steps}{', '.join(map(str, wanted))})",
        next_step="a model with state takes a sequence of steps per sample" if frames else "reshape x",
    )


def _labels(y: NDArray[np.generic], n: int | None) -> NDArray[np.int64]:
    flat = y.reshape(-1) if y.ndim <= 2 and (y.ndim < 2 or y.shape[1] == 1) else y
    if flat.ndim != 1 or (n is not None and len(flat) != n):
        raise DataError(
            "the labels do not match the samples",
            found=f"y of shape {y.shape}",
            expected=f"({n},)",
            next_step="one integer label a sample, not one-hot rows",
        )
    if flat.dtype.kind == "f":
        if not np.isfinite(flat).all() or (flat != np.rint(flat)).any():
            raise DataError("labels are not whole numbers", found=f"dtype {flat.dtype}", expected="integers")
    elif flat.dtype.kind not in "iub":
        raise DataError("labels are no numbers", found=f"dtype {flat.dtype}", expected="integers")
    return flat.astype(np.int64)


def _targets(y: NDArray[np.generic] | None, n: int, task: str | None) -> NDArray[np.int64] | NDArray[np.float64] | None:
    if y is None:
        return None
    if y.dtype.kind == "f" and (
        task == TaskKind.REGRESSION.value or (np.isfinite(y).all() and (y != np.rint(y)).any())
    ):
        flat = y.reshape(n, -1) if y.shape[:1] == (n,) else y
        if flat.shape[:1] != (n,) or not np.isfinite(flat).all():
            raise DataError("the targets do not match the samples", found=f"y of shape {y.shape}", expected=f"{n} rows")
        return flat.astype(np.float64)
    return _labels(y, n)


def check_labels(y: NDArray[np.int64], classes: int) -> None:
    """Labels must name outputs of the model.

    Raises:
        DataError: a label that no output stands for.
    """
    bad = np.flatnonzero((y < 0) | (y >= classes))
    if bad.size:
        raise DataError(
            "labels are out of range",
            found=f"label {int(y[bad[0]])} at sample {int(bad[0])} ({bad.size} in all)",
            expected=f"0 to {classes - 1}: the model has {classes} outputs",
            next_step="check that the labels are in the order of the model's outputs",
        )


def _names(names: NDArray[np.generic] | None) -> tuple[str, ...]:
    if names is None:
        return ()
    if names.dtype.kind not in "US" or names.size > 4096:
        raise DataError("class_names must be text", found=f"dtype {names.dtype}, {names.size} values")
    return tuple(str(v.decode("utf-8", "replace") if isinstance(v, bytes) else v)[:80] for v in names.reshape(-1))


def _word(value: NDArray[np.generic] | None, name: str, allowed: set[str]) -> str | None:
    if value is None:
        return None
    word = str(value.reshape(-1)[0]) if value.size else ""
    if word not in allowed:
        raise DataError(f"the data file's {name} is unknown", found=word[:60], expected=", ".join(sorted(allowed)))
    return word


def _threshold(value: NDArray[np.generic] | None) -> float | None:
    if value is None:
        return None
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        found = f"{value.size} values of dtype {value.dtype}" if value.size != 1 else str(value.reshape(-1)[0])[:60]
        raise DataError("the data file's threshold is not a number", found=found, expected="one finite number")
    return float(value.reshape(-1)[0])


def _clipped(x: NDArray[np.generic], codes: Codes, space: InputSpace) -> float:
    if x.dtype.kind != "f" or not space.is_grid or not x.size:
        return 0.0
    exact = x.astype(np.float64) / space.scale + space.zero_point
    return float(np.mean((exact < space.low_limit - 0.5) | (exact > space.high_limit + 0.5)))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
