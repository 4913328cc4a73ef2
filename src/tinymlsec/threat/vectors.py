"""CVSS vectors as dictionaries, which of two values is worse, and their scores by the `cvss` package.

Source: FIRST, "Common Vulnerability Scoring System", specifications of versions 3.1 and 4.0. The package is used for
arithmetic only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

Version = Literal["3.1", "4.0"]

MILDEST_FIRST: dict[str, str] = {
    "AV": "PLAN", "AC": "HL", "AT": "PN", "PR": "HLN", "S": "UC", "C": "NLH", "I": "NLH", "A": "NLH",
    "VC": "NLH", "VI": "NLH", "VA": "NLH", "SC": "NLH", "SI": "NLHS", "SA": "NLHS",
}  # fmt: skip
"""Values of each base metric from mildest to worst. UI differs by version."""

_USER_INTERACTION: dict[Version, str] = {"3.1": "RN", "4.0": "APN"}


def parse(vector: str) -> tuple[Version, dict[str, str]]:
    """Version and metrics of a vector string, in its order.

    Raises:
        ValueError: not a CVSS 3.1 or 4.0 vector.
    """
    head, *parts = vector.split("/")
    version = head.removeprefix("CVSS:")
    if version not in ("3.1", "4.0") or not all(part.count(":") == 1 for part in parts):
        raise ValueError(f"not a CVSS 3.1 or 4.0 vector: {vector[:120]!r}")
    metrics = dict(part.split(":") for part in parts)
    if len(metrics) != len(parts):
        raise ValueError(f"a metric stands twice in {vector[:120]!r}")
    return ("3.1" if version == "3.1" else "4.0"), metrics


def join(version: Version, metrics: Mapping[str, str]) -> str:
    """The vector string of metrics, in the order given."""
    return "/".join((f"CVSS:{version}", *(f"{name}:{value}" for name, value in metrics.items())))


def rank(version: Version, metric: str, value: str) -> int:
    """0 for the mildest value of a base metric, more for worse ones; 'MAV' counts as 'AV'."""
    name = base_metric(metric)
    values = _USER_INTERACTION[version] if name == "UI" else MILDEST_FIRST[name]
    return values.index(value)


def base_metric(metric: str) -> str:
    """The base metric that a modified metric stands for."""
    return metric.removeprefix("M")


@lru_cache(maxsize=65536)
def scores_v31(vector: str) -> tuple[float, float]:
    """Base and environmental score of a CVSS 3.1 vector."""
    from cvss import CVSS3

    base, _, environmental = CVSS3(vector).scores()
    return float(base), float(environmental)


@lru_cache(maxsize=65536)
def score_v40(vector: str) -> float:
    """Score of a CVSS 4.0 vector: B, BT, BE or BTE, by the metrics that are in it."""
    from cvss import CVSS4

    return float(CVSS4(vector).base_score)
