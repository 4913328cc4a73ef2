"""Bounded reading of .npz files: sizes are checked before memory is taken, and pickles are refused."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tinymlsec.errors import DataError

MAX_ARRAY_BYTES = 512 * 2**20
"""Largest single array that is read."""
MAX_TOTAL_BYTES = 768 * 2**20
"""Largest sum of the arrays that are read."""
MAX_MEMBERS = 64
MAX_HEADER_BYTES = 10_000
"""Longest array header that is parsed; NumPy writes about a hundred bytes."""
MAX_DIMENSIONS = 16


def read_npz(path: Path, names: frozenset[str]) -> Mapping[str, NDArray[np.generic]]:
    """Read the named arrays of an .npz file; unknown members are left alone.

    Args:
        path: the file.
        names: members that may be read, without ``.npy``.

    Raises:
        DataError: not an .npz, too large, truncated, or holding Python objects (a pickle).
    """
    if not path.exists():
        raise DataError("the data file does not exist", found=str(path), next_step="check the path given to --data")
    if not path.is_file():
        raise DataError("the data path is not a file", found=str(path), expected="an .npz file with x and y")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()[: MAX_MEMBERS + 1]}
            if len(members) > MAX_MEMBERS:
                raise DataError("the data file holds too many arrays", expected=f"at most {MAX_MEMBERS}")
            budget = MAX_TOTAL_BYTES
            arrays: dict[str, NDArray[np.generic]] = {}
            for name in sorted(names & members.keys()):
                with archive.open(members[name]) as stream:
                    arrays[name] = read_array(stream, name, min(budget, MAX_ARRAY_BYTES))
                budget -= arrays[name].nbytes
            return arrays
    except DataError:
        raise
    except Exception as error:  # zipfile and its codecs raise a dozen unrelated types on damaged archives
        raise DataError(
            "the data file cannot be read as .npz",
            found=f"{path}: {str(error) or type(error).__name__}",
            expected="a file made by numpy.savez",
            next_step="np.savez('samples.npz', x=x, y=y)",
        ) from error


def read_array(stream: IO[bytes], name: str, limit: int) -> NDArray[np.generic]:
    """One array of at most `limit` bytes, as `numpy.save` writes it.

    Raises:
        DataError: too large, truncated, damaged, or holding Python objects.
    """
    shape, fortran, dtype = read_header(stream, name)
    if dtype.hasobject:
        raise DataError(
            f"array {name} holds Python objects (a pickle)",
            found=f"dtype {dtype}",
            expected="numbers, or fixed-width text for class names",
            next_step="store plain arrays; pickles run code when they are read and are never opened",
        )
    # A negative size would read to the end of a stream that may unpack to any length.
    if dtype.itemsize == 0 or dtype.subdtype or len(shape) > MAX_DIMENSIONS or any(d < 0 for d in shape):
        raise DataError(
            f"array {name} of the data file is damaged",
            found=f"shape {str(shape)[:100]}, dtype {str(dtype)[:60]}",
            expected=f"at most {MAX_DIMENSIONS} dimensions, none negative, of plain values",
        )
    size = dtype.itemsize * math.prod(shape)
    if size > limit or max(shape, default=0) > limit:
        raise DataError(
            f"array {name} is too large",
            found=f"{size:,} bytes" if size > limit else f"shape {shape}",
            expected=f"at most {limit:,} bytes",
            next_step="give fewer samples; 1,000 are used at most for most attacks",
        )
    raw = stream.read(size)
    if len(raw) != size:
        raise DataError(f"array {name} is truncated", found=f"{len(raw):,} bytes", expected=f"{size:,} bytes")
    array = np.frombuffer(raw, dtype=dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array; no more than the longest header is unpacked.

    Raises:
        DataError: not such a header.
    """
    try:
        version = npy.read_magic(stream)
        field = stream.read(2 if version == (1, 0) else 4)
        length = int.from_bytes(field, "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"its header has {length:,} bytes")
        header = io.BytesIO(field + stream.read(length))
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(header)
        return tuple(int(dimension) for dimension in shape), fortran, dtype
    except Exception as error:  # NumPy's parser lets errors of tokenize and ast through
        found = (str(error) or type(error).__name__)[:200]
        raise DataError(f"array {name} of the data file is damaged", found=found) from error
