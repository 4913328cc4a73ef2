"""The threat catalog: 41 classes in three layers and eleven groups, read from `catalog/*.toml`.

The classes and their facts come from the literature named in each file. The eleven groups are our reconstruction of the
eleven classes of Huckelberry et al., "TinyML Security" (arXiv 2411.07114), whose own tables were not available. Base
vectors are ours, too.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import Field, model_validator

from tinymlsec.errors import InputError
from tinymlsec.records import Record
from tinymlsec.threat.entries import Asset, AssetInfo, Defense, Group, Layer, LayerId, Position, Text, Threat

_THREAT_FILE = re.compile(r"^[hsm]\d{1,2}\.toml$")
_DEFENSE_FILE = re.compile(r"^defenses_(model|firmware|platform|process)\.toml$")
_LAYER_ORDER = "HSM"


class Catalog(Record):
    """All threat classes with the tables they refer to, checked against each other."""

    threats: dict[str, Threat] = Field(min_length=1)
    """By id, hardware first, then software, then model."""
    layers: dict[LayerId, Layer]
    groups: tuple[Group, ...]
    positions: dict[Position, Text]
    assets: dict[Asset, AssetInfo]
    defenses: dict[str, Defense]

    @model_validator(mode="after")
    def _references_hold(self) -> Catalog:
        layer_of = {group.number: group.layer for group in self.groups}
        for key, threat in self.threats.items():
            unknown = [name for name in threat.defenses if name not in self.defenses]
            if key != threat.id or unknown:
                raise ValueError(f"{key}: id {threat.id}, unknown defenses {unknown}")
            if layer_of.get(threat.group) != threat.layer:
                raise ValueError(f"{key}: group {threat.group} is not in layer {threat.layer}")
        return self

    def threat(self, threat_id: str) -> Threat:
        """One class by its id, in any case.

        Raises:
            InputError: there is no such class.
        """
        found = self.threats.get(threat_id.upper())
        if found is None:
            raise InputError(
                f"no threat is called {threat_id!r}",
                expected=f"one of {', '.join(self.threats)}",
                next_step="tinymlsec list threats",
            )
        return found

    def group(self, number: int) -> Group:
        """One group by its number, 1 to 11."""
        return next(group for group in self.groups if group.number == number)

    def in_group(self, number: int) -> tuple[Threat, ...]:
        """The classes of one group."""
        return tuple(threat for threat in self.threats.values() if threat.group == number)

    def defense(self, defense_id: str) -> Defense:
        """One defense by its id.

        Raises:
            InputError: there is no such defense.
        """
        found = self.defenses.get(defense_id)
        if found is None:
            close = difflib.get_close_matches(defense_id, self.defenses, n=1)
            raise InputError(
                f"no defense is called {defense_id!r}",
                expected=f"one of the {len(self.defenses)} ids of the catalog",
                next_step=f"did you mean {close[0]!r}?" if close else None,
            )
        return found

    def helped_by(self, defense_id: str) -> tuple[str, ...]:
        """Ids of the classes that a defense is listed for."""
        return tuple(threat.id for threat in self.threats.values() if defense_id in threat.defenses)


@cache
def load_catalog() -> Catalog:
    """The catalog that comes with the package, read and checked once."""
    folder = {entry.name: entry for entry in files("tinymlsec.threat").joinpath("catalog").iterdir()}
    threats = [_read(entry) for name, entry in folder.items() if _THREAT_FILE.match(name)]
    threats.sort(key=lambda item: (_LAYER_ORDER.index(item["id"][0]), int(item["id"][1:])))
    common = _read(folder["groups.toml"])
    return Catalog.model_validate(
        {
            "threats": {item["id"]: item for item in threats},
            "layers": {name: {"id": name, **layer} for name, layer in common["layers"].items()},
            "groups": common["groups"],
            "positions": common["positions"],
            "assets": common["assets"],
            "defenses": _read_defenses(folder),
        }
    )


def _read(entry: Traversable) -> dict[str, Any]:
    return tomllib.loads(entry.read_text(encoding="utf-8"))


def _read_defenses(folder: dict[str, Traversable]) -> dict[str, dict[str, Any]]:
    """All defenses by id; the file's name says of which kind they are."""
    defenses: dict[str, dict[str, Any]] = {}
    for name in sorted(folder):
        if match := _DEFENSE_FILE.match(name):
            for defense_id, fields in _read(folder[name]).items():
                if defense_id in defenses:
                    raise ValueError(f"defense {defense_id!r} is defined twice")
                defenses[defense_id] = {"id": defense_id, "kind": match.group(1), **fields}
    return defenses
