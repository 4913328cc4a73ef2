"""Writes an image as Intel HEX, UF2 or one binary, as flashing tools take them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tinymlsec.errors import UsageError
from tinymlsec.target.firmware.image import FirmwareImage
from tinymlsec.target.firmware.limits import MAX_MEMORY
from tinymlsec.target.firmware.uf2_families import family_name, family_number
from tinymlsec.target.firmware.uf2_layout import BLOCK, END, FAMILY, START_0, START_1

_BYTES_PER_RECORD = 16
PAGE = 256
"""Payload of a UF2 block that every boot loader takes."""


def write_hex(image: FirmwareImage) -> bytes:
    """The stored data as Intel HEX, with linear addresses and the entry.

    Args:
        image: any; symbols and run-time addresses have no place in the format.
    """
    lines, upper = [], -1
    for address, data in image.stored():
        at = 0
        while at < len(data):
            here = address + at
            if here >> 16 != upper:
                upper = here >> 16
                lines.append(_record(0, 4, upper.to_bytes(2, "big")))
            size = min(_BYTES_PER_RECORD - here % _BYTES_PER_RECORD, len(data) - at)
            lines.append(_record(here & 0xFFFF, 0, data[at : at + size]))
            at += size
    if image.entry is not None:
        lines.append(_record(0, 5, image.entry.to_bytes(4, "big")))
    lines.append(_record(0, 1, b""))
    return ("\n".join(lines) + "\n").encode()


def _record(address: int, kind: int, data: bytes) -> str:
    body = bytes([len(data), address >> 8, address & 255, kind]) + data
    return ":" + (body + bytes([-sum(body) % 256])).hex().upper()


def write_uf2(image: FirmwareImage, family: str | int | None = None, *, pages: bool = False) -> bytes:
    """The stored data as UF2.

    Args:
        image: any.
        family: name or number of the device family; None: the image's own, if it has one.
        pages: fill up to whole pages of 256 bytes with 0xff, as boot loaders want them; otherwise exactly the data.

    Raises:
        UsageError: the family is not known.
    """
    number = _family(image.family if family is None else family)
    pieces = _pages(image) if pages else _chunks(image)
    blocks = np.zeros(len(pieces), BLOCK)
    blocks["start0"], blocks["start1"], blocks["end"] = START_0, START_1, END
    blocks["number"], blocks["count"] = np.arange(len(pieces)), len(pieces)
    blocks["flags"], blocks["family"] = (0, 0) if number is None else (FAMILY, number)
    for block, (address, data) in zip(blocks, pieces, strict=True):
        block["address"], block["payload"] = address, len(data)
        block["data"][: len(data)] = np.frombuffer(data, np.uint8)
    return blocks.tobytes()


def _family(family: str | int) -> int | None:
    if family == "":
        return None
    number = family_number(family if isinstance(family, str) else family_name(family))
    if number is None:
        raise UsageError(
            "the UF2 family is not known", found=str(family), expected="a name such as RP2040, or a number"
        )
    return number


def _chunks(image: FirmwareImage) -> list[tuple[int, bytes]]:
    """Data cut at page borders."""
    chunks = []
    for address, data in image.stored():
        cuts = [0, *range(PAGE - address % PAGE, len(data), PAGE), len(data)]
        chunks += [(address + a, data[a:b]) for a, b in pairwise(cuts) if b > a]
    return chunks


def _pages(image: FirmwareImage) -> list[tuple[int, bytes]]:
    pages: dict[int, bytearray] = {}
    for address, data in _chunks(image):
        page = pages.setdefault(address // PAGE * PAGE, bytearray(b"\xff" * PAGE))
        page[address % PAGE : address % PAGE + len(data)] = data
    return [(address, bytes(page)) for address, page in sorted(pages.items())]


def write_bin(image: FirmwareImage, *, fill: int = 0xFF) -> bytes:
    """The stored data as one binary from its lowest address on; the address itself is not in the file.

    Args:
        image: any.
        fill: value of bytes in gaps; erased flash reads 0xff.

    Raises:
        UsageError: the data is spread over more than 64 MiB.
    """
    stored = image.stored()
    if not stored:
        return b""
    start, end = stored[0][0], stored[-1][0] + len(stored[-1][1])
    if end - start > MAX_MEMORY:
        raise UsageError(
            "the image is spread too widely for one binary",
            found=f"0x{start:08x} to 0x{end:08x}",
            expected=f"at most {MAX_MEMORY:,} bytes",
            next_step="write HEX or UF2, which have addresses",
        )
    flat = bytearray([fill]) * (end - start)
    for address, data in stored:
        flat[address - start : address - start + len(data)] = data
    return bytes(flat)
