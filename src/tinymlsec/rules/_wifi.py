"""Wi-Fi passphrases in the storage partition of ESP chips (NVS).

Source: ESP-IDF Programming Guide, "Non-Volatile Storage Library": an entry has 32 bytes (namespace, type, span, chunk,
CRC-32, a key of 16 characters, 8 bytes of data); the value of a string or blob lies in the entries behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.rules._credentials import masked

_ENTRY = 32
_KEY_AT = 8
_TYPES = (0x21, 0x41, 0x42)
"""String, blob of old and of new versions."""
_KEYS = (b"sta.pswd", b"ap.passwd", b"ap.pswd")
_MOST = 8


def wifi_passwords(data: bytes) -> Iterator[tuple[int, str]]:
    """(offset of the entry, first characters and length of the passphrase) of those that hold one.

    Args:
        data: stored bytes of an image.
    """
    found = 0
    for key in _KEYS:
        at = data.find(key + b"\0")
        while at >= 0 and found < _MOST:
            secret = _value(data, at - _KEY_AT)
            if secret:
                found += 1
                yield at - _KEY_AT, masked(secret)
            at = data.find(key + b"\0", at + 1)


def _value(data: bytes, entry: int) -> bytes:
    """The passphrase of an entry; empty where there is none."""
    if entry < 0 or entry + 2 * _ENTRY > len(data) or data[entry + 1] not in _TYPES or not 2 <= data[entry + 2] <= 4:
        return b""
    size = int.from_bytes(data[entry + 24 : entry + 26], "little")
    if not 8 <= size <= (data[entry + 2] - 1) * _ENTRY:
        return b""
    value = data[entry + _ENTRY : entry + _ENTRY + size].split(b"\0")[0]
    return value if len(value) >= 8 and all(0x20 <= byte < 0x7F for byte in value) else b""
