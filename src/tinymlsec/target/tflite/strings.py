"""Text in a model file that tells more than the model needs: paths, addresses, credentials, thresholds.

Every pattern is bounded, so the search takes time in proportion to the file, and long enough that random weights do
not match by chance. All of them match printable characters only, so the search goes over runs of these.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec._lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SEARCHED = 16 << 20
"""Bytes of the file that are searched."""
MAX_HITS = 20
"""Distinct hits kept of one kind."""
SHOWN = 160
"""Characters of a hit that are kept."""
SHORTEST = 6
"""Characters of the shortest text that a pattern matches, such as ``/tmp/a``."""

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

_HINTS: dict[str, tuple[bytes, ...]] = {
    "path": (b":\\", *(b"/" + place.removesuffix(b"s?") for place in _PLACES.lower().split(b"|"))),
    "contact": (b"@", b"://"),
    "secret": (b"akia", b"private key", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"aiza", b"hf_", b"key",
               b"secret", b"passw", b"token"),
    "threshold": (b"threshold", b"cutoff", b"cut_off"),
}  # fmt: skip
"""What text in small letters must hold before a pattern is worth trying: plain searches are quicker."""


@dataclass(frozen=True)
class Hit:
    """One piece of telling text."""

    kind: str
    """A key of PATTERNS."""
    offset: int
    """File offset of its first byte."""
    text: str


def printable_runs(data: bytes | memoryview, least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(starts, ends) of all runs of printable ASCII characters.

    Args:
        data: any bytes.
        least: length of the shortest run that counts.
    """
    raw = np.frombuffer(data, np.uint8)
    flags = np.zeros(raw.size + 2, np.int8)
    flags[1:-1] = (raw - np.uint8(0x20)) < 0x5F  # unsigned: what is below a blank wraps around
    edges = np.flatnonzero(flags[1:] != flags[:-1])
    starts, ends = edges[::2], edges[1::2]
    long_enough = ends - starts >= least
    return starts[long_enough], ends[long_enough]


def search_text(data: bytes | memoryview) -> tuple[Hit, ...]:
    """All telling text in a file, each text once, by kind and offset; at most MAX_HITS of a kind.

    Credentials are shortened to their first four characters: a report must not spread them.
    """
    view = memoryview(data)[:MAX_SEARCHED]
    starts, ends = printable_runs(view, SHORTEST)
    places = np.concatenate([[0], np.cumsum(ends - starts + 1)]).tolist()
    text = b"\0".join([bytes(view[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)])
    hits: list[Hit] = []
    lower = text.lower()
    for kind, pattern in PATTERNS.items():
        if not any(hint in lower for hint in _HINTS[kind]):
            continue
        found: dict[str, Hit] = {}
        for match in pattern.finditer(text):
            run = bisect_right(places, match.start()) - 1
            words = match.group().decode("ascii", "replace")[:SHOWN]
            offset = int(starts[run]) + match.start() - places[run]
            found.setdefault(words, Hit(kind, offset, shortened(words) if kind == "secret" else words))
            if len(found) == MAX_HITS:
                break
        hits += found.values()
    return tuple(hits)


def shortened(secret: str) -> str:
    """The first four characters of a credential and its length; a private key keeps its heading."""
    return secret if secret.startswith("-----BEGIN") else f"{secret[:4]}... ({len(secret)} characters)"
