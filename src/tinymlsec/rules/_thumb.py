"""Stores to the system control space of a Cortex-M, found in Thumb code without a disassembler.

Few instructions are decoded, all of them vectorised or near a place of interest: loads of an address in the system
control space (literal, MOVW and MOVT, modified immediate), and what the next instructions store relative to it. That
is how start-up code and drivers write registers such as MPU_CTRL. Cost and memory are in proportion to the bytes, and
no instruction is trusted to be one: data in between gives a false address by chance only (one halfword in 2^20).

Source: Arm Architecture Reference Manual, Armv7-M (DDI 0403), A7.7, and Armv8-M (DDI 0553), C2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinymlsec.rules._thumb_values import is_wide, leaves, movw, result, use

SPACE = 0xE000E000
"""Start of the 4 KiB of registers."""
MAX_PLACES = 4_096
"""Loads of such addresses that are followed."""
_AHEAD, _BACK = 64, 16
"""Halfwords that are followed behind a load, and looked at before a MOVT."""
_STRONG = np.uint32(0xFFFFF000)


class Access(NamedTuple):
    """One store or load of a register of the system control space."""

    register: int
    """Its address."""
    at: int
    """Address of the instruction."""
    value: int | None
    """What is stored, where it is a constant; None for loads and for what is computed."""
    store: bool


class Code:
    """Bytes that may hold Thumb code.

    Args:
        address: of the first byte at run time.
        data: of the code and the literals behind it.
    """

    def __init__(self, address: int, data: bytes) -> None:
        skip = address % 2
        self.address = address + skip
        size = (len(data) - skip) // 2
        self.half: NDArray[np.uint16] = (
            np.frombuffer(data, "<u2", max(size, 0), skip) if size > 0 else np.zeros(0, "<u2")
        )

    def word(self, address: int) -> int | None:
        """The word at an address; None where it lies outside."""
        at = (address - self.address) // 2
        if at < 0 or at + 1 >= len(self.half):
            return None
        return int(self.half[at]) | int(self.half[at + 1]) << 16

    def count(
        self, first: int, second: int | None = None, mask: int = 0xFFFF, second_mask: int = 0xFFFF
    ) -> NDArray[np.int64]:
        """Indices of halfwords (pairs where `second` is given) of these values under these masks."""
        hit = (self.half & mask) == first
        if second is not None:
            hit = hit[:-1] & ((self.half[1:] & second_mask) == second)
        return np.flatnonzero(hit)

    def accesses(self) -> list[Access]:
        """Stores and loads of registers of the system control space, by address of the instruction."""
        found: dict[tuple[int, int], Access] = {}
        for start, register, base in self._bases():
            for access in self._follow(start, register, base):
                found.setdefault((access.at, access.register), access)
        return [found[key] for key in sorted(found)]

    def _bases(self) -> Iterator[tuple[int, int, int]]:
        """(index of the next instruction, register, address it now holds)."""
        makers = (self._short_literals(), self._long_literals(), self._pairs(), self._immediates())
        left = MAX_PLACES
        for maker in makers:
            for place in maker:
                if not left:
                    return
                left -= 1
                yield place

    def _short_literals(self) -> Iterator[tuple[int, int, int]]:
        """LDR Rt, [pc, #imm8*4] (T1)."""
        at = self.count(0x4800, mask=0xF800)
        target = ((self.address + 2 * at + 4) & ~3) + 4 * (self.half[at] & 0xFF).astype(np.int64)
        yield from self._loaded(at, target, (self.half[at] >> 8) & 7, 1)

    def _long_literals(self) -> Iterator[tuple[int, int, int]]:
        """LDR.W Rt, [pc, #+/-imm12] (T2)."""
        for first, sign in ((0xF8DF, 1), (0xF85F, -1)):
            at = self.count(first)
            at = at[at + 1 < len(self.half)]
            second = self.half[at + 1].astype(np.int64)
            target = ((self.address + 2 * at + 4) & ~3) + sign * (second & 0xFFF)
            yield from self._loaded(at, target, second >> 12, 2)

    def _loaded(
        self, at: NDArray[np.int64], target: NDArray[np.int64], register: NDArray[np.generic], size: int
    ) -> Iterator[tuple[int, int, int]]:
        index = (target - self.address) // 2
        inside = (index >= 0) & (index + 1 < len(self.half)) & ((target - self.address) % 2 == 0)
        at, index, register = at[inside], index[inside], register[inside]
        words = self.half[index].astype(np.uint32) | (self.half[index + 1].astype(np.uint32) << np.uint32(16))
        for hit in np.flatnonzero((words & _STRONG) == SPACE).tolist():
            yield int(at[hit]) + size, int(register[hit]), int(words[hit])

    def _pairs(self) -> Iterator[tuple[int, int, int]]:
        """MOVW Rd, #low ... MOVT Rd, #0xE000."""
        for at in self.count(0xF2CE, 0x0000, second_mask=0xF0FF).tolist():
            register = int(self.half[at + 1]) >> 8 & 15
            for back in range(at - 2, max(at - _BACK, -1), -1):
                low = movw(int(self.half[back]), int(self.half[back + 1]))
                if low is not None and low[0] == register:
                    if low[1] & 0xF000 == SPACE & 0xF000:
                        yield at + 2, register, 0xE0000000 | low[1]
                    break

    def _immediates(self) -> Iterator[tuple[int, int, int]]:
        """MOV.W Rd, #0xE000E000."""
        for at in self.count(0xF04F, 0x20E0, second_mask=0xF0FF).tolist():
            yield at + 2, int(self.half[at + 1]) >> 8 & 15, SPACE

    def _follow(self, start: int, register: int, base: int) -> Iterator[Access]:
        """Accesses of the next instructions relative to a register, as long as constants can be told."""
        known = {register: base}
        window = [*self.half[start : start + _AHEAD].tolist(), 0]
        at = 0
        while at < len(window) - 1:
            first, second = window[at], window[at + 1]
            here = self.address + 2 * (start + at)
            used = use(first, second, known)
            if used is not None and used[0] & int(_STRONG) == SPACE:
                yield Access(used[0], here, used[1], used[2])
            if leaves(first, second):
                return
            target, value = result(first, second, known, partial(self._literal, here))
            if target is not None:
                known.pop(target, None)
                if value is not None:
                    known[target] = value
            at += 2 if is_wide(first) else 1

    def _literal(self, here: int, distance: int) -> int | None:
        return self.word(((here + 4) & ~3) + distance)
