"""Scores that somebody else published, imported to be shown beside ours. They never enter a computation."""

from __future__ import annotations

from pathlib import Path

from tinymlsec.errors import InputError
from tinymlsec.records import Record
from tinymlsec.target.toml_file import parse, read_text, validate
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.records import ReferenceScore


class _File(Record):
    """A table per threat id."""

    scores: dict[str, ReferenceScore]


def load_reference_scores(path: str | Path) -> dict[str, ReferenceScore]:
    """Reference scores from a TOML file with one table per threat.

    Example of a file::

        [scores.H9]
        v31 = 6.8
        v40 = 7.0
        source = "Author (year), table 4"

    Raises:
        InputError: the file cannot be read, does not follow the schema, or names a threat that does not exist.
    """
    path = Path(path)
    text = read_text(path, InputError, "give one table per threat, such as [scores.H9] with v31, v40 and source")
    found = validate(_File, parse(text, path, InputError), path, text, InputError).scores
    known = load_catalog().threats
    for name in found:
        if name not in known:
            raise InputError(f"{path}: no threat is called {name!r}", expected=f"one of {', '.join(known)}")
    return found
