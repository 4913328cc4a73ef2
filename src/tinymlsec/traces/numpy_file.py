"""Traces in NumPy files: .npy, and .npz with `samples` and what belongs to them. Pickles are never opened.

    np.save("scope.npy", samples)                                    (n, t); inputs from a file of their own
    np.savez("scope.npz", samples=samples, inputs=inputs, pc=pc, model_digest="...")

What lies in the file as it is in memory is mapped and never read as a whole: .npy always, members of an .npz that are
stored (`savez`), not those that are compressed.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import DataError
from tinymlsec.target.npz import MAX_MEMBERS, read_array, read_header
from tinymlsec.traces.files import FileTraces, TraceFileError, check_shape, mapped, measured, size_of, wrapped

MAX_UNPACKED = 2 << 30
"""Largest array that is unpacked into memory."""
_SAMPLES, _INPUTS = ("samples", "traces"), ("inputs", "textin")


def open_npy(path: Path, inputs: Path | None = None) -> FileTraces:
    """Traces of an .npy file.

    Args:
        path: (n, t) samples.
        inputs: an .npy of (n, ...) bytes; None: not known.

    Raises:
        TraceFileError: not such files, truncated, of another type or number.
    """
    data, at = map_npy(path)
    check_shape(data.shape, data.dtype, path.name)
    return FileTraces(
        measured(path, "NumPy"), data, None if inputs is None else map_npy(inputs)[0], offset=_place(data, at)
    )


def open_npz(path: Path) -> FileTraces:
    """Traces of an .npz file with `samples` (or `traces`), and optionally `inputs` (or `textin`), `pc`, `basis`,
    `window`, `core`, `model_digest`, `firmware_digest` and `sampling_hz`.

    Raises:
        TraceFileError: not such a file, truncated, arrays of another type or number, or too large to unpack.
    """
    size = size_of(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
            if len(found) > MAX_MEMBERS:
                raise TraceFileError(f"{path.name} holds too many arrays", found=f"{len(found)}", expected="at most 64")
            members = {info.filename.removesuffix(".npy"): info for info in found}
            name = next((n for n in _SAMPLES if n in members), None)
            if name is None:
                raise TraceFileError(
                    f"{path.name} holds no samples", found=", ".join(sorted(members))[:200] or "nothing",
                    expected="an array called samples", next_step="np.savez(NAME, samples=..., inputs=...)",
                )  # fmt: skip
            data, at = _member(path, archive, members[name], size)
            check_shape(data.shape, data.dtype, path.name)
            inputs = next((_member(path, archive, members[n], size)[0] for n in _INPUTS if n in members), None)
            pc = _member(path, archive, members["pc"], size)[0] if "pc" in members else np.zeros(0, np.uint32)
            facts = {n: _fact(path, archive, members[n], n) for n in sorted(_FACTS & members.keys())}
    except (TraceFileError, MemoryError):
        raise
    except DataError as error:
        raise wrapped(path, error, "store plain arrays with np.savez, which need not be unpacked") from error
    except Exception as error:  # zipfile and its codecs raise a dozen unrelated types on damaged archives
        raise TraceFileError(
            f"{path.name} cannot be read as .npz", found=(str(error) or type(error).__name__)[:200],
            expected="a file made by numpy.savez", next_step="np.savez(NAME, samples=..., inputs=...)",
        ) from error  # fmt: skip
    if pc.ndim != 1 or pc.dtype.kind not in "iu":
        raise TraceFileError(f"pc of {path.name}", found=f"{pc.dtype} {pc.shape}", expected="one address a sample")
    place = None if at is None else _place(data, at)
    return FileTraces(measured(path, "NumPy", **facts), data, inputs, pc.astype(np.uint32), place)


_FACTS = {"basis", "window", "core", "model_digest", "firmware_digest", "sampling_hz"}


def map_npy(path: Path) -> tuple[NDArray[Any], int]:
    """The array of an .npy file where it lies, and its offset.

    Raises:
        TraceFileError: not such a file, truncated, or holding Python objects.
    """
    size_of(path)
    with path.open("rb") as stream:
        return _mapped(path, stream, 0)


def _mapped(path: Path, stream: Any, begin: int) -> tuple[NDArray[Any], int]:
    """An array whose header stands at `begin`."""
    stream.seek(begin)
    try:
        shape, fortran, dtype = read_header(stream, path.name)
    except DataError as error:
        raise TraceFileError(
            f"{path.name} is no array of NumPy", offset=begin, found=error.found, expected="a file made by numpy.save"
        ) from error
    at = stream.tell()
    if dtype.hasobject:
        raise TraceFileError(
            f"{path.name} holds Python objects (a pickle)", offset=begin, found=f"type {dtype}", expected="numbers",
            next_step="store plain arrays; pickles run code when they are read and are never opened",
        )  # fmt: skip
    if dtype.kind not in "biuf" or any(d < 1 for d in shape) or not 1 <= len(shape) <= 16:
        raise TraceFileError(
            f"{path.name} holds no traces", offset=begin, found=f"type {str(dtype)[:60]}, shape {str(shape)[:100]}",
            expected="integers or real numbers, not empty",
        )  # fmt: skip
    array = mapped(path, dtype, shape[::-1] if fortran else shape, offset=at)
    return (array.T if fortran else array), at


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> tuple[NDArray[Any], int | None]:
    """An array of an archive: mapped where it is stored, otherwise unpacked within the limit."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        with archive.open(info) as stream:
            return read_array(stream, info.filename[:60], MAX_UNPACKED), None
    with path.open("rb") as raw:
        raw.seek(info.header_offset)
        local = raw.read(30)
        begin = (
            info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        )
        if len(local) < 30 or local[:4] != b"PK\x03\x04" or begin + info.file_size > size:
            raise TraceFileError(
                f"{path.name} is damaged", offset=info.header_offset, found="no member where one is named"
            )
        array, at = _mapped(path, raw, begin)
    if at + array.nbytes > begin + info.file_size:
        raise TraceFileError(
            f"array {info.filename[:60]} of {path.name} is truncated", offset=begin + info.file_size,
            found=f"{info.file_size:,} bytes", expected=f"{at - begin + array.nbytes:,} bytes",
        )  # fmt: skip
    return array, at


def _fact(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> str | float:
    with archive.open(info) as stream:
        array = read_array(stream, name, 4096)
    if array.size != 1 or (array.dtype.kind not in "iuf" if name == "sampling_hz" else array.dtype.kind != "U"):
        expected = "a number" if name == "sampling_hz" else "a text"
        raise TraceFileError(f"{name} of {path.name}", found=f"{array.dtype} {array.shape}", expected=expected)
    value: str | float = array.reshape(-1)[0].item()
    return value


def _place(data: NDArray[Any], at: int) -> Any:
    """(trace, sample) -> offset."""
    rows, columns = data.strides

    def place(trace: int, sample: int) -> int:
        return int(at + trace * rows + sample * columns)

    return place
