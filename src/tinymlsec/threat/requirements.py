"""Requirement metrics (CR, IR, AR) from what the owner says the assets are worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.entries import Asset, Threat
from tinymlsec.threat.facts import UNKNOWN, Facts

Property = Literal["confidentiality", "integrity", "availability"]

_PROPERTIES: tuple[tuple[Property, str, str], ...] = (
    ("confidentiality", "CR", "REQ-C"), ("integrity", "IR", "REQ-I"), ("availability", "AR", "REQ-A"),
)  # fmt: skip
_REQUIREMENT = {"none": "L", "low": "L", "medium": "M", "high": "H"}
_RANK = {"none": 0, "low": 0, "medium": 1, UNKNOWN: 1, "high": 2}

REQUIREMENT_ROWS: tuple[tuple[str, ...], ...] = (
    *((rule, f"all with assets under {name}", "`assets.*` of these assets", f"{metric}:L, M or H",
       f"{metric}:L, M or H",
       "The dearest asset decides: none and low L, medium M, high H; not known leaves the metric undefined.")
      for name, metric, rule in _PROPERTIES),
    ("REQ-S", "all with actuation among their assets", "`product.safety_critical` = yes", "IR:H", "IR:H",
     "What actuators do then counts as of high worth."),
)  # fmt: skip
"""Rows of the printed table of rules."""


class Requirement(NamedTuple):
    """One requirement metric with its reason."""

    metric: str
    value: str
    rule: str
    reason: str
    fact: str


def requirements(threat: Threat, facts: Facts) -> tuple[Requirement, ...]:
    """The requirement metrics that follow from the worth of a threat's assets; the same in CVSS 3.1 and 4.0."""
    found = []
    for name, metric, rule in _PROPERTIES:
        assets: tuple[Asset, ...] = getattr(threat.assets, name)
        if not assets:
            continue
        fact, worth = dearest(assets, facts)
        if worth != UNKNOWN:
            by_safety = fact == "product.safety_critical"
            reason = f"The {name} of {'what actuators do' if by_safety else fact.partition('.')[2]} is at stake."
            found.append(Requirement(metric, _REQUIREMENT[worth], "REQ-S" if by_safety else rule, reason, fact))
    return tuple(found)


def dearest(assets: Iterable[Asset], facts: Facts) -> tuple[str, str]:
    """The fact and the worth of the dearest of some assets; what is not known counts as medium.

    Returns:
        Name of the deciding fact and its worth: none, low, medium, high or unknown.
    """
    worths = [pair for asset in assets for pair in _worths(asset, facts)]
    return max(worths, key=lambda pair: (_RANK[pair[1]], pair[1] == UNKNOWN))


def _worths(asset: Asset, facts: Facts) -> list[tuple[str, str]]:
    names = [f"assets.{entry}" for entry in load_catalog().assets[asset].profile]
    worths = [(name, facts.get(name, UNKNOWN)) for name in names]
    if asset == "actuation" and facts.get("product.safety_critical") == "yes":
        worths.append(("product.safety_critical", "high"))
    return worths
