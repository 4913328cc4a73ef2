"""Bytes that look like a program, an archive or text, where weights should be. Every signature is checked further."""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

MAX_PER_KIND = 64
"""Places of one signature that are looked at."""
LEAST_TEXT = 48
"""Characters of the shortest run that counts as text."""
LEAST_CODED = 64
"""Characters of the shortest run of base64 or hexadecimal digits that counts."""
_WORD = re.compile(rb"[A-Za-z]{3,}")
_CODED = re.compile(rb"[A-Za-z0-9+/]{%d,}={0,2}" % LEAST_CODED)


@dataclass(frozen=True)
class Payload:
    """Something found."""

    offset: int
    what: str


def _elf(data: bytes) -> bool:
    return data[4:5] in (b"\1", b"\2") and data[5:6] in (b"\1", b"\2") and data[6:7] == b"\1"


def _windows(data: bytes) -> bool:
    place = int.from_bytes(data[0x3C:0x40], "little")
    return 0x40 <= place < 4096 and data[place : place + 4] == b"PE\0\0"


def _zip(data: bytes) -> bool:
    version, method, length = (int.from_bytes(data[at : at + 2], "little") for at in (4, 8, 26))
    name = data[30 : 30 + length]
    return version <= 63 and method in (0, 8, 9, 12, 14, 93, 95, 99) and 0 < length < 256 and name.isascii()


def _gzip(data: bytes) -> bool:
    if len(data) < 20 or data[3] & 0xE0:
        return False
    unpacker = zlib.decompressobj(31)
    try:
        unpacker.decompress(data[:512], 1 << 16)
    except zlib.error:
        return False
    return unpacker.eof or len(data) >= 512


def _pickle(data: bytes) -> bool:
    frame = int.from_bytes(data[3:11], "little")
    return data[1:2] in (b"\4", b"\5") and data[2:3] == b"\x95" and 4 <= frame < 1 << 32


def _script(data: bytes) -> bool:
    return re.match(rb"#! ?/(?:usr/|bin/|system/|opt/)[a-z/]{2,30}", data) is not None


def _any(data: bytes) -> bool:
    return True


_Check = Callable[[bytes], bool]
SIGNATURES: tuple[tuple[bytes, str, _Check], ...] = (
    (b"\x7fELF", "an ELF program", _elf),
    (b"MZ", "a Windows program", _windows),
    (b"PK\x03\x04", "a zip archive", _zip),
    (b"\x1f\x8b\x08", "a gzip stream", _gzip),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _any),
    (b"\xfd7zXZ\x00", "an xz archive", _any),
    (b"Rar!\x1a\x07", "a RAR archive", _any),
    (b"\xcf\xfa\xed\xfe\x07\x00\x00\x01", "a macOS program", _any),
    (b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01", "a macOS program", _any),
    (b"dex\n03", "an Android program", _any),
    (b"\x00asm\x01\x00\x00\x00", "a WebAssembly program", _any),
    (b"\x80\x04\x95", "a Python pickle", _pickle),
    (b"\x80\x05\x95", "a Python pickle", _pickle),
    (b"%PDF-1.", "a PDF document", _any),
    (b"#!", "a script", _script),
    (b"<?php ", "a PHP script", _any),
)
"""(first bytes, what it is, further check on the bytes from there). With its check each matches uniformly random bytes
less than once in 2^40 places; the weakest are zip and pickle."""


def _hot() -> NDArray[np.bool_]:
    """Which pairs of bytes begin a signature, by their little-endian number."""
    table = np.zeros(1 << 16, bool)
    table[[_pair(magic) for magic, _, _ in SIGNATURES]] = True
    return table


def _pair(magic: bytes) -> int:
    return int.from_bytes(magic[:2], "little")


_HOT = _hot()


def programs(data: bytes) -> Iterator[Payload]:
    """Programs, scripts and archives that begin anywhere in the data."""
    raw = np.frombuffer(data, np.uint8)
    starts, pairs = _candidates(raw)
    for magic, what, check in SIGNATURES if starts.size else ():
        places = starts[(pairs == _pair(magic)) & (starts <= raw.size - len(magic))]
        for further in range(2, len(magic)):
            places = places[raw[places + further] == magic[further]]
        for place in places[:MAX_PER_KIND].tolist():
            if check(data[place : place + 8192]):
                yield Payload(place, what)


def in_parts(parts: Sequence[bytes], search: Callable[[bytes], Iterable[Payload]]) -> Iterator[tuple[int, Payload]]:
    """(number of the part, what was found there) over many parts in one search, which is quicker than many searches.

    Args:
        parts: any bytes.
        search: `programs`, `texts`, or one with more arguments filled in.
    """
    starts = [0, *accumulate(len(part) + 1 for part in parts)]
    for found in search(b"\0".join(parts)):
        number = bisect_right(starts, found.offset) - 1
        yield number, Payload(found.offset - starts[number], found.what)


def _candidates(raw: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """(places, pairs of bytes there) where a signature may begin: one look-up for each place."""
    places, pairs = [], []
    for shift in (0, 1):
        words = raw[shift : shift + (raw.size - shift) // 2 * 2].view("<u2")
        hot = np.flatnonzero(_HOT[words])
        places.append(2 * hot + shift)
        pairs.append(words[hot])
    order = np.argsort(found := np.concatenate(places))
    return found[order], np.concatenate(pairs)[order]


def texts(data: bytes, least: int = LEAST_TEXT) -> Iterator[Payload]:
    """Runs of text, base64 or hexadecimal digits.

    A run of printable characters, tabs and line ends counts as text when at least 5 % of it are blanks or line ends and
    it has four words of three letters; as coded when it has only digits of base64, at least eight different ones, and
    both letters and digits. Uniformly random bytes have a run of 48 printable characters at fewer than 1 in 10^19
    places; weights that are all printable (unsigned ones around 100) have no blanks.
    """
    for start, end in zip(*(edges.tolist() for edges in _runs(data, least)), strict=True):
        run = data[start:end]
        blanks = sum(run.count(blank) for blank in (b" ", b"\n", b"\t"))
        if blanks * 20 >= len(run) and len(_WORD.findall(run)) >= 4:
            yield Payload(start, f"text: {_shown(run)}")
            continue
        coded = _CODED.search(run)
        if coded and len(set(coded.group())) >= 8 and re.search(rb"\d", coded.group()) and _WORD.search(coded.group()):
            yield Payload(start + coded.start(), f"{len(coded.group())} digits of base64 or hexadecimal")


def _shown(run: bytes) -> str:
    return f"{run[:60].decode('ascii', 'replace')!r} ({len(run)} characters)"


def _runs(data: bytes, least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    raw = np.frombuffer(data, np.uint8)
    flags = np.zeros(raw.size + 2, np.int8)
    flags[1:-1] = ((raw - np.uint8(0x20)) < 0x5F) | (raw == 9) | (raw == 10) | (raw == 13)
    edges = np.flatnonzero(flags[1:] != flags[:-1])
    starts, ends = edges[::2], edges[1::2]
    enough = ends - starts >= least
    return starts[enough], ends[enough]
