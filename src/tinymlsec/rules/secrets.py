"""SECRET: keys, certificates and credentials that lie in a firmware image.

Whoever has the image has them: a download or one readout is enough. Messages show the first four characters of a
credential and nothing of a key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, pairwise

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules import _credentials as credentials
from tinymlsec.rules import _der as der
from tinymlsec.rules._image_places import Stored, at_address, stored
from tinymlsec.rules._known_keys import known
from tinymlsec.rules._wifi import wifi_passwords
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ImageFile

MAX_KEYS = 64
"""Keys and certificates of one image that are looked at."""
MAX_ARMORED = 256
"""PEM blocks of one run that are looked at."""
_LONGEST_PEM = 16_384
_PEM_BEGIN = re.compile(rb"-----BEGIN ((?:[A-Z0-9]{2,12} ){0,3}(?:PRIVATE KEY|CERTIFICATE))-----")
_OPENSSH = b"openssh-key-v1\0"
_SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:aes|hmac|secret|private|psk|device|encryption|enc|session|signing|master)_?key(?:_|s?$|\d)"
)
_SECRET_SIZES = (16, 24, 32, 48, 64)
_RENEW = "make a new key for each device, provision it at production into protected storage, and revoke this one"
_STORE = "revoke the credential, and give each device its own at production, outside of the image"


def _keys(file: ImageFile) -> Iterator[tuple[int, der.Key, bool]]:
    """(address, key, whether it stood in PEM) of every key and certificate, at most `MAX_KEYS`."""
    left = MAX_KEYS
    for address, found, armored in _material(file):
        key = found.key if isinstance(found, der.Certificate) else found
        if key is not None and left:
            left -= 1
            yield address, key, armored


def _material(file: ImageFile) -> Iterator[tuple[int, der.Key | der.Certificate, bool]]:
    for run in stored(file):
        for offset, found in der.find(run.data):
            yield run.address + offset, found, False
        for address, content in _armored(run):
            read = der.read(content, 0)
            if read is not None:
                yield address, read, True


def _armored(run: Stored) -> Iterator[tuple[int, bytes]]:
    """(address, content) of every PEM block; encrypted ones have no content that we read."""
    for match in islice(_PEM_BEGIN.finditer(run.data), MAX_ARMORED):
        end = run.data.find(b"-----END " + match[1] + b"-----", match.end(), match.end() + _LONGEST_PEM)
        body = b"".join(line for line in run.data[match.end() : max(end, 0)].split() if b":" not in line)
        try:
            content = base64.b64decode(body, validate=True)
        except binascii.Error:
            continue
        if content:
            yield run.address + match.start(), content


@rule(
    "SECRET-01", "A private key in the image", subject=Subject.IMAGE, severity=Severity.CRITICAL,
    confidence=Confidence.HIGH, cwe="CWE-321 CWE-798 CWE-312", threats="S12", fix=_RENEW,
    source="CWE-321, MITRE; Costin et al., A Large-Scale Analysis of the Security of Embedded Firmwares, "
    "USENIX Security 2014",
)  # fmt: skip
def private_key(file: ImageFile) -> Iterator[Hit]:
    """A private key (RSA, EC, Ed25519 or X25519; DER, PEM or OpenSSH) lies in the stored bytes.

    DER is read strictly (RFC 8017, 5915, 5958): all lengths must add up, the primes of an RSA key must give its
    modulus. A parser's own words ("-----BEGIN RSA PRIVATE KEY-----" without a key behind) are no finding. Keys that are
    published as samples are SECRET-02 instead.
    """
    for address, key, armored in _keys(file):
        if key.private and known(key.identities) is None:
            form = "PEM" if armored else "DER"
            yield Hit(f"{key.kind} of {key.bits} bits ({form}); expected: none.", at_address(file, address))
    for run in stored(file):
        for address, content in _armored(run):
            if content.startswith(_OPENSSH):
                yield Hit("OpenSSH private key (PEM); expected: none.", at_address(file, address))


@rule(
    "SECRET-02", "A key whose private half is public", subject=Subject.IMAGE, severity=Severity.CRITICAL,
    confidence=Confidence.HIGH, cwe="CWE-798 CWE-1392 CWE-321", threats="S12 S4 S6",
    fix="replace it by a key of your own whose private half never leaves the signing service",
    source="MCUboot, Image tool: the distributed development key must never be used for production (docs.mcuboot.com)",
)  # fmt: skip
def published_key(file: ImageFile) -> Iterator[Hit]:
    """A public or private key that is published with its private half as a sample or test key.

    A boot loader that checks signatures with the sample key of MCUboot takes updates from anybody. Keys are told apart
    by the SHA-256 of their modulus, point, scalar or seed; the list (`rules/data/known_keys.toml`) holds digests only.
    """
    for address, key, _ in _keys(file):
        same = known(key.identities)
        if same is not None:
            said = f"{key.kind} of {key.bits} bits is the {same.name}, published in {same.source}."
            yield Hit(said, at_address(file, address))


@rule(
    "SECRET-03", "A token of a service in the image", subject=Subject.IMAGE, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-798 CWE-312", threats="S12", fix=_STORE,
    source="CWE-798, MITRE; forms of tokens as the services document them",
)  # fmt: skip
def service_token(file: ImageFile) -> Iterator[Hit]:
    """A token in the form of a known service (AWS, Google, GitHub, GitLab, Slack, Stripe, Hugging Face, Azure,
    Telegram) or a signed web token (JWT, whose first part must be JSON with an algorithm).

    Tokens of random characters must hold letters of both cases and digits. Four characters are shown.
    """
    for pattern in credentials.TOKENS:
        yield from _credential(file, pattern)


@rule(
    "SECRET-04", "A password in the image", subject=Subject.IMAGE, severity=Severity.HIGH,
    confidence=Confidence.MEDIUM, cwe="CWE-259 CWE-798", threats="S12", fix=_STORE,
    source="CWE-259, MITRE; OWASP IoT Top 10, I1, 2018",
)  # fmt: skip
def password(file: ImageFile) -> Iterator[Hit]:
    """A password: in the address of a server (scheme://user:password@host), behind a name that means one
    (`password=`, `psk:`), in a request's header, as a factory's default (`admin:admin`), or as the hash that Unix
    systems store.

    Placeholders (`<password>`, `%s`, `changeme`, `xxxx`) and single words of messages do not count.
    """
    for pattern in credentials.PASSWORDS:
        yield from _credential(file, pattern)


@rule(
    "SECRET-05", "Wi-Fi credentials in the image", subject=Subject.IMAGE, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-798 CWE-312", threats="S12",
    fix="leave the storage partition out of the image, and let the user provision the network on each device",
    source="ESP-IDF Programming Guide, Non-Volatile Storage Library, structure of entries",
)  # fmt: skip
def wifi(file: ImageFile) -> Iterator[Hit]:
    """A stored Wi-Fi passphrase: the entry `sta.pswd` (or `ap.passwd`) of an ESP storage partition with a value in it.

    Images that were read out of a used device hold it; so do images of a factory that copies one unit to all.
    """
    for run in stored(file):
        for offset, shown in wifi_passwords(run.data):
            yield Hit(f"stored Wi-Fi passphrase {shown}.", at_address(file, run.address + offset))


@rule(
    "SECRET-06", "A named key constant in the image", subject=Subject.IMAGE, severity=Severity.HIGH,
    confidence=Confidence.MEDIUM, cwe="CWE-321 CWE-798", threats="S12", fix=_RENEW,
    source="CWE-321, MITRE",
)  # fmt: skip
def named_key(file: ImageFile) -> Iterator[Hit]:
    """A constant whose symbol is called a key (`aes_key`, `g_hmac_key`), of a key's size, with random-looking bytes.

    Constants without a name are no finding: weights, tables and keys look alike, and a guess would be wrong more often
    than right. The bytes must be stored, must not be all alike, a count, or text.
    """
    for symbol in file.image.all_symbols:
        if symbol.kind == "object" and symbol.size in _SECRET_SIZES and _SECRET_NAME.search(symbol.name):
            content = _content(file, symbol.address, symbol.size)
            if content is not None and _random(content[1]):
                yield Hit(
                    f"the constant {symbol.name[:80]} of {symbol.size} bytes holds random-looking bytes; "
                    "expected: a key that comes from protected storage.",
                    at_address(file, content[0], symbol.name),
                )  # fmt: skip


@rule(
    "SECRET-07", "A certificate that has expired", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-298", threats="S12",
    fix="renew the certificate, and give devices a way to replace trust anchors in the field",
    source="RFC 5280, 4.1.2.5",
)  # fmt: skip
def expired(file: ImageFile) -> Iterator[Hit]:
    """A certificate (X.509, DER or PEM) in the image whose validity has ended.

    A device that checks validity cannot connect any more; one that connects all the same does not check it.
    """
    now = datetime.now(UTC)
    for address, found, _ in _material(file):
        if isinstance(found, der.Certificate) and found.not_after is not None and found.not_after < now:
            yield Hit(f"a certificate was valid until {found.not_after:%Y-%m-%d}.", at_address(file, address))


def _credential(file: ImageFile, pattern: credentials.Pattern) -> Iterator[Hit]:
    for found in credentials.search(pattern, file.texts):
        yield Hit(f"{found.kind}: {found.shown}.", at_address(file, found.address))


def _content(file: ImageFile, address: int, size: int) -> tuple[int, bytes] | None:
    """(load address, bytes) of what code sees at an address; None where it is not stored (zeroed variables)."""
    for s in file.image.segments:
        at = address - s.virtual_address
        if at >= 0 and at + size <= len(s.data):
            return s.address + at, s.data[at : at + size]
    return None


def _random(content: bytes) -> bool:
    """Many different bytes, no text, no count: what a key looks like."""
    steps = {(b - a) % 256 for a, b in pairwise(content)}
    printable = sum(0x20 <= byte < 0x7F for byte in content)
    return len(set(content)) >= len(content) // 2 and len(steps) > 3 and printable < len(content)
