"""Text in a model file that tells more than the model needs: paths, addresses, credentials, thresholds.

Every pattern is bounded, so the search takes time in proportion to the file, and long enough that random weights do
not match by chance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SEARCHED = 64 << 20
"""Bytes of the file that are searched."""
MAX_HITS = 20
"""Distinct hits kept of one kind."""
SHOWN = 160
"""Characters of a hit that are kept."""

_PLACES = (
    rb"home|Users|root|mnt|media|opt|srv|tmp|var|content|workspaces?|builds?|work|private|Volumes|usr|kaggle|gdrive|"
    rb"data|datasets?|projects?|scratch|jenkins|runner"
)
PATTERNS: dict[str, re.Pattern[bytes]] = {
    "path": re.compile(
        rb"(?<![\w./:~-])/(?:" + _PLACES + rb")/[\w.+@-]{1,64}(?:/[\w.+@-]{1,64}){0,24}"
        rb"|(?<![A-Za-z])[A-Za-z]:\\(?:[\w.+@ -]{2,64}\\){1,24}[\w.+@-]{1,64}"
    ),
    "contact": re.compile(
        rb"https?://[\w.-]{4,200}(?:/[\w./%~?=&#-]{0,200})?"
        rb"|(?<![\w.+-])[A-Za-z0-9][\w.+-]{2,63}@[A-Za-z0-9][A-Za-z0-9-]{2,63}(?:\.[A-Za-z]{2,12}){1,3}(?![\w-])"
    ),
    "secret": re.compile(
        rb"AKIA[0-9A-Z]{16}|-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY-----|gh[pousr]_[A-Za-z0-9]{36}"
        rb"|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,40}"
        rb"|(?i:api[_-]?key|secret|passwd|password|auth[_-]?token)[\"']?[ ]?[:=][ ]?[\"']?[\w.+/=-]{6,64}"
    ),
    "threshold": re.compile(rb"(?i:[\w.-]{0,32}(?:threshold|cut_?off))[\"']?[ ]?[:=][ ]?[\"']?-?\d[\d.]{0,15}"),
}


@dataclass(frozen=True)
class Hit:
    """One piece of telling text."""

    kind: str
    """A key of PATTERNS."""
    offset: int
    """File offset of its first byte."""
    text: str


def search_text(data: bytes) -> tuple[Hit, ...]:
    """All telling text in a file, each text once, by kind and offset; at most MAX_HITS of a kind.

    Credentials are shortened to their first four characters: a report must not spread them.
    """
    hits: list[Hit] = []
    for kind, pattern in PATTERNS.items():
        found: dict[str, Hit] = {}
        for match in pattern.finditer(data, 0, MAX_SEARCHED):
            text = match.group().decode("ascii", "replace")[:SHOWN]
            found.setdefault(text, Hit(kind, match.start(), shortened(text) if kind == "secret" else text))
            if len(found) == MAX_HITS:
                break
        hits += found.values()
    return tuple(hits)


def shortened(secret: str) -> str:
    """The first four characters of a credential and its length; a private key keeps its heading."""
    return secret if secret.startswith("-----BEGIN") else f"{secret[:4]}... ({len(secret)} characters)"
