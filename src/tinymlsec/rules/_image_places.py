"""What is stored in a firmware image, run by run, with the place of each byte in memory and in the file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from tinymlsec.records import Location

if TYPE_CHECKING:
    from tinymlsec.rules.subjects import ImageFile
    from tinymlsec.target.firmware.image import FirmwareImage

SHORTEST_TEXT = 6
"""Printable characters that count as text."""
_TEXT = re.compile(rb"[\x20-\x7e\t\r\n]{%d,4096}" % SHORTEST_TEXT)


class Stored(NamedTuple):
    """One run of bytes without gaps."""

    address: int
    data: bytes


class Texts:
    """All printable texts of an image, joined by zeros, so that one search goes over all of them.

    Args:
        image: any.
    """

    def __init__(self, image: FirmwareImage) -> None:
        parts: list[bytes] = []
        self._starts: list[int] = []
        self._addresses: list[int] = []
        at = 0
        for address, data in image.stored():
            for match in _TEXT.finditer(data):
                self._starts.append(at)
                self._addresses.append(address + match.start())
                parts.append(match.group())
                at += match.end() - match.start() + 1
        self.joined = b"\0".join(parts)

    def search(self, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, re.Match[bytes]]]:
        """(load address, match) of every place of a pattern that has no zeros in it."""
        for match in pattern.finditer(self.joined):
            yield self.address(match.start()), match

    def address(self, place: int) -> int:
        """Load address of a byte of `joined`."""
        text = bisect_right(self._starts, place) - 1
        return self._addresses[text] + place - self._starts[text]


def stored(file: ImageFile) -> tuple[Stored, ...]:
    """All that a programmer writes to the device, by address."""
    return tuple(Stored(address, data) for address, data in file.image.stored())


def at_address(file: ImageFile, address: int, symbol: str | None = None) -> Location:
    """A place by load address, with the offset in the file where the file is a plain copy of memory.

    Args:
        file: the image.
        address: where the byte is stored, without the Thumb bit.
        symbol: name, where one is known; looked up otherwise.
    """
    offset = next(
        (
            s.offset + address - s.address
            for s in file.image.segments
            if s.offset is not None and s.address <= address < s.end
        ),
        None,
    )
    if symbol is None:
        known = file.image.symbol_at(runtime_address(file, address))
        symbol = known[0] if known else None
    return Location(file_offset=offset, address=address, symbol=symbol[:200] if symbol else None)


def runtime_address(file: ImageFile, address: int) -> int:
    """Where code sees a byte that is stored at a load address."""
    for s in file.image.segments:
        if s.address <= address < s.end:
            return s.virtual_address + address - s.address
    return address
