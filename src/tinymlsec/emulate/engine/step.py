"""One instruction as the tracer must know it: what it writes and where it reads or writes memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NONE = 255
BRANCH, SYNC, LOAD, STORE, IT, INVALID, WAITS, SIGNED = (1 << i for i in range(8))
"""Bits of `Step.kind`, as in tracer.h."""


@dataclass(frozen=True)
class Step:
    """A decoded instruction. Registers are numbers of the core's registers, r0 to r14 or x0 to x31."""

    size: int
    kind: int = 0
    width: int = 0
    """Bytes of one transfer."""
    count: int = 1
    """Transfers at addresses that follow each other."""
    base: int = NONE
    index: int = NONE
    shift: int = 0
    """Of the index, to the left."""
    offset: int = 0
    """Bytes; where there is no base, the address."""
    written: int = 0
    """One bit for each core register."""
    first: int = NONE
    """The register whose value is recorded."""
    stored: int = NONE
    """The register that a single store writes to memory."""
    divisor: int = NONE


Decode = Callable[[int, bytes], Step | None]
"""From address and bytes to the instruction there; None where there is none."""


class CStep(ctypes.Structure):
    """`tms_step` of tracer.h."""

    _fields_ = (
        ("size", ctypes.c_uint8), ("kind", ctypes.c_uint8), ("marks", ctypes.c_uint8), ("width", ctypes.c_uint8),
        ("count", ctypes.c_uint8), ("base", ctypes.c_uint8), ("index", ctypes.c_uint8), ("shift", ctypes.c_uint8),
        ("offset", ctypes.c_int32), ("written", ctypes.c_uint32), ("first", ctypes.c_uint8),
        ("stored", ctypes.c_uint8), ("divisor", ctypes.c_uint8), ("spare", ctypes.c_uint8),
        ("ran", ctypes.c_uint32), ("marked", ctypes.c_uint32),
    )  # fmt: skip


DECODE_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint8), ctypes.c_uint32, ctypes.POINTER(CStep)
)


def callback(decode: Decode) -> Any:
    """The decoder as the tracer calls it, once for each instruction that runs for the first time."""

    def decoded(
        address: int, data: ctypes._Pointer[ctypes.c_uint8], available: int, out: ctypes._Pointer[CStep]
    ) -> int:
        try:
            step = decode(address, bytes(data[:available]))
        except Exception:  # an exception cannot cross C: bytes that no decoder understands are no instruction
            step = None
        if step is None:
            return 1
        target = out.contents
        for name in (
            "size",
            "kind",
            "width",
            "count",
            "base",
            "index",
            "shift",
            "written",
            "first",
            "stored",
            "divisor",
        ):
            setattr(target, name, getattr(step, name))
        target.offset = (step.offset + (1 << 31)) % (1 << 32) - (1 << 31)
        return 0

    return DECODE_TYPE(decoded)
