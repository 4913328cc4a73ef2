"""Checks of address ranges that all kinds of file share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tinymlsec.target.firmware.bytes_of_file import damaged
from tinymlsec.target.firmware.limits import ADDRESS_SPACE, MAX_MEMORY


class Range(NamedTuple):
    """Addresses that something takes, and where in the file that is said."""

    start: int
    size: int
    offset: int


def check_wrap(item: Range, what: str) -> None:
    """Refuses what would begin again at address 0.

    Raises:
        FirmwareError: it does.
    """
    if item.start + item.size > ADDRESS_SPACE:
        found = f"0x{item.start:08x} and 0x{item.size:x} bytes"
        damaged(f"{what} ends behind the last address", item.offset, found=found, expected="an end of at most 2^32")


def check_total(sizes: int, offset: int | None) -> None:
    """Refuses more memory than any microcontroller has.

    Raises:
        FirmwareError: it is more.
    """
    if sizes > MAX_MEMORY:
        damaged(
            "the firmware takes more memory than any microcontroller has",
            offset,
            found=f"{sizes:,} bytes",
            expected=f"at most {MAX_MEMORY:,} bytes",
            next_step="check the linker script: a section has a huge size or address",
        )


def check_overlap(
    items: Sequence[Range], what: str, next_step: str, place: Callable[[Range], str] | None = None
) -> None:
    """Refuses two ranges that share an address.

    Args:
        items: in any order; empty ones are left out.
        what: name of one range in the error.
        next_step: what to do about it.
        place: says more about a range than its addresses.

    Raises:
        FirmwareError: two overlap; its offset is that of the one that begins later.
    """
    kept = [item for item in items if item.size]
    if len(kept) < 2:
        return
    table = np.array(kept, np.int64)
    order = np.argsort(table[:, 0], kind="stable")
    starts, ends = table[order, 0], table[order, 0] + table[order, 1]
    bad = np.flatnonzero(starts[1:] < np.maximum.accumulate(ends)[:-1])
    if not len(bad):
        return
    later = kept[order[bad[0] + 1]]
    earlier = kept[order[int(np.argmax(ends[: bad[0] + 1]))]]
    found = " and ".join(_words(item) + (f" ({place(item)})" if place else "") for item in (earlier, later))
    damaged(f"two {what} overlap", later.offset, found=found, next_step=next_step)


def _words(item: Range) -> str:
    return f"0x{item.start:08x} to 0x{item.start + item.size:08x}"
