"""Stack canaries of a stripped Thumb image, by what compilers make of them.

At its start a guarded function loads one word from a fixed address in RAM and puts it on the stack; before it returns
it loads both again and compares. Other code may do the first (a fifth argument, a spilled value), hardly the second.

Source: what GCC 12 writes for -fstack-protector on Armv6-M and Armv7-M (`__stack_chk_guard` in RAM).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.rules._thumb_values import is_wide

if TYPE_CHECKING:
    from tinymlsec.rules._thumb import Code

MAX_LOADS = 50_000
"""Loads of an address in RAM that are looked at."""
MAX_STORES = 2_000
"""Of these, followed by a store to the stack."""
_NEAR, _FUNCTION, _AFTER = 12, 1024, 4
"""Halfwords: from the load to the store, to the end of a function, and from the second load to the comparison."""
_RAM = 0x20


def guarded_functions(code: Code) -> int:
    """Most functions that guard their frame with one and the same word of RAM."""
    at = code.count(0x4800, mask=0xF800)
    target = (((code.address + 2 * at + 4) & ~3) + 4 * (code.half[at] & 0xFF).astype(np.int64) - code.address) // 2
    inside = target + 1 < len(code.half)
    at, target = at[inside], target[inside]
    ram = code.half[target + 1] >> 8 == _RAM
    words: Counter[int] = Counter()
    left = MAX_STORES
    for start, place in zip(at[ram].tolist()[:MAX_LOADS], target[ram].tolist(), strict=False):
        stored = _stored(code.half[start : start + _NEAR].tolist())
        if stored is not None and left:
            left -= 1
            at_store, slot = start + stored[0], stored[1]
            if _compares(code.half[at_store + 1 : at_store + _FUNCTION].tolist(), slot):
                words[int(code.half[place]) | int(code.half[place + 1]) << 16] += 1
    return max(words.values(), default=0)


def _stored(half: list[int]) -> tuple[int, int] | None:
    """(halfwords from the load of an address to the store of its word, slot of the stack); None where there is none."""
    address, value = half[0] >> 8 & 7, None
    for place, h in enumerate(half):
        if value is None and h & 0xFFF8 == 0x6800 | address << 3:  # LDR Rb, [Ra]
            value = h & 7
        elif value is not None and h >> 8 == 0x90 | value:  # STR Rb, [SP, #n]
            return place, h & 0xFF
    return None


def _compares(half: list[int], slot: int) -> bool:
    """Whether a word of the stack is loaded and compared before another function begins."""
    for place, h in enumerate(half):
        if h >> 8 == 0xB5 and place > _NEAR:  # PUSH {..., lr}
            return False
        if h >> 11 == 0b10011 and h & 0xFF == slot and _compared_soon(half, place):  # LDR Rt, [SP, #n]
            return True
    return False


def _compared_soon(half: list[int], place: int) -> bool:
    return any(_is_comparison(h) for h in half[place + 1 : place + 1 + _AFTER])


def _is_comparison(h: int) -> bool:
    """EORS, CMP or SUBS of registers, short or wide."""
    if is_wide(h):
        return h & 0xFFF0 in (0xEA90, 0xEBB0)
    return h & 0xFFC0 in (0x4040, 0x4280) or h >> 9 == 0b0001101 or h >> 8 == 0x45
