"""UF2 files: blocks of 512 bytes, each with an address of its own.

Source: the public description of the format (microsoft/uf2, README).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import FirmwareError, UsageError
from tinymlsec.target.firmware.bytes_of_file import NEXT_STEP, damaged
from tinymlsec.target.firmware.image import FirmwareImage
from tinymlsec.target.firmware.pieces import Pieces
from tinymlsec.target.firmware.ranges import check_total
from tinymlsec.target.firmware.uf2_checks import check_blocks, check_numbers, tag_notes, verify_md5
from tinymlsec.target.firmware.uf2_families import (
    SIDE_BLOCKS,
    family_machine,
    family_name,
    family_number,
    foreign_core,
)
from tinymlsec.target.firmware.uf2_layout import BLOCK, BLOCK_SIZE, CONTAINER, FAMILY, MD5, MD5_SIZE, NOT_FLASH, START_0
from tinymlsec.target.firmware.vectors import vector_table

MAGIC = START_0.to_bytes(4, "little")
_SHOWN = 8
"""Families that a message names."""


def read_uf2(data: bytes, machine: str | None = None, family: str | None = None) -> FirmwareImage:
    """Image of a UF2 file.

    Args:
        data: the whole file.
        machine: picks among several families, and names the machine where the family does not.
        family: name or number of the family to load, for files that hold several.

    Raises:
        FirmwareError: a block is damaged or missing, blocks overlap, or several families are left to choose from.
        UsageError: `family` is no family.
    """
    if len(data) % BLOCK_SIZE:
        found = f"{len(data):,} bytes"
        at = len(data) // BLOCK_SIZE * BLOCK_SIZE
        damaged("the UF2 file is truncated", at, found=found, expected="a multiple of 512 bytes")
    blocks: NDArray[Any] = np.frombuffer(data, BLOCK)
    check_blocks(blocks)
    number, mine, notes = _choose(blocks, machine, family)
    check_numbers(blocks, mine)
    flash = np.flatnonzero(mine & ((blocks["flags"] & (NOT_FLASH | CONTAINER)) == 0))
    skipped = int(np.count_nonzero(mine)) - len(flash)
    if skipped:
        notes.append(f"{skipped} blocks that are not for the main flash are left out")
    if not len(flash):
        _nothing(blocks)
    check_total(int(blocks["payload"][flash].sum(dtype=np.int64)), None)
    pieces = Pieces("block", "block")
    for index in flash.tolist():
        block = blocks[index]
        payload = block["data"].tobytes()[: int(block["payload"])]
        pieces.add(int(block["address"]), payload, index * BLOCK_SIZE, index)
    segments = pieces.segments()
    notes += tag_notes(blocks[flash[0]])
    notes += verify_md5(blocks["data"][:, -MD5_SIZE:][flash[(blocks["flags"][flash] & MD5) != 0]], segments)
    known = "" if number is None else family_machine(number)
    vectors = vector_table(segments) if (machine or known or "arm") == "arm" else None
    if number is not None and foreign_core(number):
        notes.append(f"{family_name(number)} is an {foreign_core(number)} core: its code cannot be emulated")
    elif not known and vectors is not None and vectors.plausible:
        known = "arm"
    return FirmwareImage(
        "uf2",
        machine or known,
        vectors.reset if vectors is not None else None,
        segments,
        vectors=vectors,
        family="" if number is None else family_name(number),
        notes=tuple(notes),
    )


def _choose(
    blocks: NDArray[Any], machine: str | None, family: str | None
) -> tuple[int | None, NDArray[np.bool_], list[str]]:
    """Number of the family to load, which blocks belong to it, and notes."""
    tagged = (blocks["flags"] & FAMILY) != 0
    present = [int(number) for number in np.unique(blocks["family"][tagged & ((blocks["flags"] & CONTAINER) == 0)])]
    if family is not None:
        number = family_number(family)
        if number is None:
            raise UsageError("the UF2 family is not known", found=family, expected="a name such as RP2040, or a number")
        if number not in present:
            found = _named(present) or "none"
            damaged(f"the UF2 file holds nothing for {family_name(number)}", None, found=found)
    else:
        number = _only(blocks, [n for n in present if n not in SIDE_BLOCKS] or present, machine)
    others = [other for other in present if other != number]
    notes = [f"blocks for {_named(others)} are left out"] if others else []
    if number is None:
        return None, ~tagged, notes
    return number, tagged & (blocks["family"] == number) & ((blocks["flags"] & CONTAINER) == 0), notes


def _named(families: list[int]) -> str:
    more = len(families) - _SHOWN
    return ", ".join(map(family_name, families[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _only(blocks: NDArray[Any], present: list[int], machine: str | None) -> int | None:
    if len(present) > 1 and machine:
        present = [number for number in present if family_machine(number) == machine] or present
    if len(present) > 1:
        first = int(np.flatnonzero((blocks["flags"] & FAMILY) != 0)[0])
        other = np.flatnonzero(((blocks["flags"] & FAMILY) != 0) & (blocks["family"] != blocks["family"][first]))
        raise FirmwareError(
            "the UF2 file holds images for several device families",
            offset=int(other[0]) * BLOCK_SIZE + 28,
            found=_named(present),
            expected="one family",
            next_step=f"name the one you mean, such as family {family_name(present[0])}",
        )
    return present[0] if present else None


def _nothing(blocks: NDArray[Any]) -> None:
    files = int(np.count_nonzero(blocks["flags"] & CONTAINER))
    raise FirmwareError(
        "the UF2 file holds no firmware",
        offset=8,
        found=f"{files} blocks of files for a file system" if files else "only blocks that are not for the main flash",
        expected="blocks for the main flash",
        next_step="give the image that is written to flash" if files else NEXT_STEP,
    )
