"""What all imports of traces share: files whose sizes are known before anything is read, traces that stay on disk."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tinymlsec.errors import FileContentError, InputError
from tinymlsec.records import Basis
from tinymlsec.traces.traceset import CHUNK, Chunk, TraceError, TraceInfo

CHUNK_BYTES = 256 << 20
"""Largest chunk of traces that is read at a time, as float32."""
BASES = (Basis.MEASURED, Basis.SIMULATED)
"""What traces can be."""
SIDE_BYTES = 64 * 1024
"""Longest file of facts beside a trace file."""
_STATED = ("basis", "source", "window", "core", "firmware_digest", "model_digest", "sampling_hz")


class TraceFileError(FileContentError, TraceError):
    """A trace file that cannot be read."""


def size_of(path: Path, what: str = "trace file") -> int:
    """Size of a regular file.

    Raises:
        TraceFileError: there is none, or it cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TraceFileError(f"the {what} is not a regular file", found=str(path))
        with path.open("rb"):
            return status.st_size
    except (OSError, ValueError) as error:
        found = f"{path}: {getattr(error, 'strerror', None) or error}"
        raise TraceFileError(f"the {what} cannot be read", found=found, next_step="check the path") from error


def mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], *, offset: int, step: int = 0) -> NDArray[Any]:
    """An array that lies in a file, without reading it.

    Args:
        path: file.
        dtype: of its values.
        shape: not empty.
        offset: of the first value.
        step: bytes from row to row; by default rows lie without gaps.

    Raises:
        TraceFileError: the file ends before the array does.
    """
    size, row = size_of(path), dtype.itemsize * math.prod(shape[1:])
    step = step or row
    needed = offset + (shape[0] - 1) * step + row
    if needed > size:
        there = max(0, size - offset - row + step) // step if step else 0
        raise TraceFileError(
            f"{path.name} is truncated", offset=size, found=f"{size:,} bytes, {there:,} whole rows",
            expected=f"{needed:,} bytes, {shape[0]:,} rows", next_step="copy the file again",
        )  # fmt: skip
    raw = np.memmap(path, np.uint8, "r", shape=(size,))
    inner = [dtype.itemsize * math.prod(shape[axis + 1 :]) for axis in range(1, len(shape))]
    return np.ndarray(shape, dtype, buffer=raw, offset=offset, strides=(step, *inner))


@dataclass(frozen=True)
class FileTraces:
    """Traces that stay in a file until they are asked for; each chunk is checked when it is read.

    Raises:
        TraceFileError: shapes or types that no traces have; fewer inputs than traces, or more.
    """

    info: TraceInfo
    data: NDArray[Any]
    """(n, t) any real type; usually mapped."""
    inputs: NDArray[Any] | None = None
    """(n, ...) int8, uint8, or integers of 0 to 255; None: not known."""
    pc: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    offset: Callable[[int, int], int] | None = None
    """(trace, sample) -> where it lies in the file, for messages."""

    def __post_init__(self) -> None:
        check_shape(self.data.shape, self.data.dtype, self.info.source)
        if self.inputs is not None:
            check_inputs(self.inputs.shape, self.inputs.dtype, len(self.data), self.info.source)
        if len(self.pc) not in (0, self.data.shape[1]):
            expected = f"one for each of {self.data.shape[1]} samples"
            raise TraceFileError(f"addresses of {self.info.source}", found=str(len(self.pc)), expected=expected)

    @property
    def samples(self) -> int:
        """Samples of a trace."""
        return int(self.data.shape[1])

    def __len__(self) -> int:
        return len(self.data)

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """See `TraceSet.chunks`.

        Raises:
            TraceFileError: a sample that is no number, or an input that is no byte.
        """
        end = len(self) if end is None else min(end, len(self))
        size = at_a_time(size, self.data.shape, None if self.inputs is None else self.inputs.shape)
        for first in range(start, end, size):
            to = slice(first, min(first + size, end))
            yield Chunk(first, self._samples(to), self._inputs(to))

    def _samples(self, rows: slice) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            made = np.ascontiguousarray(self.data[rows], np.float32)
        if self.data.dtype.kind == "f" and not np.isfinite(made).all():
            trace, sample = np.argwhere(~np.isfinite(made))[0].tolist()
            number = rows.start + trace
            raise TraceFileError(
                f"a sample of {self.info.source} is no number",
                offset=None if self.offset is None else self.offset(number, sample),
                found=f"{self.data[number, sample]} in trace {number}, sample {sample}",
                expected="numbers that float32 can hold", next_step="leave the damaged traces out",
            )  # fmt: skip
        return made

    def _inputs(self, rows: slice) -> NDArray[np.uint8]:
        count = rows.stop - rows.start
        if self.inputs is None:
            return np.zeros((count, 0), np.uint8)
        some = np.ascontiguousarray(self.inputs[rows]).reshape(count, -1)
        if some.dtype in (np.uint8, np.int8):
            return some.view(np.uint8)
        if some.size and (some.min() < 0 or some.max() > 255):
            raise TraceFileError(
                f"inputs of {self.info.source} are no bytes", found=f"{some.min()} to {some.max()}",
                expected="0 to 255, or type int8", next_step="give the bytes that the device was sent",
            )  # fmt: skip
        return some.astype(np.uint8)


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any], source: str) -> None:
    """Refuses what is no array of traces, without looking at its values.

    Raises:
        TraceFileError: dimensions or type.
    """
    if len(shape) != 2 or 0 in shape:
        raise TraceFileError(
            f"{source} holds no traces", found=f"shape {shape}", expected="(traces, samples), not empty",
            next_step="store one trace a row",
        )  # fmt: skip
    if dtype.kind not in "iuf":
        raise TraceFileError(
            f"{source} holds no traces", found=f"type {dtype}", expected="integers or real numbers",
            next_step="store samples as int16 or float32",
        )  # fmt: skip


def at_a_time(size: int, samples: tuple[int, ...], inputs: tuple[int, ...] | None) -> int:
    """How many traces a chunk has: as many as were asked for, fewer where they are long.

    Args:
        size: traces that were asked for.
        samples: shape of all samples.
        inputs: shape of all inputs.
    """
    each = 4 * samples[1] + (0 if inputs is None else math.prod(inputs[1:]))
    return max(1, min(size, CHUNK_BYTES // each))


def check_inputs(shape: tuple[int, ...], dtype: np.dtype[Any], traces: int, source: str) -> None:
    """Refuses inputs that do not belong to the traces.

    Raises:
        TraceFileError: another number of them, or another type than integers.
    """
    count = shape[0] if shape else 0
    if count != traces:
        raise TraceFileError(
            f"{'fewer' if count < traces else 'more'} inputs than traces in {source}", found=f"{count:,} inputs",
            expected=f"{traces:,}, one for each trace", next_step="give the inputs of exactly these traces",
        )  # fmt: skip
    if dtype.kind not in "iu":
        raise TraceFileError(
            f"inputs of {source} are no bytes", found=f"type {dtype}", expected="int8 or uint8",
            next_step="give the bytes that the device was sent",
        )  # fmt: skip


def measured(path: Path, what: str, **facts: Any) -> TraceInfo:
    """What an imported file says of itself, with the facts that a file NAME.json beside it states.

    An imported file is taken for measured, unless it says of itself that it is simulated.

    Args:
        path: of the traces.
        what: kind of file, for reports.
        facts: fields of `TraceInfo` that the file itself has.

    Raises:
        TraceFileError: facts that are none.
    """
    stated = _stated(path.with_name(path.name + ".json"))
    base: dict[str, Any] = {"source": f"{path.name} ({what})", "basis": Basis.MEASURED, **facts, **stated}
    if base["basis"] not in BASES:
        raise TraceFileError(
            f"facts about {path.name} cannot be used", found=f"basis {base['basis']}"[:100],
            expected="measured or simulated",
        )  # fmt: skip
    try:
        return TraceInfo(**base)
    except ValidationError as error:
        raise TraceFileError(f"facts about {path.name} cannot be used", found=str(error)[:300]) from error


def _stated(side: Path) -> dict[str, Any]:
    if not side.exists():
        return {}
    if size_of(side, "file of facts") > SIDE_BYTES:
        raise TraceFileError(f"{side.name} is too long", expected=f"at most {SIDE_BYTES:,} bytes")
    try:
        facts = json.loads(side.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise TraceFileError(f"{side.name} is no JSON", found=str(error)[:200]) from error
    if not isinstance(facts, dict) or set(facts) - set(_STATED):
        found = ", ".join(sorted(set(facts) - set(_STATED)))[:200] if isinstance(facts, dict) else type(facts).__name__
        raise TraceFileError(f"{side.name} states other things", found=found, expected=f"any of {', '.join(_STATED)}")
    return facts


def wrapped(path: Path, error: InputError, next_step: str) -> TraceFileError:
    """An error of a reader that others use, as one about a trace file."""
    return TraceFileError(
        f"{path.name}: {error.message}", found=error.found, expected=error.expected, next_step=next_step
    )
