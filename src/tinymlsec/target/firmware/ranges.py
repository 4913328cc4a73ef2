"""Checks of address ranges that all kinds of file share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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


def check_overlap(items: Sequence[Range], what: str, next_step: str) -> None:
    """Refuses two ranges that share an address.

    Args:
        items: in any order; empty ones are left out.
        what: name of one range in the error.
        next_step: what to do about it.

    Raises:
        FirmwareError: two overlap; its offset is that of the one that begins later.
    """
    kept = [item for item in items if item.size]
    table = np.array(kept, np.int64).reshape(-1, 3)
    pair = first_overlap(table[:, 0], table[:, 1])
    if pair is not None:
        found = " and ".join(words_of(kept[place].start, kept[place].size) for place in pair)
        damaged(f"two {what} overlap", kept[pair[1]].offset, found=found, next_step=next_step)


def first_overlap(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[int, int] | None:
    """Places of two ranges that share an address, the one that begins later second; None where none do.

    Args:
        starts: (n,) addresses in any order.
        sizes: (n,) bytes, none of them 0.
    """
    order = np.argsort(starts, kind="stable")
    begins, ends = starts[order], (starts + sizes)[order]
    bad = np.flatnonzero(begins[1:] < np.maximum.accumulate(ends)[:-1])
    if not len(bad):
        return None
    return int(order[int(np.argmax(ends[: bad[0] + 1]))]), int(order[bad[0] + 1])


def words_of(start: int, size: int) -> str:
    """A range as errors show it."""
    return f"0x{start:08x} to 0x{start + size:08x}"
