"""Heatshrink, the LZSS coder that small firmware uses, unpacked by our own decoder.

A stream has no header; window and lookahead are agreed on beforehand, so a reader has to know or try them.

Format: heatshrink (Scott Vokes, 2013, ISC licence): a bit 1 and eight bits are a byte; a bit 0, the distance less one
and the length less one are a reference back. Bits come with the highest first, bytes before the start are zeros.
"""

from __future__ import annotations

from tinymlsec.target.firmware.carve.lz4 import copy

_WORD = 64
"""Bytes taken from the stream at once; a token has at most 31 bits."""


def unpack_heatshrink(data: memoryview, window: int, lookahead: int, most: int) -> tuple[bytes, int]:
    """Unpacks until the input or the bound ends; the format has no end mark and no damage that shows.

    Args:
        data: the stream.
        window: bits of a distance, 4 to 15.
        lookahead: bits of a length, 3 to window - 1.
        most: bytes that are unpacked.

    Returns:
        the unpacked bytes, and how many of the stream they took.
    """
    out = bytearray(1 << window)  # what the coder's memory holds before the first byte
    most += len(out)
    at = bits = held = 0
    reference = 1 + window + lookahead
    length_mask, distance_mask = (1 << lookahead) - 1, (1 << window) - 1
    while len(out) < most:
        if held < reference + 9:
            chunk = bytes(data[at : at + _WORD])
            bits = (bits & ((1 << held) - 1)) << 8 * len(chunk) | int.from_bytes(chunk, "big")
            at, held = at + len(chunk), held + 8 * len(chunk)
        if held >= 9 and bits >> (held - 1) & 1:
            held -= 9
            out.append(bits >> held & 0xFF)
        elif held >= reference:
            held -= reference
            token = bits >> held
            copy(out, (token >> lookahead & distance_mask) + 1, (token & length_mask) + 1)
        else:
            break
    return bytes(out[1 << window : most]), at - held // 8
