"""Sets of traces as Zarr v3 folders: written in chunks, whole or absent, gone on with after an interrupt.

    NAME/            group; its attributes hold what the traces are
      samples        (n, t) float32
      inputs         (n, k) uint8; absent where inputs are not known
      pc             (t,) uint32; absent where addresses are not known

While it is written the folder is called .NAME.partial. Chunks are written to files of other names and renamed, so those
that are there are whole; a second run writes what is missing. The last chunk of the first run is made again and
compared: only the same traces are gone on with.
"""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tinymlsec.context import Progress, silent
from tinymlsec.errors import CapabilityMissing
from tinymlsec.traces.files import FileTraces, TraceFileError, at_a_time, check_inputs, check_shape, measured
from tinymlsec.traces.traceset import CHUNK, Chunk, TraceError, TraceInfo, TraceSet, check_samples
from tinymlsec.traces.zarr_files import ZarrFolder, array_folder, check_chunk, description

FORMAT = 1
TARGET = 8 << 20
"""Bytes of samples in a chunk, about."""
WIDEST = 1 << 24
"""Samples of a trace in one chunk."""
_NAMES = {"samples": ("samples", "traces"), "inputs": ("inputs", "textin"), "pc": ("pc",)}


def write_zarr(traces: TraceSet, path: Path, *, overwrite: bool = False, progress: Progress = silent) -> ZarrTraces:
    """Writes a set of traces.

    Args:
        traces: any set; only one chunk of it is in memory at a time.
        path: folder that will be made.
        overwrite: replace a folder that is there.
        progress: told how many traces are written.

    Returns:
        The set as it lies there.

    Raises:
        TraceFileError: the folder is there, cannot be written, or is being written by another process.
        TraceError: samples that are no numbers.
        CapabilityMissing: Zarr is not installed.
    """
    _needs_zarr()
    if path.exists() and not overwrite:
        raise TraceFileError(
            "there is something already", found=str(path), next_step="choose another name, or overwrite it"
        )
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with _locked(partial.with_name(f".{path.name}.lock")):
            _write(traces, partial, progress)
            _replace(partial, path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise TraceFileError(
            "the disk is full" if full else "traces cannot be written", found=f"{path}: {error.strerror or error}",
            next_step="free some room and run it again: it goes on" if full else "choose another folder",
        ) from error  # fmt: skip
    return open_zarr(path)


def open_zarr(path: Path) -> ZarrTraces:
    """A set of traces in a Zarr folder: one of ours, a group with `samples` (or `traces`), or one array.

    Raises:
        TraceFileError: not such a folder, or stored in a way that is not read.
        CapabilityMissing: Zarr is not installed.
    """
    _needs_zarr()
    told = description(path)
    if told.get("node_type") == "array":
        return ZarrTraces(measured(path, "Zarr"), array_folder(path))
    parts = {name: _part(path, others) for name, others in _NAMES.items()}
    if parts["samples"] is None:
        there = ", ".join(sorted(p.name for p in path.iterdir() if p.is_dir())[:20])
        raise TraceFileError(
            f"{path.name} holds no samples", found=there or "nothing", expected="an array called samples"
        )
    check_shape(parts["samples"].shape, parts["samples"].dtype, path.name)
    pc = np.zeros(0, np.uint32)
    if parts["pc"] is not None:
        pc = _small(parts["pc"], parts["samples"].shape[-1])
    return ZarrTraces(_info(path, told), parts["samples"], parts["inputs"], pc)


def _replace(new: Path, path: Path) -> None:
    """Puts a folder into its place; one that is there goes when the new one stands."""
    old = path.with_name(f".{path.name}.old")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


@dataclass(frozen=True)
class ZarrTraces:
    """Traces in a Zarr folder; chunks are checked before they are unpacked."""

    info: TraceInfo
    data: ZarrFolder
    inputs: ZarrFolder | None = None
    pc: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))

    def __post_init__(self) -> None:
        check_shape(self.data.shape, self.data.dtype, self.info.source)
        if self.inputs is not None:
            check_inputs(self.inputs.shape, self.inputs.dtype, len(self), self.info.source)

    @property
    def samples(self) -> int:
        """Samples of a trace."""
        return self.data.shape[1]

    def __len__(self) -> int:
        return self.data.shape[0]

    def chunks(self, size: int = CHUNK, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """See `TraceSet.chunks`.

        Raises:
            TraceFileError: a chunk that is missing or damaged, or samples that are no numbers.
        """
        end = len(self) if end is None else min(end, len(self))
        size = at_a_time(size, self.data.shape, None if self.inputs is None else self.inputs.shape)
        data, inputs = _Rows(self.data), None if self.inputs is None else _Rows(self.inputs)
        for first in range(start, end, size):
            last = min(first + size, end)
            rows = FileTraces(self.info, data.read(first, last), None if inputs is None else inputs.read(first, last))
            for chunk in rows.chunks(size):
                yield Chunk(first, chunk.samples, chunk.inputs)


class _Rows:
    """Rows of an array, read through Zarr."""

    def __init__(self, folder: ZarrFolder) -> None:
        import zarr

        self._folder = folder
        try:
            self._array: Any = zarr.open_array(str(folder.path), mode="r", zarr_format=3)
        except Exception as error:  # Zarr raises many unrelated types on descriptions that it does not like
            raise TraceFileError(
                f"{folder.path / 'zarr.json'} cannot be used", found=(str(error) or type(error).__name__)[:200]
            ) from error

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Rows from `first` to before `last`.

        Raises:
            TraceFileError: a chunk that cannot be read.
        """
        for file in self._folder.chunk_files(first, last):
            check_chunk(self._folder, file)
        try:
            return np.asarray(self._array[first:last])
        except Exception as error:  # codecs raise many unrelated types on damaged chunks
            raise TraceFileError(
                f"a chunk of {self._folder.path.name} is damaged", found=(str(error) or type(error).__name__)[:200],
                expected=f"rows {first} to {last - 1}", next_step="copy the folder again",
            ) from error  # fmt: skip


def _write(traces: TraceSet, partial: Path, progress: Progress) -> None:
    """Writes what is missing in the partial folder."""
    first = next(iter(traces.chunks(1, end=1)), None)
    if first is None:
        raise TraceError("there are no traces to write")
    width = first.inputs.shape[1]
    rows = max(1, min(TARGET // (4 * traces.samples), TARGET // max(width, 1), 65_536, len(traces)))
    done = _begun(traces, partial, rows, width)
    import zarr

    with zarr.config.set({"array.write_empty_chunks": True}):  # a chunk that is missing is damage, never zeros
        if done is None:
            done = 0
            _begin(traces, partial, rows, width)
        samples: Any = zarr.open_array(str(partial / "samples"), mode="r+")
        inputs: Any = zarr.open_array(str(partial / "inputs"), mode="r+") if width else None
    progress(done, len(traces), "traces written")
    for chunk in traces.chunks(rows, start=done):
        check_samples(chunk.samples)
        last = chunk.first + len(chunk.samples)
        if inputs is not None:
            inputs[chunk.first : last] = chunk.inputs
        samples[chunk.first : last] = chunk.samples
        progress(last, len(traces), "traces written")


def _begin(traces: TraceSet, partial: Path, rows: int, width: int) -> None:
    """An empty folder with all its descriptions."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.create_group(str(partial), zarr_format=3, attributes=_attributes(traces))

    def array(name: str, shape: tuple[int, ...], chunk: tuple[int, ...], dtype: str) -> Any:
        packed = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle", typesize=np.dtype(dtype).itemsize)
        return group.create_array(name, shape=shape, chunks=chunk, dtype=dtype, compressors=[packed, Crc32cCodec()])

    array("samples", (len(traces), traces.samples), (rows, min(traces.samples, WIDEST)), "float32")
    if width:
        array("inputs", (len(traces), width), (rows, width), "uint8")
    if len(traces.pc):
        array("pc", (len(traces.pc),), (len(traces.pc),), "uint32")[:] = traces.pc


def _begun(traces: TraceSet, partial: Path, rows: int, width: int) -> int | None:
    """How many traces of just this set an interrupted run has left; None: it left nothing of use."""
    try:
        if description(partial).get("attributes") != _attributes(traces):
            return None
        left = open_zarr(partial)
    except TraceError:
        return None
    known = None if left.inputs is None else left.inputs.shape
    shapes = (left.data.shape, left.data.chunk, known) == (
        (len(traces), traces.samples), (rows, min(traces.samples, WIDEST)), (len(traces), width) if width else None
    )  # fmt: skip
    if not shapes or not np.array_equal(left.pc, traces.pc):
        return None
    folders = [folder for folder in (left.data, left.inputs) if folder is not None]
    done = 0
    while done < len(traces) and all(f.exists() for folder in folders for f in folder.chunk_files(done, done + 1)):
        done = min(done + rows, len(traces))
    if not done:
        return None
    start = (done - 1) // rows * rows
    try:
        old, new = (next(iter(some.chunks(rows, start=start, end=done))) for some in (left, traces))
    except TraceFileError:
        return None
    same = np.array_equal(old.samples, new.samples) and np.array_equal(old.inputs, new.inputs)
    return done if same else None


def _attributes(traces: TraceSet) -> dict[str, Any]:
    return {"tinymlsec_traces": {"format": FORMAT, "info": traces.info.model_dump(mode="json")}}


def _info(path: Path, told: dict[str, Any]) -> TraceInfo:
    attributes = told.get("attributes")
    own = attributes.get("tinymlsec_traces") if isinstance(attributes, dict) else None
    if own is None:
        return measured(path, "Zarr")
    try:
        if own["format"] != FORMAT:
            raise TraceFileError(
                f"{path.name} is of another version", found=str(own["format"])[:20], expected=str(FORMAT)
            )
        return TraceInfo.model_validate_json(json.dumps(own["info"]))
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise TraceFileError(f"{path.name} does not say what its traces are", found=str(error)[:300]) from error


def _part(path: Path, names: tuple[str, ...]) -> ZarrFolder | None:
    return next((array_folder(path / name) for name in names if (path / name).is_dir()), None)


def _small(folder: ZarrFolder, most: int) -> NDArray[np.uint32]:
    """The addresses."""
    if folder.dtype.kind not in "iu" or folder.shape != (most,):
        found = f"{folder.dtype} {folder.shape}"
        raise TraceFileError(f"addresses in {folder.path.parent.name}", found=found, expected=f"{most} whole numbers")
    return _Rows(folder).read(0, most).astype(np.uint32)


def _needs_zarr() -> None:
    if find_spec("zarr") is None:
        raise CapabilityMissing(
            "Zarr is not installed", expected="tinymlsec[sidechannel]", next_step='pip install "tinymlsec[sidechannel]"'
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a file for this process; the lock goes with the process, however it ends."""
    with path.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TraceFileError(
                "another process is writing these traces", found=str(path), next_step="wait until it has ended"
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
