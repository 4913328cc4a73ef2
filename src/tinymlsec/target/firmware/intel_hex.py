"""Intel HEX files.

Source: Intel Hexadecimal Object File Format Specification, revision A (1988). Records 00 to 05.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn

from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.image import FirmwareImage
from tinymlsec.target.firmware.limits import MAX_RECORDS, MAX_TEXT_BYTES
from tinymlsec.target.firmware.line_bytes import printable
from tinymlsec.target.firmware.pieces import Pieces
from tinymlsec.target.firmware.vectors import vector_table

_START = re.compile(rb"(\xef\xbb\xbf)?\s{0,64}:[0-9A-Fa-f]{8}")
_LINE = re.compile(rb"[^\r\n]+")
_LENGTHS = {1: 0, 2: 2, 3: 4, 4: 2, 5: 4}
"""Bytes of data in a record by its type; any for type 0."""
_END = b"\x00\x1a \t"
"""What may stand behind a record: padding, and the end mark of old systems."""


def looks_like_hex(data: bytes) -> bool:
    """True where a file begins as Intel HEX does."""
    return _START.match(data[:128]) is not None


@dataclass
class _State:
    base: int = 0
    segmented: bool = False
    """The base came from record 02: addresses wrap within 64 KiB."""
    entry: int | None = None
    ended: bool = False
    pieces: Pieces = field(default_factory=lambda: Pieces("record", "line"))


def read_hex(data: bytes, machine: str | None = None) -> FirmwareImage:
    """Image of an Intel HEX file.

    Args:
        data: the whole file.
        machine: what the firmware is for; None: Arm where a vector table is found.

    Raises:
        FirmwareError: a record is damaged, data overlaps, or the end is missing; the error says in which line.
    """
    if len(data) > MAX_TEXT_BYTES:
        expected = f"at most {MAX_TEXT_BYTES:,} bytes"
        damaged("the HEX file is too large", None, found=f"{len(data):,} bytes", expected=expected)
    state = _State()
    number = scanned = 0
    for count, match in enumerate(_LINE.finditer(data)):
        if count >= MAX_RECORDS:
            expected = f"at most {MAX_RECORDS:,} lines"
            damaged("the HEX file is too long", match.start(), found=f"more than {MAX_RECORDS:,}", expected=expected)
        number += _breaks(data, scanned, match.start())
        scanned = match.start()
        _line(state, match.group(), number + 1, scanned)
    if not state.ended:
        damaged("the HEX file is truncated", len(data), found="no end record", expected="a last line :00000001FF")
    segments = state.pieces.segments()
    vectors = vector_table(segments) if machine in (None, "arm") else None
    found = "arm" if vectors is not None and vectors.plausible else ""
    entry = vectors.reset if vectors is not None and state.entry is None else state.entry
    return FirmwareImage("hex", machine or found, entry, segments, vectors=vectors)


def _breaks(data: bytes, start: int, end: int) -> int:
    """Line breaks between two places, of any system (CR LF counts once)."""
    lf, cr, both = (data.count(mark, start, end) for mark in (b"\n", b"\r", b"\r\n"))
    return lf + cr - both


def _line(state: _State, text: bytes, number: int, offset: int) -> None:
    body = text.strip(_END)
    body = body.removeprefix(b"\xef\xbb\xbf") if number == 1 else body
    if not body:
        return
    if state.ended:
        _refuse("there is more behind the end record", number, offset, body, "nothing, or one image per file")
    if body[:1] != b":":
        _refuse("a line is no record", number, offset, body, "a colon and hexadecimal digits")
    try:
        record = bytes.fromhex(body[1:].decode("ascii"))
    except ValueError:
        _refuse("a record has other characters than hexadecimal digits, or an odd number", number, offset, body)
    if len(record) < 5 or len(record) != record[0] + 5:
        found = f"{max(len(record) - 5, 0)} bytes of data"
        expected = f"{record[0] if record else 0} as its first byte says"
        _refuse("a record has the wrong length", number, offset, body, expected, found)
    if sum(record) % 256:
        right = (record[-1] - sum(record)) % 256
        _refuse("a checksum is wrong", number, offset, body, f"{right:02X}", f"{record[-1]:02X}")
    _record(state, record, number, offset)


def _record(state: _State, record: bytes, number: int, offset: int) -> None:
    kind, address, data = record[3], record[1] << 8 | record[2], record[4:-1]
    if kind > 5:
        _refuse("the type of a record is not known", number, offset, b"", "00 to 05", f"{kind:02X}")
    if kind and len(data) != _LENGTHS[kind]:
        expected = f"{_LENGTHS[kind]} in a record of type {kind:02X}"
        _refuse("a record has the wrong length", number, offset, b"", expected, f"{len(data)} bytes of data")
    if kind == 0 and data:
        if state.segmented and address + len(data) > 0x10000:
            _refuse("a record wraps around in its segment", number, offset, b"", "an end of at most 0x10000")
        state.pieces.add(state.base + address, data, offset, number)
    elif kind == 1:
        state.ended = True
    elif kind in (2, 4):
        state.segmented = kind == 2
        state.base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
    elif kind == 5:
        state.entry = int.from_bytes(data, "big") & ~1
    # Type 03 is the start address (CS:IP) of an 8086: read, checked, and of no use here.


def _refuse(
    message: str, number: int, offset: int, body: bytes, expected: str | None = None, found: str = ""
) -> NoReturn:
    shown = found or printable(body[:40]) or "a longer one"
    damaged(f"line {number}: {message}", offset, found=shown, expected=expected)
