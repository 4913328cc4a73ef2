"""Keys and certificates in DER, read strictly: every length must add up, so that random bytes do not pass for one.

Sources: RFC 8017 (RSA keys), RFC 5915 (EC private keys), RFC 5958 (PKCS #8), RFC 5280 (certificates).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

INTEGER, BITS, OCTETS, OID, SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
_TIMES = (0x17, 0x18)
_START = re.compile(rb"\x30(?:[\x20-\x7f]|\x81[\x80-\xff]|\x82[\x01-\x20][\x00-\xff])(?=\x02[\x01\x41\x81\x82]|\x30)")
_EC_BYTES = (24, 28, 32, 48, 66)
_RSA_BITS = range(512, 8193)
RSA, EC = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a8648ce3d0201")
_CURVES_25519 = {bytes.fromhex(f"2b65{n:02x}"): name for n, name in ((0x6E, "X25519"), (0x70, "Ed25519"))}
_MOST_PARTS = 16
MAX_STARTS = 20_000
"""Places of one run that are looked at; random bytes have one in 30 KiB."""


class Part(NamedTuple):
    """One element: its tag and the place of its content."""

    tag: int
    start: int
    end: int


@dataclass(frozen=True)
class Key:
    """A key that was found."""

    kind: str
    """Such as ``RSA private key``."""
    bits: int
    end: int
    """First byte behind it."""
    identities: tuple[str, ...]
    """SHA-256 of its modulus, point, scalar or seed: what tells one key from another in whatever wrapping."""

    @property
    def private(self) -> bool:
        """Whether it is a secret."""
        return "private" in self.kind


@dataclass(frozen=True)
class Certificate:
    """A certificate (X.509)."""

    end: int
    not_after: datetime | None
    key: Key | None
    """Its public key, where we know the algorithm."""


def parts_of(data: bytes, start: int, end: int) -> list[Part] | None:
    """Elements that fill a range exactly; None where they do not."""
    parts: list[Part] = []
    at = start
    while at < end:
        part = element(data, at, end)
        if part is None or len(parts) == _MOST_PARTS:
            return None
        parts.append(part)
        at = part.end
    return parts


def element(data: bytes, at: int, end: int) -> Part | None:
    """The element at a place; None where none fits before `end`."""
    if at + 2 > end:
        return None
    size, body = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 3 or body + count > end:
            return None
        size = int.from_bytes(data[body : body + count], "big")
        body += count
        if size < 0x80:  # DER takes the shortest form
            return None
    return Part(data[at], body, body + size) if body + size <= end else None


def find(data: bytes) -> Iterator[tuple[int, Key | Certificate]]:
    """(offset, what lies there) of every key and certificate that does not lie inside another one."""
    at = 0
    for _ in range(MAX_STARTS):
        match = _START.search(data, at)
        if match is None:
            return
        at = match.start() + 1
        found = read(data, match.start())
        if found is not None:
            yield match.start(), found
            at = found.end


def read(data: bytes, at: int) -> Key | Certificate | None:
    """The key or certificate that starts at a place; None where there is none."""
    whole = element(data, at, len(data))
    if whole is None or whole.tag != SEQUENCE:
        return None
    parts = parts_of(data, whole.start, whole.end)
    if not parts or len(parts) < 2:
        return None
    tags = [part.tag for part in parts]
    if tags[:3] == [SEQUENCE, SEQUENCE, BITS] and len(parts) == 3:
        return _certificate(data, parts, whole.end)
    if tags[:2] == [SEQUENCE, BITS] and len(parts) == 2:
        return _public(data, parts, whole.end)
    if tags[:3] == [INTEGER, SEQUENCE, OCTETS]:
        return _pkcs8(data, parts, whole.end)
    if tags[:2] == [INTEGER, OCTETS]:
        return _ec_private(data, parts, whole.end)
    return _rsa(data, parts, whole.end) if set(tags) == {INTEGER} else None


def _bytes(data: bytes, part: Part) -> bytes:
    return data[part.start : part.end]


def _number(data: bytes, part: Part) -> int:
    return int.from_bytes(_bytes(data, part), "big")


def identity(material: bytes) -> str:
    """What a key is known by: SHA-256 of its number without leading zeros."""
    return hashlib.sha256(material.lstrip(b"\0")).hexdigest()


def _rsa(data: bytes, parts: list[Part], end: int) -> Key | None:
    """RSAPrivateKey (version 0 and eight numbers) or RSAPublicKey (two)."""
    if len(parts) not in (2, 9):
        return None
    n, e = (parts[0], parts[1]) if len(parts) == 2 else (parts[1], parts[2])
    modulus, exponent = _number(data, n), _number(data, e)
    bits = modulus.bit_length()
    if bits not in _RSA_BITS or modulus % 2 == 0 or exponent not in (3, 17, 257, 65537):
        return None
    if len(parts) == 9:
        p, q = _number(data, parts[4]), _number(data, parts[5])
        if _number(data, parts[0]) != 0 or p * q != modulus:
            return None
    kind = "RSA private key" if len(parts) == 9 else "RSA public key"
    return Key(kind, bits, end, (identity(_bytes(data, n)),))


def _ec_private(data: bytes, parts: list[Part], end: int) -> Key | None:
    """ECPrivateKey; one of the optional parts must be there, or six bytes of chance would do."""
    size = parts[1].end - parts[1].start
    if _number(data, parts[0]) != 1 or size not in _EC_BYTES or not 3 <= len(parts) <= 4:
        return None
    if any(part.tag not in (0xA0, 0xA1) for part in parts[2:]):
        return None
    identities = [identity(_bytes(data, parts[1]))]
    for part in parts[2:]:
        inner = element(data, part.start, part.end)
        if inner is None or inner.tag != (OID if part.tag == 0xA0 else BITS):
            return None
        if inner.tag == BITS:
            identities.append(identity(data[inner.start + 2 : inner.end]))
    return Key("EC private key", 521 if size == 66 else size * 8, end, tuple(identities))


def _pkcs8(data: bytes, parts: list[Part], end: int) -> Key | None:
    if _number(data, parts[0]) not in (0, 1):
        return None
    algorithm = element(data, parts[1].start, parts[1].end)
    if algorithm is None or algorithm.tag != OID:
        return None
    name, body = _bytes(data, algorithm), parts[2]
    if name in _CURVES_25519:
        seed = element(data, body.start, body.end)
        if seed is None or seed.end - seed.start != 32:
            return None
        return Key(f"{_CURVES_25519[name]} private key", 256, end, (identity(_bytes(data, seed)),))
    inner = element(data, body.start, body.end)
    within = parts_of(data, inner.start, inner.end) if inner is not None and inner.tag == SEQUENCE else None
    if not within:
        return None
    if name == RSA:
        return _rsa(data, within, end)
    if name == EC and len(within) >= 2 and within[1].tag == OCTETS:
        # The curve stands outside; a public point may be missing.
        size = within[1].end - within[1].start
        key = _ec_private(data, within, end)
        bare = Key("EC private key", size * 8, end, (identity(_bytes(data, within[1])),))
        return key or (bare if size in _EC_BYTES and len(within) == 2 else None)
    return None


def _public(data: bytes, parts: list[Part], end: int) -> Key | None:
    """SubjectPublicKeyInfo."""
    algorithm = element(data, parts[0].start, parts[0].end)
    if algorithm is None or algorithm.tag != OID or parts[1].end - parts[1].start < 2 or data[parts[1].start]:
        return None
    name, start = _bytes(data, algorithm), parts[1].start + 1
    material = data[start : parts[1].end]
    if name == RSA:
        whole = element(data, start, parts[1].end)
        within = parts_of(data, whole.start, whole.end) if whole is not None else None
        return _rsa(data, within, end) if within and len(within) == 2 else None
    if name == EC and material[:1] == b"\x04" and (len(material) - 1) // 2 in _EC_BYTES:
        return Key("EC public key", (len(material) - 1) * 4, end, (identity(material[1:]),))
    if name in _CURVES_25519 and len(material) == 32:
        return Key(f"{_CURVES_25519[name]} public key", 256, end, (identity(material),))
    return None


def _certificate(data: bytes, parts: list[Part], end: int) -> Certificate | None:
    fields = parts_of(data, parts[0].start, parts[0].end)
    if fields and fields[0].tag == 0xA0:
        fields = fields[1:]
    if not fields or [f.tag for f in fields[:6]] != [INTEGER, *[SEQUENCE] * 5]:
        return None
    times = parts_of(data, fields[3].start, fields[3].end)
    if not times or len(times) != 2 or any(part.tag not in _TIMES for part in times):
        return None
    info = parts_of(data, fields[5].start, fields[5].end)
    public = _public(data, info, end) if info and [p.tag for p in info] == [SEQUENCE, BITS] else None
    return Certificate(end, _time(_bytes(data, times[1]), times[1].tag), public)


def _time(text: bytes, tag: int) -> datetime | None:
    """UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5): two-digit years of 50 and above are of the last century."""
    digits = text.decode("ascii", "replace")
    if tag == 0x17:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
