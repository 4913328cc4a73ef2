"""Constant inputs that steer an operator as options do: axes, blocks, paddings, bounds of slices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinymlsec.records import Location
from tinymlsec.rules._option_tables import AXIS_CVES, AXIS_INPUTS, AXIS_OPTIONS, BLOCK_CVES
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._sites import Site, sites
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile

BATCH_BLOCKS = ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
PADS = {"PAD": 1, "PADV2": 1, "MIRROR_PAD": 1, "SPACE_TO_BATCH_ND": 2, "BATCH_TO_SPACE_ND": 2}
SHORT = 64
"""Longest list of axes, blocks or paddings that is looked at."""
STATES: dict[str, tuple[int, ...]] = {
    "SVDF": (4,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19),
    "LSTM": (18, 19),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (4,),
    "RNN": (4,),
}
"""Inputs that hold state. The basic LSTM kernel keeps its state elsewhere and has no input 18."""


SOFTMAX_STEPS = 2.0**26
"""Integer softmax scales differences by beta x scale x 2^(31 - 5) and wants more than 1."""


def axis_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Axes, as constants or options, outside of the rank that they count in."""
    for site in sites(file, *AXIS_INPUTS):
        place, counted, more = AXIS_INPUTS[site.op.name]
        axes, shape = site.ints(place, SHORT), site.shape(counted)
        if axes is None or shape is None or not axes.size:
            continue
        rank = len(shape) + more
        bad = np.flatnonzero((axes < -rank) | (axes >= rank))
        if bad.size:
            found, location = int(axes[bad[0]]), site.where(place, int(bad[0]))
            yield _axis(file, rule_id, site, found, rank, location)
    for site in sites(file, *AXIS_OPTIONS):
        name, counted, more = AXIS_OPTIONS[site.op.name]
        value, shape = site.option(name), site.shape(counted)
        if value is not None and shape is not None and not -(len(shape) + more) <= value < len(shape) + more:
            yield _axis(file, rule_id, site, value, len(shape) + more, site.where())


def _axis(file: ModelFile, rule_id: str, site: Site, found: int, rank: int, location: Location) -> Hit:
    name = site.op.name
    message = f"{site.title} has axis {found}; expected {-rank} to {rank - 1}."
    effect = Effect.WRITE if name in ("ARG_MAX", "ARG_MIN") else Effect.READ
    return relative(file, message, location, rule=rule_id, op=name, cve=AXIS_CVES.get(name, ()), effect=effect)


def block_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Constant block sizes below 1."""
    for site in sites(file, *BATCH_BLOCKS):
        blocks = site.ints(1, SHORT)
        bad = np.flatnonzero(blocks < 1) if blocks is not None else np.empty(0, np.int64)
        if blocks is not None and bad.size:
            message = f"{site.title} has block sizes {blocks.tolist()}; expected 1 or more."
            yield relative(
                file, message, site.where(1, int(bad[0])), rule=rule_id, op=site.op.name,
                cve=BLOCK_CVES[site.op.name], effect=Effect.DIVISION,
            )  # fmt: skip


def divided_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Blocks that do not divide what they cut."""
    for site in sites(file, "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", *BATCH_BLOCKS):
        problem = _option_block(site) if site.op.name not in BATCH_BLOCKS else _constant_block(site)
        if problem:
            yield relative(
                file, f"{site.title} {problem}.", site.where(), rule=rule_id, op=site.op.name,
                cve=BLOCK_CVES[site.op.name], effect=Effect.WRITE,
            )  # fmt: skip


def _option_block(site: Site) -> str:
    block, shape = site.option("block_size"), site.shape(0)
    if block is None or block < 1 or shape is None or len(shape) != 4:
        return ""
    if site.op.name == "DEPTH_TO_SPACE":
        return (
            f"cuts {shape[3]} channels by {block} x {block}; expected a multiple" if shape[3] % (block * block) else ""
        )
    return (
        f"cuts {shape[1]} x {shape[2]} by {block}; expected multiples" if shape[1] % block or shape[2] % block else ""
    )


def _constant_block(site: Site) -> str:
    blocks, pads, shape = site.ints(1, SHORT), site.ints(2, SHORT), site.shape(0)
    if blocks is None or pads is None or shape is None or (blocks < 1).any() or (pads < 0).any():
        return ""
    if blocks.size >= len(shape) or pads.size != 2 * blocks.size:
        return ""
    if site.op.name == "BATCH_TO_SPACE_ND":
        product = int(np.prod(blocks))
        return f"cuts a batch of {shape[0]} by {product}; expected a multiple" if shape[0] % product else ""
    padded = np.array(shape[1 : 1 + blocks.size]) + pads.reshape(-1, 2).sum(axis=1)
    if (padded % blocks).any():
        return f"cuts {padded.tolist()} (padded) by {blocks.tolist()}; expected multiples"
    return ""


def padding_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Negative paddings and crops."""
    for site in sites(file, *PADS):
        place = PADS[site.op.name]
        pads = site.ints(place, SHORT)
        bad = np.flatnonzero(pads < 0) if pads is not None else np.empty(0, np.int64)
        if pads is not None and bad.size:
            message = f"{site.title} has paddings {pads.tolist()}; expected 0 or more."
            yield relative(
                file, message, site.where(place, int(bad[0])), rule=rule_id, op=site.op.name, effect=Effect.WRITE
            )


def mask_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """STRIDED_SLICE: ellipses and masks."""
    for site in sites(file, "STRIDED_SLICE"):
        problem = _mask_problem(site)
        if problem:
            yield relative(
                file, f"{site.title} {problem}. Old hosts loop without end over two ellipses.", site.where(),
                rule=rule_id, op=site.op.name, cve=("CVE-2021-37686",), effect=Effect.WRONG,
            )  # fmt: skip


def step_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """STRIDED_SLICE: constant steps of zero."""
    for site in sites(file, "STRIDED_SLICE"):
        steps = site.ints(3, SHORT)
        if steps is not None and (steps == 0).any() and not _mask_problem(site):
            message = f"{site.title} has steps {steps.tolist()}; expected none of 0."
            place = site.where(3, int(np.flatnonzero(steps == 0)[0]))
            yield relative(file, message, place, rule=rule_id, op=site.op.name, effect=Effect.LOOP)


def beta_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """SOFTMAX: factors that cannot be turned into a multiplier above 1."""
    for site in sites(file, "SOFTMAX"):
        beta, tensor = site.op.options.get("beta"), site.tensor(0)
        if not isinstance(beta, float) or not site.has_options() or tensor is None:
            continue
        scale = tensor.quantization.scale if tensor.quantization is not None else np.zeros(0)
        quantized = tensor.dtype in ("int8", "uint8") and scale.size == 1 and scale[0] > 0
        # `not >` holds for NaN as well.
        if not np.isfinite(beta) or (quantized and not beta * float(scale[0]) * SOFTMAX_STEPS > 1):
            message = f"{site.title} has beta = {beta:g}; expected a positive number such as 1."
            effect = Effect.ABORT if quantized else Effect.WRONG
            yield relative(file, message, site.where(), rule=rule_id, op=site.op.name, effect=effect)


def _mask_problem(site: Site) -> str:
    ellipsis = (site.option("ellipsis_mask") or 0) & 0xFFFFFFFF
    if ellipsis.bit_count() > 1:
        return f"has ellipsis_mask = {ellipsis:#x}; expected one bit at most"
    begin = site.shape(1)
    entries = int(np.prod(begin)) if begin else 0
    for name in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"):
        value = (site.option(name) or 0) & 0xFFFFFFFF
        if begin and value >> entries:
            return f"has {name} = {value:#x}; expected bits for its {entries} entries only"
    return ""


def state_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """State inputs that are present and not marked as variable."""
    for site in sites(file, *STATES):
        for place in STATES[site.op.name]:
            tensor = site.tensor(place)
            if tensor is not None and not tensor.is_variable:
                message = f"{site.title} keeps state in tensor {tensor.index}, which is not marked as variable."
                yield relative(
                    file, message, site.where(place), rule=rule_id, op=site.op.name,
                    cve=("CVE-2021-37681",) if site.op.name == "SVDF" else (), effect=Effect.NULL,
                )  # fmt: skip
