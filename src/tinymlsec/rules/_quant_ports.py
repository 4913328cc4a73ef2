"""Scales that an operator needs to be equal, and outputs whose scale its kernel fixes."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.rules._places import tensor_words
from tinymlsec.rules._quant_tables import FIXED_OUTPUT, JOINED, KEEP_SCALE, QUANTIZED, SAME
from tinymlsec.rules._quant_tensors import good_scales
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._sites import Site, sites
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.graph import Tensor

Grid = tuple[float, int]
MOST = 64
"""Inputs and outputs of one operator that are compared."""


def _grid(site: Site, tensor: Tensor | None) -> Grid | None:
    """Scale and zero point of a tensor quantized as a whole; None where it is not, or they are not usable."""
    if tensor is None or tensor.dtype not in QUANTIZED or tensor.quantization is None or not site.work.take(16):
        return None
    quantization = tensor.quantization
    if quantization.scale.size != 1 or quantization.zero_point.size != 1 or not good_scales(quantization):
        return None
    return float(quantization.scale[0]), int(quantization.zero_point[0])


def _differ(one: Grid, other: Grid) -> bool:
    return abs(one[0] - other[0]) > SAME * max(one[0], other[0]) or one[1] != other[1]


def _words(grid: Grid) -> str:
    return f"scale {grid[0]:.6g}, zero point {grid[1]}"


def kept_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Operators that pass values on as they are, between tensors of different scales."""
    for site in sites(file, *KEEP_SCALE, *JOINED):
        joined = site.op.name in JOINED
        places = range(min(len(site.op.inputs), MOST)) if joined else (KEEP_SCALE[site.op.name],)
        tensors = [site.tensor(place) for place in places]
        tensors += [site.output(position) for position in range(min(len(site.op.outputs), MOST))]
        grids = [(tensor, grid) for tensor in tensors if tensor and (grid := _grid(site, tensor)) is not None]
        bad = next((pair for pair in grids if _differ(pair[1], grids[0][1])), None)
        if bad is not None:
            message = (
                f"{site.title} passes values on as they are, from {tensor_words(grids[0][0])} ({_words(grids[0][1])}) "
                f"to or beside {tensor_words(bad[0])} ({_words(bad[1])}); expected the same."
            )
            location = site.where().model_copy(update={"tensor": bad[0].index})
            yield relative(file, message, location, rule=rule_id, op=site.op.name, effect=Effect.WRONG)


def fixed_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Outputs whose scale or zero point is not the one that the kernel computes with."""
    for site in sites(file, *sorted({name for name, _ in FIXED_OUTPUT})):
        output = site.output()
        grid = _grid(site, output)
        wanted = FIXED_OUTPUT.get((site.op.name, output.dtype)) if output is not None else None
        if grid is not None and wanted is not None and output is not None and _differ(grid, wanted):
            message = (
                f"{site.title} has an output of {_words(grid)}; expected {_words(wanted)}, which its kernel computes."
            )
            location = site.where().model_copy(update={"tensor": output.index})
            yield relative(file, message, location, rule=rule_id, op=site.op.name, effect=Effect.WRONG)
