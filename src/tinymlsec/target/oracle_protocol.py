"""Frames between the oracle's parent and its worker process.

A frame is a fixed prefix, a small JSON header and raw array bytes. Nothing in it can name code, so a worker that a
hostile model has taken over can send wrong numbers at worst. Both sides check every length before they allocate.
Standard library only: the worker imports this module, and its start-up time counts.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

VERSION = 1
"""Version of the frames; both sides name it when they meet."""

MAGIC = b"tmso"
PREFIX = struct.Struct("<4sIQ")
"""Magic, bytes of the header, bytes of the payload."""

MAX_HEADER = 256 * 1024
MAX_PAYLOAD = 1 << 30
MAX_TENSORS = 64
"""Inputs or outputs of one model."""
MAX_RANK = 8
MAX_SCALES = 16
"""Scales reported for one input or output; further ones are left out."""

DTYPES: Mapping[str, int] = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
}
"""NumPy type names that may cross, with bytes per value."""


class ProtocolError(Exception):
    """A frame that does not follow the protocol. The message says in which way."""


def pack(header: Mapping[str, Any], payload_bytes: int = 0) -> bytes:
    """Prefix and header of a frame; the caller sends ``payload_bytes`` raw bytes after it.

    Raises:
        ProtocolError: the header or the payload is over its bound.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER or not 0 <= payload_bytes <= MAX_PAYLOAD:
        raise ProtocolError(f"frame too large: header of {len(text)} bytes, payload of {payload_bytes} bytes")
    return PREFIX.pack(MAGIC, len(text), payload_bytes) + text


def unpack_prefix(data: bytes) -> tuple[int, int]:
    """Header and payload length out of the first ``PREFIX.size`` bytes of a frame.

    Raises:
        ProtocolError: not a frame, or a length over its bound.
    """
    magic, header_bytes, payload_bytes = PREFIX.unpack(data)
    if magic != MAGIC:
        raise ProtocolError(f"frame starts with {magic.hex()} instead of {MAGIC.hex()}")
    if header_bytes > MAX_HEADER:
        raise ProtocolError(f"header of {header_bytes} bytes; at most {MAX_HEADER} are allowed")
    if payload_bytes > MAX_PAYLOAD:
        raise ProtocolError(f"payload of {payload_bytes} bytes; at most {MAX_PAYLOAD} are allowed")
    return header_bytes, payload_bytes


def parse_header(data: bytes) -> dict[str, Any]:
    """The JSON object of a header.

    Raises:
        ProtocolError: not a JSON object.
    """
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"header is not JSON: {type(error).__name__}") from None
    if not isinstance(header, dict):
        raise ProtocolError(f"header is a {type(header).__name__} instead of an object")
    return header


def clean(text: object, limit: int = 4000) -> str:
    """Text of the runtime made safe to print: control characters become spaces, only the last ``limit`` stay."""
    tail = str(text)[-limit:]
    return "".join(c if c.isprintable() or c == "\n" else " " for c in tail).strip()
