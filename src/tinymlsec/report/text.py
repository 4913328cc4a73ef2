"""Text from strangers, made harmless to look at.

Names of models, tensors and classes come out of files that nobody has checked. Escaping keeps them out of the markup of
a page; this module keeps them from deceiving its reader: control characters, characters that reverse the direction of
writing and characters without width are shown as escapes, and what is too long says how much was left out.
"""

from __future__ import annotations

import math
import re
import unicodedata

LIMIT = 2000
"""Characters of one text that a page shows at most."""

_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
_MAX_MARKS = 4
_PLAIN = re.compile(r"[\x20-\x7e]*")


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _visible(text: str) -> str:
    """Escape what cannot be seen, and break up stacks of combining marks that would paint over their neighbors."""
    out: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = category in _HIDDEN or character in _FILLERS or marks > _MAX_MARKS
        out.append(_escape(character) if hidden else character)
    return "".join(out)


def clean(text: str, limit: int = LIMIT) -> str:
    """A text as it may be shown: on one line, without invisible characters, at most `limit` characters long.

    Args:
        text: anything, from anywhere.
        limit: characters to keep; a longer text ends with the number of characters left out.
    """
    kept = text[:limit]
    if not _PLAIN.fullmatch(kept):
        kept = _visible(kept.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))
    left_out = len(text) - limit
    return kept if left_out <= 0 else f"{kept}\u2026 [{left_out:,} more characters]"


def short(text: str, limit: int = 80) -> str:
    """A name as it may be shown in a heading or a table cell; see `clean`."""
    return clean(text, limit)


def number(value: float) -> str:
    """A number with four significant digits, without an exponent where people do not expect one."""
    if isinstance(value, int):
        return f"{value:,}"[:100]
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3e}"


def quantity(value: float, unit: str) -> str:
    """A number with its unit; shares become percentages."""
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{number(value)} {unit}".rstrip()
