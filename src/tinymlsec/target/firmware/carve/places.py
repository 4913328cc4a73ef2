"""Where in its file a byte of an image lies: the way back from addresses to offsets, for every kind of file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware import uf2_layout
from tinymlsec.target.firmware.image import FirmwareImage
from tinymlsec.target.firmware.limits import MAX_RECORDS

_RECORD = re.compile(rb":([0-9A-Fa-f]{2})([0-9A-Fa-f]{4})(00|02|04)([0-9A-Fa-f]{4})?")
_UF2_HEADER = 32
Piece = tuple[int, int, int]
"""(address, bytes, file offset)"""


class Places:
    """File offsets by address. Worked out when first asked, since most images are asked nothing.

    Args:
        data: the file.
        image: what was read from it.
    """

    def __init__(self, data: bytes, image: FirmwareImage) -> None:
        self._data, self._image = data, image
        self._pieces: NDArray[np.int64] | None = None
        self._width = 2 if image.kind == "hex" else 1
        """Bytes of the file for a byte of memory."""

    def offset(self, address: int) -> int | None:
        """Of the byte that is stored for a load address; None where the file has none (erased flash)."""
        if self._pieces is None:
            pieces = np.array(sorted(self._list()), np.int64).reshape(-1, 3)
            self._pieces = pieces
        place = bisect_right(self._pieces[:, 0], address) - 1
        if place < 0:
            return None
        start, size, offset = self._pieces[place].tolist()
        return offset + (address - start) * self._width if address < start + size else None

    def _list(self) -> Iterator[Piece]:
        if self._image.kind == "hex":
            return self._hex()
        return self._uf2() if self._image.kind == "uf2" else self._plain()

    def _plain(self) -> Iterator[Piece]:
        for segment in self._image.segments:
            if segment.offset is not None and segment.data:
                yield segment.address, len(segment.data), segment.offset

    def _uf2(self) -> Iterator[Piece]:
        blocks = np.frombuffer(self._data, uf2_layout.BLOCK, len(self._data) // uf2_layout.BLOCK_SIZE)
        for index in np.flatnonzero((blocks["flags"] & uf2_layout.NOT_FLASH) == 0).tolist():
            block = blocks[index]
            offset = index * uf2_layout.BLOCK_SIZE + _UF2_HEADER
            yield int(block["address"]), int(block["payload"]), offset

    def _hex(self) -> Iterator[Piece]:
        base = 0
        for count, record in enumerate(_RECORD.finditer(self._data)):
            if count >= MAX_RECORDS:
                return
            size, address, kind, value = record.groups()
            if kind != b"00":
                base = int(value or b"0", 16) << (4 if kind == b"02" else 16)
            elif size != b"00":
                yield base + int(address, 16), int(size, 16), record.start() + 9
