"""What must hold for the blocks of a UF2 file, for all of them at once."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware import uf2_layout as uf2
from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.image import Segment

_TAGS = {0x9FC7BC: "firmware version", 0x650D9D: "made for"}
MAX_TAGS = 120
"""A tag takes four bytes or more of 476."""
HASH_FACTOR = 4
"""Regions with a checksum may have together this many times the bytes of the image; more are not verified."""


def check_blocks(blocks: NDArray[Any]) -> None:
    """Magic numbers and sizes of every block.

    Raises:
        FirmwareError: one is wrong; the offset is that of the field.
    """
    for field, value in (("start0", uf2.START_0), ("start1", uf2.START_1), ("end", uf2.END)):
        if len(bad := np.flatnonzero(blocks[field] != value)):
            found = f"0x{int(blocks[field][bad[0]]):08x}"
            message = f"block {int(bad[0])} of the UF2 file has a wrong magic number"
            damaged(message, _offset(int(bad[0]), field), found=found, expected=f"0x{value:08x}")
    room = np.where(blocks["flags"] & uf2.MD5, uf2.MAX_PAYLOAD - uf2.MD5_SIZE, uf2.MAX_PAYLOAD)
    if len(bad := np.flatnonzero((blocks["payload"] > room) | (blocks["payload"] == 0))):
        found, expected = f"{int(blocks['payload'][bad[0]]):,} bytes", f"1 to {int(room[bad[0]])} bytes"
        message = f"block {int(bad[0])} of the UF2 file has a wrong payload size"
        damaged(message, _offset(int(bad[0]), "payload"), found=found, expected=expected)


def check_numbers(blocks: NDArray[Any], mine: NDArray[np.bool_]) -> None:
    """Every number from 0 on occurs once among the blocks of a family (untagged blocks may be counted with them).

    Raises:
        FirmwareError: a block is missing, there twice, or says another total.
    """
    chosen = np.flatnonzero(mine)
    if not len(chosen):
        return
    total = int(blocks["count"][chosen[0]])
    if len(bad := chosen[blocks["count"][chosen] != total]):
        found = f"{int(blocks['count'][bad[0]]):,}"
        message = f"block {int(bad[0])} of the UF2 file says another number of blocks"
        damaged(message, _offset(int(bad[0]), "count"), found=found, expected=f"{total:,}")
    numbers = blocks["number"]
    if len(bad := chosen[numbers[chosen] >= total]):
        message = f"block {int(bad[0])} of the UF2 file has a wrong number"
        found, expected = f"{int(numbers[bad[0]]):,}", f"less than {total:,}"
        damaged(message, _offset(int(bad[0]), "number"), found=found, expected=expected)
    values, first, counts = np.unique(numbers[chosen], return_index=True, return_counts=True)
    if len(twice := np.flatnonzero(counts > 1)):
        place = int(chosen[first[twice[0]]])
        message = f"number {int(values[twice[0]])} occurs in two blocks of the UF2 file"
        damaged(message, _offset(place, "number"), found=f"{int(counts[twice[0]])} blocks", expected="one")
    others = (blocks["count"] == total) & ~mine & ((blocks["flags"] & uf2.FAMILY) == 0)
    known = np.union1d(values, numbers[others & (numbers < total)])
    if len(known) < total:
        missing = int(np.flatnonzero(np.append(known, total) != np.arange(len(known) + 1))[0])
        found = f"{len(known):,} of {total:,} blocks; number {missing:,} is missing"
        damaged("the UF2 file is truncated", len(blocks) * uf2.BLOCK_SIZE, found=found)


def tag_notes(block: np.void) -> list[str]:
    """Version and device as the extension tags of a block name them; other tags, and damaged ones, are ignored."""
    if not int(block["flags"]) & uf2.TAGS:
        return []
    data = block["data"].tobytes()
    at, notes = -(-int(block["payload"]) // 4) * 4, []
    for _ in range(MAX_TAGS):
        size, kind = (data[at], int.from_bytes(data[at + 1 : at + 4], "little")) if at + 4 <= len(data) else (0, 0)
        if size < 4 or kind in (0, 0xFFFFFF) or at + size > len(data):
            break
        text = data[at + 4 : at + size].decode("utf-8", "replace")
        if kind in _TAGS and text.isprintable():
            notes.append(f"{_TAGS[kind]}: {text}")
        at += -(-size // 4) * 4
    return notes


def verify_md5(ends: NDArray[np.uint8], segments: Sequence[Segment]) -> list[str]:
    """Compares the checksums that blocks carry with the data.

    Args:
        ends: (n, 24) last bytes of the data of blocks that carry one.
        segments: of the image, by address.

    Raises:
        FirmwareError: a region that the image holds whole has another checksum.
    """
    trailers = {row.tobytes() for row in ends}
    left = HASH_FACTOR * sum(len(segment.data) for segment in segments)
    starts = [segment.address for segment in segments]
    unchecked = 0
    for trailer in sorted(trailers):
        start, size = (int.from_bytes(trailer[i : i + 4], "little") for i in (0, 4))
        holder = segments[max(bisect_right(starts, start) - 1, 0)]
        if not (holder.address <= start and start + size <= holder.end) or size > left:
            unchecked += 1
            continue
        left -= size
        region = holder.data[start - holder.address :][:size]
        digest = hashlib.md5(region, usedforsecurity=False).hexdigest()  # the format's own checksum, not a signature
        if digest != trailer[8:].hex():
            message = f"the checksum of 0x{start:08x} to 0x{start + size:08x} in the UF2 file is wrong"
            damaged(message, None, found=digest, expected=trailer[8:].hex())
    return [f"{unchecked} checksums (MD5) are of regions that the file does not hold whole"] if unchecked else []


def _offset(block: int, field: str) -> int:
    place: int = uf2.BLOCK.fields[field][1]  # type: ignore[index]  # the dtype has fields
    return block * uf2.BLOCK_SIZE + place
