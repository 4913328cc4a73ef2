"""Keys and certificates in DER, made of random numbers: they have the form of keys and open nothing."""

from __future__ import annotations

import base64
import random

CURVE = bytes.fromhex("2a8648ce3d030107")
RSA, EC, ED25519 = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2b6570")


def der(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    size = len(body)
    head = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + body


def integer(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def sequence(*content: bytes) -> bytes:
    return der(0x30, *content)


def rsa_numbers(bits: int, seed: int) -> tuple[int, int, int]:
    """(n, p, q) with odd numbers in place of primes."""
    rng = random.Random(seed)
    half = bits // 2
    p, q = (rng.getrandbits(half) | 1 | 3 << (half - 2) for _ in range(2))
    return p * q, p, q


def rsa_private(bits: int = 1024, seed: int = 1) -> bytes:
    n, p, q = rsa_numbers(bits, seed)
    return sequence(*(integer(v) for v in (0, n, 65537, n // 3, p, q, p // 3, q // 3, q // 5)))


def rsa_public(bits: int = 1024, seed: int = 1) -> bytes:
    return sequence(integer(rsa_numbers(bits, seed)[0]), integer(65537))


def ec_private(seed: int = 2) -> bytes:
    rng = random.Random(seed)
    point = der(0xA1, der(3, b"\0\x04" + rng.randbytes(64)))
    return sequence(integer(1), der(4, rng.randbytes(32)), der(0xA0, der(6, CURVE)), point)


def ec_public(seed: int = 2) -> bytes:
    rng = random.Random(seed)
    algorithm = sequence(der(6, EC), der(6, CURVE))
    return sequence(algorithm, der(3, b"\0\x04" + rng.randbytes(64)))


def pkcs8(inner: bytes, oid: bytes) -> bytes:
    return sequence(integer(0), sequence(der(6, oid), der(5)), der(4, inner))


def ed25519_private(seed: int = 3) -> bytes:
    return sequence(integer(0), sequence(der(6, ED25519)), der(4, der(4, random.Random(seed).randbytes(32))))


def certificate(until: bytes, key: bytes | None = None) -> bytes:
    """A certificate valid until a UTCTime such as b"300101000000Z"."""
    name, algorithm = sequence(), sequence(der(6, RSA), der(5))
    validity = sequence(der(0x17, b"200101000000Z"), der(0x17, until))
    body = sequence(der(0xA0, integer(2)), integer(7), algorithm, name, validity, name, key or ec_public())
    return sequence(body, algorithm, der(3, b"\0" + bytes(range(64))))


def pem(label: str, content: bytes) -> bytes:
    text = base64.b64encode(content).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()
