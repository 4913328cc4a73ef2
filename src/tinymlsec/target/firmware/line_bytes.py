"""Numbers and texts at a place in a section of an ELF file, every one of them bounded."""

from __future__ import annotations

from tinymlsec.target.firmware.limits import MAX_NAME

MAX_LEB = 10
"""Bytes of a variable-length number; ten hold 64 bits. Without a bound, one number could be megabytes long."""


class Damaged(Exception):
    """Debug information that cannot be read; caught where it costs only the lines."""


def fixed(data: bytes, at: int, size: int, end: int) -> int:
    """Little-endian number of `size` bytes that lie before `end`.

    Raises:
        Damaged: they do not.
    """
    if at < 0 or at + size > end:
        raise Damaged("it ends in the middle of a number")
    return int.from_bytes(data[at : at + size], "little")


def uleb(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Unsigned variable-length number and the place behind it.

    Raises:
        Damaged: it does not end before `end`, or is too long.
    """
    value = shift = 0
    for place in range(at, min(at + MAX_LEB, end)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise Damaged("a number does not end")


def sleb(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Signed variable-length number and the place behind it.

    Raises:
        Damaged: it does not end before `end`, or is too long.
    """
    value, after = uleb(data, at, end)
    bits = 7 * (after - at)
    return (value - (1 << bits) if value >> (bits - 1) else value), after


def text_end(data: bytes, at: int, end: int) -> int:
    """Place of the zero that ends a text.

    Raises:
        Damaged: there is none within the longest name.
    """
    stop = data.find(b"\0", at, min(end, at + MAX_NAME + 1)) if 0 <= at <= end else -1
    if stop < 0:
        raise Damaged("a text does not end")
    return stop


def printable(data: bytes) -> str:
    """A name for people; whatever a terminal could take for a command is replaced."""
    text = data.decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
