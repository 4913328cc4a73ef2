"""The header of Riscure Inspector's .trs files: tags with lengths, up to the trace block.

The format is the one that Riscure published with its libraries ("trsfile" for Python and Java; Inspector manual, "Trace
set coding"): tag, length, value; lengths of 128 and more as 0x80 + number of bytes, then the bytes, little end first.
Every length is held against the size of the file before it is followed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tinymlsec.traces.files import TraceFileError

MAX_HEADER = 1 << 24
"""Longest header that is followed; trace set parameters can make it long, but not that long."""
MAX_TAGS = 4096
MAX_TEXT = 1 << 16
TRACES, SAMPLES, CODING, DATA, TITLE, DESCRIPTION, SCALE_X, VERSION, BLOCK = (
    0x41, 0x42, 0x43, 0x44, 0x45, 0x47, 0x4B, 0x4F, 0x5F,
)  # fmt: skip
INPUT_OFFSET, INPUT_LENGTH, SET_PARAMETERS, DEFINITIONS = 0x6B, 0x6E, 0x76, 0x77
CODINGS = {0x01: "<i1", 0x02: "<i2", 0x04: "<i4", 0x14: "<f4"}
"""Sample coding: bits 0 to 3 bytes, bit 4 real numbers."""
_WIDTHS = {0x01: 1, 0x02: 2, 0x04: 4, 0x14: 4, 0x08: 8, 0x18: 8, 0x20: 1, 0x31: 1}
"""Bytes of an element of a parameter, by its type: byte, short, int, float, long, double, text, truth."""


@dataclass
class TrsHeader:
    """What the header says."""

    traces: int
    samples: int
    dtype: str
    """As NumPy calls it."""
    data: int = 0
    """Bytes of data with each trace."""
    title: int = 0
    """Bytes of title with each trace."""
    begin: int = 0
    """Offset of the first trace."""
    version: int = 1
    description: str = ""
    scale_x: float = 0.0
    """Seconds a sample; 0: not said."""
    input: tuple[int, int] | None = None
    """(first byte, bytes) of the input within the data; None: not said."""

    @property
    def step(self) -> int:
        """Bytes from trace to trace."""
        return self.title + self.data + self.samples * int(self.dtype[2])


def read_header(path: Path, stream: IO[bytes], size: int) -> TrsHeader:
    """Reads and checks a header.

    Args:
        path: for messages.
        stream: the file, at its beginning.
        size: of the file.

    Raises:
        TraceFileError: not such a header, truncated, or numbers that cannot be.
    """
    values = _tags(path, stream, size)
    made = TrsHeader(
        _number(path, values, TRACES, "number of traces", 1), _number(path, values, SAMPLES, "samples of a trace", 1),
        _coding(path, values), _number(path, values, DATA, "data of a trace", 0, 0),
        _number(path, values, TITLE, "title of a trace", 0, 0), stream.tell(),
        _number(path, values, VERSION, "version", 0, 1),
    )  # fmt: skip
    if DESCRIPTION in values:
        made.description = values[DESCRIPTION][1][:1000].decode("utf-8", "replace")
    if SCALE_X in values and len(values[SCALE_X][1]) == 4:
        scale = struct.unpack("<f", values[SCALE_X][1])[0]
        made.scale_x = scale if math.isfinite(scale) and 0 < scale < 1 else 0.0
    made.input = _input(path, values, made)
    return made


def _tags(path: Path, stream: IO[bytes], size: int) -> dict[int, tuple[int, bytes]]:
    """Offset and value of each tag up to the trace block."""
    values: dict[int, tuple[int, bytes]] = {}
    for _ in range(MAX_TAGS):
        at = stream.tell()
        tag, length = _tag(path, stream)
        begin = stream.tell()
        if begin + length > min(size, MAX_HEADER):
            raise TraceFileError(
                f"{path.name}: tag 0x{tag:02x} reaches beyond the {'file' if size < MAX_HEADER else 'header'}",
                offset=at, found=f"{length:,} bytes", expected=f"at most {max(0, min(size, MAX_HEADER) - begin):,}",
                next_step="copy the file again",
            )  # fmt: skip
        if tag == BLOCK:
            stream.seek(length, 1)
            return values
        values[tag] = (begin, stream.read(length))
    raise TraceFileError(
        f"{path.name} has no end of its header", found=f"{MAX_TAGS} tags", expected="a trace block (0x5f)"
    )


def _tag(path: Path, stream: IO[bytes]) -> tuple[int, int]:
    at, head = stream.tell(), stream.read(2)
    if len(head) < 2:
        raise TraceFileError(
            f"{path.name} ends within its header", offset=at, found="the end of the file",
            expected="a trace block (0x5f)", next_step="copy the file again",
        )  # fmt: skip
    if at == 0 and not 0x41 <= head[0] <= 0x77:
        raise TraceFileError(
            f"{path.name} is no .trs file", offset=0, found=f"0x{head[0]:02x}", expected="a tag 0x41 to 0x77"
        )
    if head[1] < 0x80:
        return head[0], head[1]
    count = head[1] & 0x7F
    raw = stream.read(count) if count <= 8 else b""
    if count > 8 or len(raw) < count:
        raise TraceFileError(
            f"{path.name}: length of tag 0x{head[0]:02x}", offset=at, found=f"{count} bytes", expected="1 to 8"
        )
    return head[0], int.from_bytes(raw, "little")


def _number(
    path: Path, values: dict[int, tuple[int, bytes]], tag: int, what: str, least: int, default: int | None = None
) -> int:
    if tag not in values or not values[tag][1]:
        if default is None:
            raise TraceFileError(f"{path.name} does not say its {what}", found=f"no tag 0x{tag:02x}")
        return default
    at, raw = values[tag]
    value = int.from_bytes(raw, "little", signed=len(raw) >= 4)
    if len(raw) > 8 or value < least:
        raise TraceFileError(f"{path.name}: {what}", offset=at, found=str(value), expected=f"{least} or more")
    return value


def _coding(path: Path, values: dict[int, tuple[int, bytes]]) -> str:
    at, raw = values.get(CODING, (None, b"\x01"))
    if len(raw) != 1 or raw[0] not in CODINGS:
        expected = ", ".join(f"0x{code:02x}" for code in CODINGS)
        raise TraceFileError(
            f"{path.name}: unknown sample coding", offset=at, found=f"0x{raw.hex()[:8]}", expected=expected
        )
    return CODINGS[raw[0]]


def _input(path: Path, values: dict[int, tuple[int, bytes]], header: TrsHeader) -> tuple[int, int] | None:
    """Where the input lies: by the definition of INPUT (version 2), else by offset and length (version 1)."""
    place, by = None, INPUT_LENGTH
    if header.version > 1 and DEFINITIONS in values:
        place, by = _definition(path, *values[DEFINITIONS]), DEFINITIONS
    if place is None and INPUT_LENGTH in values:
        length, by = _number(path, values, INPUT_LENGTH, "length of the input", 0, 0), INPUT_LENGTH
        place = (_number(path, values, INPUT_OFFSET, "offset of the input", 0, 0), length) if length else None
    if place is not None and place[0] + place[1] > header.data:
        at = values[by][0]
        raise TraceFileError(
            f"{path.name}: the input reaches beyond the data of a trace", offset=at,
            found=f"bytes {place[0]} to {place[0] + place[1]}", expected=f"within {header.data}",
        )  # fmt: skip
    return place


def _definition(path: Path, at: int, raw: bytes) -> tuple[int, int] | None:
    """Place of the trace parameter INPUT: entries of name, type, number of elements, and offset (two bytes each)."""
    cursor = 2
    for _ in range(int.from_bytes(raw[:2], "little")):
        name_length = int.from_bytes(raw[cursor : cursor + 2], "little")
        end = cursor + 2 + name_length
        if end + 5 > len(raw):
            raise TraceFileError(
                f"{path.name}: definitions of trace parameters end early", offset=at + cursor,
                found=f"{len(raw)} bytes", expected=f"{end + 5} or more",
            )  # fmt: skip
        kind, count, offset = struct.unpack_from("<BHH", raw, end)
        if kind not in _WIDTHS:
            raise TraceFileError(f"{path.name}: type of a trace parameter", offset=at + end, found=f"0x{kind:02x}")
        if raw[cursor + 2 : end].upper() == b"INPUT":
            return offset, count * _WIDTHS[kind]
        cursor = end + 5
    return None
