"""LZ4, unpacked by our own decoder: frames, legacy frames, and blocks without a frame.

A decoder of our own, because it takes forty lines, stops at any bound, and gives what came out before a damage.

Format: LZ4 Frame Format Description 1.6.4 and LZ4 Block Format Description (Yann Collet, public).
"""

from __future__ import annotations

from tinymlsec.target.firmware.carve.hits import Stream
from tinymlsec.target.firmware.carve.limits import MAX_UNPACKED

FRAME, LEGACY = b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"
_LEAST_MATCH = 4
_LEGACY_BLOCK = 8 << 20
_RAW = 1 << 31
"""Bit of a block's size that says it is stored."""


def unpack_block(data: memoryview, out: bytearray, most: int) -> tuple[bool, int]:
    """Unpacks one block behind what is there already.

    Args:
        data: the block; bytes behind its end are taken for more of it until they make no sense.
        out: what earlier blocks gave, which this one may refer to; it grows.
        most: length that `out` may reach.

    Returns:
        whether the block ended with its last literals and without damage, and how many bytes of it were read.
    """
    at, size = 0, len(data)
    while at < size and len(out) < most:
        token = data[at]
        literals, at = _length(data, at + 1, token >> 4)
        out += data[at : at + min(literals, most - len(out))]
        at += literals
        if at >= size or len(out) >= most:
            return at == size, min(at, size)
        if at + 2 > size:
            return False, size
        distance = data[at] | data[at + 1] << 8
        match, at = _length(data, at + 2, token & 15)
        if not 0 < distance <= len(out):
            return False, at
        copy(out, distance, min(match + _LEAST_MATCH, most - len(out)))
    return False, min(at, size)


def copy(out: bytearray, distance: int, length: int) -> None:
    """Appends bytes from further back; where they are fewer than asked for, they are repeated."""
    start = len(out) - distance
    if length <= distance:
        out += out[start : start + length]
    else:
        out += (out[start:] * (length // distance + 1))[:length]


def _length(data: memoryview, at: int, length: int) -> tuple[int, int]:
    """A length that goes on in further bytes when its four bits are all set, and where it ends."""
    if length < 15:
        return length, at
    size = len(data)
    while at < size:
        more = data[at]
        at += 1
        length += more
        if more != 255:
            break
    return length, at


def unpack_frame(data: memoryview, at: int, most: int = MAX_UNPACKED) -> Stream | None:
    """Unpacks the frame that begins at a place; None where its header is none.

    Args:
        data: with the frame.
        at: where it begins.
        most: bytes that are unpacked.
    """
    legacy = bytes(data[at : at + 4]) == LEGACY
    header = (4, True, False) if legacy else _header(bytes(data[at + 4 : at + 19]))
    if header is None:
        return None
    length, independent, checked = header
    place, out, whole = at + length, bytearray(), False
    while len(out) < most and place + 4 <= len(data):
        size = int.from_bytes(data[place : place + 4], "little")
        stored = size & ~_RAW
        if size == 0 or (legacy and size > _LEGACY_BLOCK):
            whole, place = True, place + 4 * (not legacy)
            break
        if stored > len(data) - place - 4 or not _block(
            data[place + 4 : place + 4 + stored], size, out, independent, most
        ):
            break
        place += 4 + stored + 4 * checked
    else:
        whole = legacy and place == len(data)
    return Stream("lz4", at, place - at if whole else 0, bytes(out), whole)


def _block(data: memoryview, size: int, out: bytearray, independent: bool, most: int) -> bool:
    if size & _RAW:
        out += data[: most - len(out)]
        return True
    if not independent:
        return unpack_block(data, out, most)[0]
    own = bytearray()
    good, _ = unpack_block(data, own, most - len(out))
    out += own
    return good


def _header(fields: bytes) -> tuple[int, bool, bool] | None:
    """(bytes of the header with the magic number, independent blocks, blocks have checksums) of a frame."""
    if len(fields) < 3 or fields[0] >> 6 != 1 or fields[0] & 2 or fields[1] & 0x8F or fields[1] >> 4 < 4:
        return None
    sized, named = bool(fields[0] & 8), bool(fields[0] & 1)
    return 4 + 2 + 8 * sized + 4 * named + 1, bool(fields[0] & 0x20), bool(fields[0] & 0x10)
