"""Zarr v3 folders from strangers: their descriptions, and chunks whose size is known before they are unpacked.

Zarr unpacks what a chunk says of itself, which may be any size. So descriptions are read here first, only arrays of a
plain kind are accepted, and the header of every chunk is held against the shape before Zarr sees it.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tinymlsec.traces.files import TraceFileError, size_of

MAX_DESCRIPTION = 1 << 20
MAX_CHUNK = 256 << 20
"""Largest unpacked chunk, in bytes."""
MAX_ROW = 1 << 30
"""Largest row (one trace), in bytes."""
MAX_ACROSS = 4096
"""Most chunks that one row reaches over."""
TYPES = frozenset(f"{kind}{bits}" for kind, widths in (("int", (8, 16, 32, 64)), ("uint", (8, 16, 32, 64)),
                                                       ("float", (16, 32, 64))) for bits in widths)  # fmt: skip
CODECS = ("bytes", "blosc", "zstd", "crc32c")


@dataclass(frozen=True)
class ZarrFolder:
    """An array of a Zarr folder, as it describes itself."""

    path: Path
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    codecs: tuple[str, ...]

    @property
    def chunk_bytes(self) -> int:
        """Of a whole chunk, unpacked; chunks at the edges are whole, too."""
        return math.prod(self.chunk) * self.dtype.itemsize

    def chunk_files(self, first: int, last: int) -> Iterator[Path]:
        """Files that hold the rows from `first` to before `last`."""
        rows = range(first // self.chunk[0], -(-last // self.chunk[0]))
        others = (range(-(-size // part)) for size, part in zip(self.shape[1:], self.chunk[1:], strict=True))
        for place in product(rows, *others):
            yield self.path.joinpath("c", *map(str, place))


def description(path: Path) -> dict[str, Any]:
    """The text zarr.json of a folder.

    Raises:
        TraceFileError: there is none, or it is no description.
    """
    file = path / "zarr.json"
    if not file.exists():
        raise TraceFileError(
            f"{path.name} is no Zarr folder of version 3", found="no zarr.json", expected="zarr.json",
            next_step="write it again with zarr 3: zarr.save_array(path, samples, zarr_format=3)",
        )  # fmt: skip
    if size_of(file) > MAX_DESCRIPTION:
        raise TraceFileError(f"{file} is too long", expected=f"at most {MAX_DESCRIPTION:,} bytes")
    try:
        made = json.loads(file.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise TraceFileError(f"{file} is no JSON", found=str(error)[:200]) from error
    if not isinstance(made, dict) or made.get("zarr_format") != 3:
        raise TraceFileError(f"{file} is no description of Zarr", found=str(made)[:100], expected="zarr_format 3")
    return made


def array_folder(path: Path) -> ZarrFolder:
    """An array that may be opened.

    Raises:
        TraceFileError: another kind of array than a plain one.
    """
    told = description(path)
    try:
        shape, chunk = _numbers(told["shape"]), _numbers(told["chunk_grid"]["configuration"]["chunk_shape"])
        codecs = tuple(str(codec["name"]) for codec in told["codecs"])
        key = told["chunk_key_encoding"]
        plain = (
            told["node_type"] == "array" and told["chunk_grid"]["name"] == "regular" and key["name"] == "default"
            and key.get("configuration", {}).get("separator", "/") == "/" and not told.get("storage_transformers")
        )  # fmt: skip
        kind = str(told["data_type"])
        ordered = all(codec.get("configuration", {}).get("endian", "little") in ("little", "big")
                     for codec in told["codecs"])  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceFileError(f"{path / 'zarr.json'} is incomplete", found=repr(error)[:200]) from error
    if not plain or len(shape) != len(chunk) or not 1 <= len(shape) <= 8 or not ordered:
        raise TraceFileError(
            f"{path.name} is no plain array", found=str(told)[:200], expected="a regular grid of chunks"
        )
    packed = [codec for codec in codecs if codec in ("blosc", "zstd")]
    if kind not in TYPES or codecs[:1] != ("bytes",) or set(codecs) - set(CODECS) or len(packed) > 1 or len(codecs) > 3:
        raise TraceFileError(
            f"{path.name} is stored in a way that is not read", found=f"{kind} by {', '.join(codecs)}"[:200],
            expected=f"numbers by {', '.join(CODECS)}", next_step="write it again with compressors=BloscCodec()",
        )  # fmt: skip
    made = ZarrFolder(path, shape, chunk, np.dtype(kind), codecs)
    if made.chunk_bytes > MAX_CHUNK:
        found = f"{made.chunk_bytes:,} bytes"
        raise TraceFileError(f"chunks of {path.name} are too large", found=found, expected=f"at most {MAX_CHUNK:,}")
    row = math.prod(shape[1:]) * made.dtype.itemsize
    if row > MAX_ROW:
        raise TraceFileError(
            f"rows of {path.name} are too long", found=f"{row:,} bytes", expected=f"at most {MAX_ROW:,}"
        )
    across = math.prod(-(-size // part) for size, part in zip(shape[1:], chunk[1:], strict=True))
    if across > MAX_ACROSS:
        found = f"{across:,} to a row"
        raise TraceFileError(f"chunks of {path.name} are too small", found=found, expected=f"at most {MAX_ACROSS:,}")
    return made


def check_chunk(folder: ZarrFolder, file: Path) -> None:
    """Refuses a chunk that is missing, or that says it unpacks to another size than a chunk has.

    Raises:
        TraceFileError: such a chunk.
    """
    name, whole = f"chunk {file.relative_to(folder.path)} of {folder.path.name}", folder.chunk_bytes
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TraceFileError(f"{name} is not a regular file")
        with file.open("rb") as stream:
            head = stream.read(32)
    except OSError as error:
        raise TraceFileError(
            f"{name} is missing", found=str(error.strerror), expected="every chunk",
            next_step="copy the folder again; traces that are all zero are not left out",
        ) from error  # fmt: skip
    sealed = 4 if "crc32c" in folder.codecs else 0
    stored = status.st_size - sealed
    told = _told(head, folder.codecs, stored)
    if told != whole or stored > whole + whole // 16 + 65_536:
        raise TraceFileError(
            f"{name} is damaged", offset=0,
            found=f"{stored:,} bytes that unpack to {'an unknown size' if told is None else format(told, ',')}",
            expected=f"{whole:,} bytes unpacked", next_step="copy the folder again",
        )  # fmt: skip


def _told(head: bytes, codecs: tuple[str, ...], stored: int) -> int | None:
    """Size that a chunk says it unpacks to."""
    if "blosc" in codecs:
        if len(head) < 16 or int.from_bytes(head[12:16], "little") != stored:
            return None
        return int.from_bytes(head[4:8], "little")
    return _frame_size(head) if "zstd" in codecs else stored


def _frame_size(head: bytes) -> int | None:
    """Content size of a Zstandard frame (RFC 8878, section 3.1.1.1); None where it is not stated."""
    if len(head) < 18 or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    flags = head[4]
    single, width = flags >> 5 & 1, (0, 2, 4, 8)[flags >> 6]
    width = width or single
    begin = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    if not width:
        return None
    return int.from_bytes(head[begin : begin + width], "little") + (256 if width == 2 else 0)


def _numbers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(n) is int and 0 < n < 1 << 48 for n in value):
        raise ValueError(f"no shape: {str(value)[:80]}")
    return tuple(value)
