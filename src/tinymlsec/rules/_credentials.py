"""Credentials in text: patterns that are bounded, so that a search takes time in proportion to the bytes.

A pattern alone is not enough where chance or documentation could match it: `check` then looks at the text, for
example whether the first part of a web token is JSON. What is shown of a secret is its first four characters.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tinymlsec.rules._image_places import Texts

MAX_OF_A_KIND = 8
"""Places of one kind that are reported."""
_PLACEHOLDER = re.compile(
    rb"(?i)^(?:x+|\*+|\.+|<.*|\$.*|%.*|\{.*|your.*|my_?(?:pass|secret|ssid|key).*|example.*|change_?me.*|none|null|true"
    rb"|false|required|invalid|incorrect|wrong|failed|error|not_?set|empty|missing)$"
)


class Credential(NamedTuple):
    """One that was found."""

    kind: str
    address: int
    shown: str
    """The first characters and the length."""


class Pattern(NamedTuple):
    """A kind of credential."""

    kind: str
    regex: re.Pattern[bytes]
    check: Callable[[bytes], bool] = lambda _: True
    """Says of the secret part (group 1 where there is one) whether it is one."""


def masked(secret: bytes) -> str:
    """The first four characters and the length: enough to find it, too little to use it."""
    head = secret[:4].decode("ascii", "replace")
    return f"{head}... ({len(secret)} characters)"


def mixed(secret: bytes) -> bool:
    """Letters of both cases and digits, and many different ones, as random tokens have them."""
    kinds = (rb"[a-z]", rb"[A-Z]", rb"[0-9]")
    return all(re.search(kind, secret) for kind in kinds) and len(set(secret)) >= min(12, len(secret) // 2)


def varied(secret: bytes) -> bool:
    """More than eight different characters."""
    return len(set(secret)) > 8


def _web_token(secret: bytes) -> bool:
    head = secret.split(b".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return False
    return isinstance(told, dict) and "alg" in told


def _real(secret: bytes) -> bool:
    """A value, and not a placeholder, a format string or the next word of a message."""
    return not _PLACEHOLDER.match(secret) and len(set(secret)) >= 4


def _basic(secret: bytes) -> bool:
    """Base64 of a name, a colon and a password."""
    try:
        told = base64.b64decode(secret, validate=True)
    except (ValueError, binascii.Error):
        return False
    return b":" in told and all(0x20 <= byte < 0x7F for byte in told)


_EDGE = rb"(?<![A-Za-z0-9_+/-])"
TOKENS: tuple[Pattern, ...] = (
    Pattern("AWS access key id", re.compile(_EDGE + rb"(A(?:KIA|SIA)[0-9A-Z]{16})(?![A-Za-z0-9])"), varied),
    Pattern("Google API key", re.compile(_EDGE + rb"(AIza[\w-]{35})(?![\w-])"), mixed),
    Pattern("GitHub token", re.compile(_EDGE + rb"(gh[pousr]_[A-Za-z0-9]{36})(?![A-Za-z0-9])"), mixed),
    Pattern("GitLab token", re.compile(_EDGE + rb"(glpat-[\w-]{20})(?![\w-])")),
    Pattern("Slack token", re.compile(_EDGE + rb"(xox[abprs]-[0-9]{8,14}-[A-Za-z0-9-]{10,80})")),
    Pattern("Stripe key", re.compile(_EDGE + rb"([sr]k_live_[A-Za-z0-9]{20,60})"), mixed),
    Pattern("Hugging Face token", re.compile(_EDGE + rb"(hf_[A-Za-z0-9]{34})(?![A-Za-z0-9])"), mixed),
    Pattern("Azure key", re.compile(rb"(?:SharedAccessKey|AccountKey)=([A-Za-z0-9+/]{40,90}={0,2})"), mixed),
    Pattern("Telegram bot token", re.compile(_EDGE + rb"([0-9]{8,10}:AA[\w-]{33})(?![\w-])"), mixed),
    Pattern("web token (JWT)", re.compile(_EDGE + rb"(eyJ[\w-]{8,400}\.eyJ[\w-]{8,1200}\.[\w-]{16,700})"), _web_token),
)  # fmt: skip
"""Tokens of services; each has a form of its own."""

IN_ADDRESS = Pattern(
    "password in an address",
    re.compile(rb"(?<![\w+.-])[a-z][a-z0-9+.-]{1,15}://[\w.+%-]{1,64}:([^\s:@/\"'<>%\x00-\x1f\x7f-\xff]{3,64})@[\w.-]{3,100}"),
    _real,
)  # fmt: skip
"""User name and password in front of a host name."""

ASSIGNED = Pattern(
    "password",
    re.compile(
        rb"(?i:(?<![A-Za-z])(?:wifi_?|wpa_?|mqtt_?|db_?|admin_?|root_?)?(?:password|passwd|passphrase|psk|api_?key|secret_?key|auth_?token))"
        rb"[\"']?[ ]?[:=][ ]?[\"']?([\x21\x23-\x26\x28-\x7e]{6,64})(?=[\"'\x00\s]|$)"
    ),
    _real,
)  # fmt: skip
"""A name that means a secret, a sign between, and a value."""

PASSWORD_HASH = Pattern(
    "password hash",
    re.compile(rb"(\$(?:1|5|6|y|2[aby])\$[./A-Za-z0-9$=,]{1,40}\$?[./A-Za-z0-9]{22,86})(?![./A-Za-z0-9])"),
)
"""As Unix systems store them (crypt)."""


DEFAULTS = Pattern(
    "default credentials",
    re.compile(
        rb"(?<![\w:.@/-])((?:admin|root|user|guest|support|service|pi|ubnt):(?:admin|root|user|guest|support|service"
        rb"|password|passw0rd|pass|1234(?:5(?:6(?:78?9?)?)?)?|default|toor|raspberry|ubnt|changeme))(?![\w:.@/-])"
    ),
)
"""Name and password of a factory, as one text."""

BASIC = Pattern("HTTP authorization", re.compile(rb"(?i:Authorization: ?Basic) ([A-Za-z0-9+/]{8,200}={0,2})"), _basic)
"""Name and password in the header of a request."""


PASSWORDS = (IN_ADDRESS, ASSIGNED, PASSWORD_HASH, DEFAULTS, BASIC)


def search(pattern: Pattern, texts: Texts) -> Iterator[Credential]:
    """Places of one kind, each secret once, at most `MAX_OF_A_KIND`."""
    seen: set[bytes] = set()
    for address, match in texts.search(pattern.regex):
        secret = match.group(1)
        if secret in seen or not pattern.check(secret):
            continue
        seen.add(secret)
        yield Credential(pattern.kind, address, masked(secret))
        if len(seen) == MAX_OF_A_KIND:
            return
