"""Counts the lines that a run reads from the flash array: the C simulation behind arrays of a trace."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import FlashLines
from tinymlsec.emulate.cycles.flash_timing import FlashTiming

HERE = Path(__file__).parent
SOURCES = ("flash_cache.c", "flash_cache.h")


class CLineCache(ctypes.Structure):
    """`tms_line_cache` of flash_cache.h."""

    _fields_ = (
        ("shift", ctypes.c_uint32), ("sets", ctypes.c_uint32), ("ways", ctypes.c_uint32), ("last", ctypes.c_uint32),
        ("tags", ctypes.POINTER(ctypes.c_uint32)), ("misses", ctypes.c_uint64), ("touches", ctypes.c_uint64),
    )  # fmt: skip


class CFlash(ctypes.Structure):
    """`tms_flash` of flash_cache.h."""

    _fields_ = (
        ("base", ctypes.c_uint32), ("size", ctypes.c_uint32), ("code", CLineCache), ("data", CLineCache),
    )  # fmt: skip


def flash_state(lines: FlashLines) -> tuple[CFlash, list[ctypes.Array[ctypes.c_uint32]]]:
    """The C structure for a geometry, not begun yet, and the memory that it points to, which has to live as long."""
    memory: list[ctypes.Array[ctypes.c_uint32]] = []

    def cache(geometry: tuple[int, int]) -> CLineCache:
        sets, ways = geometry
        memory.append((ctypes.c_uint32 * max(1, sets * ways))())
        tags = ctypes.cast(memory[-1], ctypes.POINTER(ctypes.c_uint32))
        return CLineCache(lines.line_bytes.bit_length() - 1, sets, ways, 0, tags, 0, 0)

    return CFlash(lines.base, lines.size, cache(lines.code), cache(lines.data)), memory


@dataclass(frozen=True)
class FlashReads:
    """Lines read from the flash array in a run."""

    code: int
    """For instructions."""
    data: int
    """For data."""

    def cycles(self, timing: FlashTiming) -> int:
        """Wait states of all of them: none overlaps with anything, which is the upper bound."""
        return timing.wait_states * (self.code + self.data)

    def __add__(self, other: FlashReads) -> FlashReads:
        return FlashReads(self.code + other.code, self.data + other.data)


class FlashCache:
    """Simulates the caches in front of one flash. Traces come in pieces, in order.

    Args:
        lines: geometry of the caches, and where the flash lies.
    """

    def __init__(self, lines: FlashLines) -> None:
        self._library = _library()
        self.state, self._memory = flash_state(lines)
        self.begin()

    def begin(self) -> None:
        """Forget everything: empty caches."""
        self._library.tms_flash_begin(ctypes.byref(self.state))

    def feed(
        self,
        pc: NDArray[np.uint32],
        pc_bytes: NDArray[np.uint8],
        address: NDArray[np.uint32],
        address_bytes: NDArray[np.uint8],
    ) -> None:
        """The next piece of a trace, one row per executed instruction.

        Args:
            pc: address of the instruction.
            pc_bytes: its length.
            address: of what it reads from memory.
            address_bytes: how much it reads; 0 where it reads nothing.
        """
        if not len(pc) == len(pc_bytes) == len(address) == len(address_bytes):
            raise ValueError("columns of different length")
        columns = (
            np.ascontiguousarray(pc, np.uint32), np.ascontiguousarray(pc_bytes, np.uint8),
            np.ascontiguousarray(address, np.uint32), np.ascontiguousarray(address_bytes, np.uint8),
        )  # fmt: skip
        pointers = [column.ctypes.data_as(ctypes.c_void_p) for column in columns]
        self._library.tms_flash_run(ctypes.byref(self.state), *pointers, ctypes.c_uint64(len(pc)))

    @property
    def reads(self) -> FlashReads:
        """What was read from the array since `begin`."""
        return FlashReads(int(self.state.code.misses), int(self.state.data.misses))


@cache
def _library() -> ctypes.CDLL:
    from tinymlsec.emulate.toolchain import build_host_library

    files = {name: (HERE / name).read_text(encoding="ascii") for name in SOURCES}
    return ctypes.CDLL(str(build_host_library(files, name="tms_flash_cache")))
