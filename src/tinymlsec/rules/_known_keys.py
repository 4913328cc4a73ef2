"""Private keys that anybody can download: sample keys of boot loaders, test keys of libraries."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FILE = Path(__file__).with_name("data") / "known_keys.toml"


class KnownKey(NamedTuple):
    """A key whose private half is public."""

    name: str
    source: str
    """Where it is published."""


@cache
def known_keys() -> Mapping[str, KnownKey]:
    """Identity (`_der.identity`) -> the key."""
    with _FILE.open("rb") as file:
        rows = tomllib.load(file)["key"]
    return {digest: KnownKey(row["name"], row["source"]) for row in rows for digest in row["sha256"]}


def known(identities: tuple[str, ...]) -> KnownKey | None:
    """The published key that one of these identities belongs to."""
    return next((known_keys()[each] for each in identities if each in known_keys()), None)
