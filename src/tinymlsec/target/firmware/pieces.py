"""From runs of data at addresses, as HEX and UF2 files hold them, to segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.image import Segment
from tinymlsec.target.firmware.limits import MAX_PIECES
from tinymlsec.target.firmware.ranges import Range, check_overlap, check_total, check_wrap


class Piece(NamedTuple):
    """Bytes of one record or block."""

    address: int
    data: bytes
    offset: int
    """in the file"""


def join(pieces: Sequence[Piece], what: str, place: Callable[[Range], str] | None = None) -> tuple[Segment, ...]:
    """Segments in order of address; neighbors become one, gaps stay gaps.

    Args:
        pieces: in any order.
        what: name of one piece in errors.
        place: says where in the file a range was given.

    Raises:
        FirmwareError: none, two overlap, one wraps around, or they are too many or too large.
    """
    if not pieces:
        damaged("the file holds no data", None, found=f"no {what} with data", expected="firmware")
    ranges = [Range(piece.address, len(piece.data), piece.offset) for piece in pieces]
    for item in ranges:
        check_wrap(item, f"a {what}")
    check_total(sum(item.size for item in ranges), None)
    check_overlap(ranges, f"{what}s", "make the file from one image; merged files must not share addresses", place)
    runs: list[list[Piece]] = []
    end = -1
    for piece in sorted(pieces, key=lambda piece: piece.address):
        if piece.address == end:
            runs[-1].append(piece)
        else:
            runs.append([piece])
        end = piece.address + len(piece.data)
    if len(runs) > MAX_PIECES:
        damaged("the data is in too many pieces", None, found=f"{len(runs):,}", expected=f"at most {MAX_PIECES:,}")
    return tuple(_segment(run) for run in runs)


def _segment(run: Sequence[Piece]) -> Segment:
    data = b"".join(piece.data for piece in run)
    return Segment(run[0].address, data, len(data), access_at(run[0].address))


def access_at(address: int) -> str:
    """What memory at an address is used for where the file does not tell: SRAM of the Cortex-M map, else code."""
    return "rwx" if 0x2000_0000 <= address < 0x4000_0000 else "rx"
