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
