"""Bounded unpacking of streams with the decompressors of the standard library.

Nothing is unpacked beyond the bound, so a bomb costs what an honest stream of that size costs. What came out before a
damage or a wrong checksum is kept: a hit counts only if a model can be read from it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from tinymlsec.target.firmware.carve.hits import Stream
from tinymlsec.target.firmware.carve.limits import MAX_UNPACKED

_PROBE_IN, _PROBE_OUT = 1 << 12, 256
"""Bytes given to and taken from a decompressor to see whether a stream begins here at all."""
_STEP = 1 << 16
"""Bytes given to a decompressor at once."""
_LZMA_MEMORY = 32 << 20
"""Memory that an xz or lzma stream may ask for."""


class _Decompressor(Protocol):
    """What zlib, bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Bounded:
    """One way to feed the two kinds of decompressors: zlib hands back what it did not take, the others keep it."""

    def __init__(self, decompressor: _Decompressor) -> None:
        self.inner = decompressor

    def feed(self, data: bytes | memoryview, most: int) -> bytes:
        unpacked: bytes = self.inner.decompress(data, most)  # type: ignore[attr-defined]
        return unpacked

    @property
    def hungry(self) -> bool:
        """Whether it can only go on with more input."""
        return bool(getattr(self.inner, "needs_input", True))

    @property
    def left(self) -> bytes:
        return bytes(getattr(self.inner, "unconsumed_tail", b""))


def _zlib(window: int) -> Callable[[], _Decompressor]:
    return lambda: zlib.decompressobj(window)


_MAKERS: dict[str, Callable[[], _Decompressor]] = {
    "zlib": _zlib(15),
    "gzip": _zlib(31),
    "raw-deflate": _zlib(-15),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY),
}
_BAD = (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError, MemoryError)


def begins(kind: str, data: memoryview) -> bool:
    """Whether a stream of a kind begins where `data` does: its first block gives bytes."""
    stream = _Bounded(_MAKERS[kind]())
    try:
        return bool(stream.feed(data[:_PROBE_IN], _PROBE_OUT)) or kind in ("bzip2", "xz", "lzma")
    except _BAD:
        return False


def unpack(kind: str, data: memoryview, at: int, most: int = MAX_UNPACKED) -> Stream:
    """Unpacks a stream.

    Args:
        kind: zlib, gzip, raw-deflate, bzip2, xz or lzma.
        data: with the stream.
        at: where the stream begins.
        most: bytes that are unpacked.
    """
    stream, parts, size, place, whole = _Bounded(_MAKERS[kind]()), [], 0, at, True
    pending: bytes | memoryview = b""
    try:
        while size < most and not stream.inner.eof:
            if not pending and stream.hungry:
                if place >= len(data):
                    whole = False
                    break
                pending, place = data[place : place + _STEP], place + _STEP
            part = stream.feed(pending, most - size)
            pending = stream.left
            parts.append(part)
            size += len(part)
    except _BAD:
        whole = False
    whole = whole and stream.inner.eof
    stored = min(place, len(data)) - at - len(stream.inner.unused_data) if whole else 0
    return Stream(kind, at, stored, b"".join(parts), whole)
