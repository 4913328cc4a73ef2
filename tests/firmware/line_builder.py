"""Writes DWARF line tables by hand: version 2 to 5, damaged where a test asks for it."""

from __future__ import annotations

from collections.abc import Sequence

BASE, RANGE, OPCODES = -5, 14, 13
LENGTHS = bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1))


def leb(value: int, *, signed: bool = False) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        done = (value == 0 and not (signed and byte & 0x40)) or (signed and value == -1 and byte & 0x40)
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


def extended(kind: int, body: bytes = b"") -> bytes:
    return b"\0" + leb(len(body) + 1) + bytes([kind]) + body


def program(address: int, rows: Sequence[tuple[int, int]], size: int) -> bytes:
    """Rows (offset, line) from an address on; the sequence is `size` bytes long."""
    out = extended(2, address.to_bytes(4, "little"))
    at, line = 0, 1
    for offset, wanted in rows:
        out += b"\x02" + leb(offset - at) + b"\x03" + leb(wanted - line, signed=True) + b"\x01"
        at, line = offset, wanted
    return out + b"\x02" + leb(size - at) + extended(1)


def files(version: int, name: str, directory: str) -> bytes:
    if version < 5:
        folders = directory.encode() + b"\0" if directory else b""
        return folders + b"\0" + name.encode() + b"\0" + bytes([1 if directory else 0, 0, 0]) + b"\0"
    # Directories: one format (path, string). Files: path as string, directory as udata. Number 0 is the build folder.
    folders = [b"/build/here", *([directory.encode()] if directory else [])]
    out = bytes((1, 1, 8)) + leb(len(folders)) + b"".join(text + b"\0" for text in folders)
    entry = name.encode() + b"\0" + bytes([1 if directory else 0])
    return (
        out + bytes((2, 1, 8, 2, 0x0F)) + leb(2) + entry + entry
    )  # version 5 counts files from 0, programs start at 1


def table(
    body: bytes, *, version: int = 4, names: bytes | None = None, name: str = "a.c", directory: str = ""
) -> bytes:
    """A table around a program."""
    rest = bytes([1]) + (b"\x01" if version >= 4 else b"") + bytes([1, BASE % 256, RANGE, OPCODES]) + LENGTHS
    rest += files(version, name, directory) if names is None else names
    head = version.to_bytes(2, "little") + (b"\x04\x00" if version == 5 else b"")
    after = head + len(rest).to_bytes(4, "little") + rest + body
    return len(after).to_bytes(4, "little") + after


def line_table(
    address: int, rows: Sequence[tuple[int, int]], size: int, name: str, *, version: int = 4, directory: str = ""
) -> bytes:
    return table(program(address, rows, size), version=version, name=name, directory=directory)
