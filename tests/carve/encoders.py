"""Encoders that the standard library lacks, written by the formats' descriptions: LZ4 and heatshrink, greedy, and XOR.

They owe nothing to the decoders that they test. Their output was also checked by hand against lz4 4.4.5 and
heatshrink2 0.15 (see docs/scan/images.md).
"""

from __future__ import annotations

import hashlib
import itertools
import zlib

import numpy as np


def xor(data: bytes, key: bytes) -> bytes:
    repeated = np.frombuffer(key * (len(data) // len(key) + 1), np.uint8)[: len(data)]
    return (np.frombuffer(data, np.uint8) ^ repeated).tobytes()


def encrypt(data: bytes, seed: int) -> bytes:
    """A stream cipher as AES-CTR is: a key stream of hashes of a counter."""
    blocks = (hashlib.sha256(f"{seed} {n}".encode()).digest() for n in itertools.count())
    stream = b"".join(itertools.islice(blocks, len(data) // 32 + 1))
    return xor(data, stream[: len(data)])


def raw_deflate(data: bytes, level: int = 9) -> bytes:
    packer = zlib.compressobj(level, wbits=-15)
    return packer.compress(data) + packer.flush()


def _length(rest: int) -> bytes:
    return b"\xff" * (rest // 255) + bytes([rest % 255])


def _sequence(literals: bytes, distance: int = 0, match: int = 0) -> bytes:
    token = min(len(literals), 15) << 4 | (min(match - 4, 15) if match else 0)
    out = bytes([token]) + (_length(len(literals) - 15) if len(literals) >= 15 else b"") + literals
    if match:
        out += distance.to_bytes(2, "little") + (_length(match - 19) if match >= 19 else b"")
    return out


def _common(data: bytes, a: int, b: int, limit: int) -> int:
    size = 0
    while size < limit and data[a + size] == data[b + size]:
        size += 1
    return size


def lz4_block(data: bytes) -> bytes:
    """The last five bytes are literals, and no match begins in the last twelve, as the format asks."""
    out, start, at, seen = bytearray(), 0, 0, {}
    while at < len(data) - 12:
        word = data[at : at + 4]
        before = seen.get(word)
        seen[word] = at
        if before is not None and at - before < 65_536:
            match = 4 + _common(data, before + 4, at + 4, len(data) - 5 - at - 4)
            out += _sequence(data[start:at], at - before, match)
            at = start = at + match
        else:
            at += 1
    return bytes(out) + _sequence(data[start:])


def lz4_frame(data: bytes, block: int = 65_536) -> bytes:
    """Independent blocks without checksums; the header's own checksum is not looked at by our decoder."""
    out = b"\x04\x22\x4d\x18\x60\x40\x82"
    for at in range(0, len(data), block):
        packed = lz4_block(data[at : at + block])
        out += len(packed).to_bytes(4, "little") + packed
    return out + bytes(4)


def heatshrink(data: bytes, window: int, lookahead: int) -> bytes:
    """Bits as text: slow and plain. The coder's memory begins with zeros, which references may reach."""
    memory = bytes(1 << window) + data
    base, bits, at, seen = 1 << window, [], 1 << window, {}
    for place in range(base - 8, base):
        seen[memory[place : place + 3]] = place
    while at < len(memory):
        word = memory[at : at + 3]
        before, size = seen.get(word), 0
        if before is not None and at - before <= 1 << window and len(word) == 3:
            size = _common(memory, before, at, min(1 << lookahead, len(memory) - at))
        step = size if size >= 3 else 1
        if step > 1:
            bits.append(f"0{at - before - 1:0{window}b}{step - 1:0{lookahead}b}")  # type: ignore[operator]
        else:
            bits.append(f"1{memory[at]:08b}")
        for place in range(at, at + step):
            seen[memory[place : place + 3]] = place
        at += step
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""
