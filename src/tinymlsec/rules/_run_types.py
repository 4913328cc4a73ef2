"""Types of data and weights that the kernels of a runtime take."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.rules._sites import Site, sites
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile

WEIGHTED = {"CONV_2D": (0, 1), "DEPTHWISE_CONV_2D": (0, 1), "FULLY_CONNECTED": (0, 1), "TRANSPOSE_CONV": (2, 1)}
MICRO_PAIRS = {
    "CONV_2D": {("float32", "float32"), ("int8", "int8"), ("int8", "int4"), ("int16", "int8")},
    "DEPTHWISE_CONV_2D": {("float32", "float32"), ("int8", "int8"), ("int8", "int4"), ("int16", "int8")},
    "FULLY_CONNECTED": {("float32", "float32"), ("int8", "int8"), ("int8", "int4"), ("int16", "int8")},
    "TRANSPOSE_CONV": {("float32", "float32"), ("int8", "int8"), ("int16", "int8")},
}
"""(data, weights) that TFLM's reference kernels have code for."""


def type_hits(file: ModelFile) -> Iterator[Hit]:
    """Layers with weights whose pair of types the runtime has no kernel for; known for TFLM only."""
    if file.runtime is None or not file.runtime.id.startswith("tflm"):
        return
    groups: dict[tuple[str, tuple[str, str]], list[Site]] = {}
    for site in sites(file, *WEIGHTED):
        pair = _pair(site)
        if pair is not None and pair not in MICRO_PAIRS[site.op.name]:
            groups.setdefault((site.op.name, pair), []).append(site)
    for (name, pair), group in groups.items():
        allowed = ", ".join(f"{data} with {weights}" for data, weights in sorted(MICRO_PAIRS[name]))
        message = (
            f"{group[0].title} has {pair[0]} data and {pair[1]} weights ({len(group)} of them); "
            f"{file.runtime.id} takes {allowed}."
        )
        yield Hit(message, group[0].where())


def _pair(site: Site) -> tuple[str, str] | None:
    data, weights = (site.tensor(place) for place in WEIGHTED[site.op.name])
    return None if data is None or weights is None else (data.dtype, weights.dtype)
