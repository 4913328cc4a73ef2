"""From runs of data at addresses, as HEX and UF2 files hold them, to segments.

A hostile file has a million runs of one byte, so they are kept as columns of numbers and looked at all at once.
"""

from __future__ import annotations

from array import array
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.image import Segment
from tinymlsec.target.firmware.limits import ADDRESS_SPACE, MAX_MEMORY, MAX_PIECES
from tinymlsec.target.firmware.ranges import check_total, first_overlap, words_of

_NEXT_STEP = "make the file from one image; merged files must not share addresses"


class Pieces:
    """Bytes of all records or blocks of a file.

    Args:
        what: name of one piece in errors, such as record.
        unit: what pieces are counted by in the file, such as line.
    """

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self.data = bytearray()
        self._columns = (array("I"), array("I"), array("I"), array("I"))

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, address: int, data: bytes, offset: int, number: int) -> None:
        """Appends one piece.

        Args:
            address: of its first byte.
            data: at least one byte.
            offset: in the file.
            number: counted in `unit`.

        Raises:
            FirmwareError: all data together is more than a microcontroller has.
        """
        for column, value in zip(self._columns, (address, len(data), offset, number), strict=True):
            column.append(value)
        self.data += data
        if len(self.data) > MAX_MEMORY:
            check_total(len(self.data), offset)

    def segments(self) -> tuple[Segment, ...]:
        """Segments in order of address; neighbors become one, gaps stay gaps.

        Raises:
            FirmwareError: there is no data, two pieces overlap, one wraps around, or they are too many.
        """
        if not len(self):
            damaged("the file holds no data", None, found=f"no {self.what} with data", expected="firmware")
        starts, sizes, offsets, numbers = (np.frombuffer(each, np.uint32).astype(np.int64) for each in self._columns)
        self._check(starts, sizes, offsets, numbers)
        places = np.cumsum(sizes) - sizes
        order = np.argsort(starts, kind="stable")
        firsts = np.flatnonzero(np.append(True, starts[order][1:] != (starts + sizes)[order][:-1]))
        if len(firsts) > MAX_PIECES:
            damaged(
                "the data is in too many pieces", None, found=f"{len(firsts):,}", expected=f"at most {MAX_PIECES:,}"
            )
        bounds = [*firsts.tolist(), len(order)]
        runs = (order[a:b] for a, b in pairwise(bounds))
        return tuple(self._segment(int(starts[run[0]]), places[run], sizes[run]) for run in runs)

    def _check(self, *columns: NDArray[np.int64]) -> None:
        starts, sizes, offsets, numbers = columns
        if len(bad := np.flatnonzero(starts + sizes > ADDRESS_SPACE)):
            found = f"0x{int(starts[bad[0]]):08x} and 0x{int(sizes[bad[0]]):x} bytes"
            message = f"a {self.what} ends behind the last address"
            damaged(message, int(offsets[bad[0]]), found=found, expected="an end of at most 2^32")
        if (pair := first_overlap(starts, sizes)) is not None:
            found = " and ".join(
                f"{words_of(int(starts[i]), int(sizes[i]))} ({self.unit} {int(numbers[i])})" for i in pair
            )
            damaged(f"two {self.what}s overlap", int(offsets[pair[1]]), found=found, next_step=_NEXT_STEP)

    def _segment(self, address: int, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> Segment:
        if (places[1:] == (places + sizes)[:-1]).all():  # in the file as in memory
            data = bytes(self.data[int(places[0]) : int(places[-1] + sizes[-1])])
        else:
            view = memoryview(self.data)
            data = b"".join(view[a : a + b] for a, b in zip(places.tolist(), sizes.tolist(), strict=True))
        return Segment(address, data, len(data), access_at(address))


def access_at(address: int) -> str:
    """What memory at an address is used for where the file does not tell: SRAM of the Cortex-M map, else code."""
    return "rwx" if 0x2000_0000 <= address < 0x4000_0000 else "rx"
