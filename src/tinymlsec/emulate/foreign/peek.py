"""Looks at the memory of an engine where there may be none."""

from __future__ import annotations

from typing import Any


def read_or_nothing(uc: Any, address: int, size: int) -> bytes:
    """Bytes at an address; none where nothing is mapped."""
    from unicorn.unicorn_py3.unicorn import UcError

    try:
        return bytes(uc.mem_read(address, size)) if size > 0 else b""
    except UcError:
        return b""


def text_at(uc: Any, address: int, limit: int) -> bytes:
    """A text with a zero at its end, which may lie just before the end of a memory."""
    found = b""
    while len(found) < limit and b"\0" not in found:
        piece = read_or_nothing(uc, address + len(found), 16) or read_or_nothing(uc, address + len(found), 1)
        if not piece:
            break
        found += piece
    return found.split(b"\0", 1)[0][:limit]


def instructions_in(code: bytes, arm: bool) -> int:
    """Number of instructions in a stretch of Thumb or compressed RISC-V code."""
    at = count = 0
    while at + 1 < len(code):
        half = code[at] | code[at + 1] << 8
        wide = half >> 11 >= 0x1D if arm else half & 3 == 3
        at += 4 if wide else 2
        count += 1
    return count
