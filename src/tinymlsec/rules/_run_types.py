"""Types of data and weights that the kernels of a runtime take."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.rules._sites import Site, sites
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.runtime import Runtime
from tinymlsec.rules.subjects import ModelFile

WEIGHTED = {"CONV_2D": (0, 1), "DEPTHWISE_CONV_2D": (0, 1), "FULLY_CONNECTED": (0, 1), "TRANSPOSE_CONV": (2, 1)}
MICRO_PAIRS = {
    "CONV_2D": {("float32", "float32"), ("int8", "int8"), ("int8", "int4"), ("int16", "int8")},
    "DEPTHWISE_CONV_2D": {("float32", "float32"), ("int8", "int8"), ("int8", "int4"), ("int16", "int8")},
    "FULLY_CONNECTED": {("float32", "float32"), ("int8", "int8"), ("int8", "int4"), ("int16", "int8")},
    "TRANSPOSE_CONV": {("float32", "float32"), ("int8", "int8"), ("int16", "int8")},
}
"""(data, weights) that TFLM's reference kernels have code for."""


ASKED = frozenset({"float32", "int8", "uint8", "int16", "int32", "int64", "bool"})
"""Types that runtimes were asked about."""
DATA = {"SPLIT": 1}
"""Input with the data, where that is not the first."""


def type_hits(file: ModelFile) -> Iterator[Hit]:
    """Operators whose data, or pair of data and weights, is of a type that the runtime has no kernel for."""
    if file.runtime is None:
        return
    groups: dict[tuple[str, str], list[Site]] = {}
    for site in sites(file):
        problem = _problem(file.runtime, site)
        if problem:
            groups.setdefault((site.op.name, problem), []).append(site)
    for (_, problem), group in groups.items():
        yield Hit(f"{group[0].title} has {problem} ({len(group)} of them in the model).", group[0].where())


def _problem(runtime: Runtime, site: Site) -> str:
    """What is wrong with an operator's types; empty where nothing is known to be."""
    name = site.op.name
    if name in WEIGHTED:
        pair = _pair(site)
        if not runtime.id.startswith("tflm") or pair is None or pair in MICRO_PAIRS[name]:
            return ""
        allowed = ", ".join(f"{data} with {weights}" for data, weights in sorted(MICRO_PAIRS[name]))
        return f"{pair[0]} data and {pair[1]} weights, while {runtime.id} takes {allowed}"
    data, allowed_types = site.tensor(DATA.get(name, 0)), runtime.types.get(name)
    if data is None or allowed_types is None or data.dtype not in ASKED or data.dtype in allowed_types:
        return ""
    return f"{data.dtype} data, while {runtime.id} takes {', '.join(sorted(allowed_types))}"


def _pair(site: Site) -> tuple[str, str] | None:
    data, weights = (site.tensor(place) for place in WEIGHTED[site.op.name])
    return None if data is None or weights is None else (data.dtype, weights.dtype)
