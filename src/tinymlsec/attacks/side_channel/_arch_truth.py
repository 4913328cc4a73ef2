"""What a model really is, layer by layer, and how much of it was recovered. Only the evaluation sees this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Shape
from tinymlsec.attacks.side_channel._arch_recording import portions
from tinymlsec.emulate.contract import Probe
from tinymlsec.emulate.twin import Twin
from tinymlsec.target.tflite.graph import Model, Operator

NEAR = 96
"""Samples by which the place of a layer without a kernel may be missed."""


@dataclass(frozen=True)
class TrueLayer:
    """One operator of the model."""

    index: int
    kind: str
    output: Shape
    macs: int
    start: int
    end: int


@dataclass(frozen=True)
class Guessed:
    """One layer as an attack names it."""

    kind: str
    output: Shape
    macs: int
    start: int
    end: int
    others: tuple[tuple[str, Shape, int], ...] = ()


@dataclass(frozen=True)
class Row:
    """A true layer, what was recovered for it, and what of it is right."""

    true: TrueLayer
    guess: Guessed | None
    kind: bool
    shape: bool
    macs: bool
    candidates: bool
    """The candidates, the first one included, hold kind, shape and products."""


def true_layers(twin: Twin, inputs: Sequence[NDArray[np.generic]]) -> list[TrueLayer]:
    """All operators of a model with the samples in which each runs."""
    symbols, layers = twin.image.symbols, twin.program.layers
    addresses = {symbols[layer.symbol].address: layer for layer in layers if layer.symbol in symbols}
    begins: dict[int, int] = {}
    with twin.start() as started:
        made = 0
        for records in portions(started, inputs, Probe(values=False, registers=True, limit=(1 << 21) + 8), 1 << 28):
            for address in addresses:
                if address not in begins and len(at := np.flatnonzero(records["pc"] == address)):
                    begins[address] = made + int(at[0])
            made += len(records)
    ordered = sorted((begin, addresses[address]) for address, begin in begins.items())
    ends = [begin for begin, _ in ordered[1:]] + [made]
    graph = twin.model.main
    return [
        TrueLayer(
            layer.index,
            graph.operators[layer.index].name,
            *facts_of(twin.model, graph.operators[layer.index]),
            begin,
            end,
        )
        for (begin, layer), end in zip(ordered, ends, strict=True)
    ]


def facts_of(model: Model, op: Operator) -> tuple[Shape, int]:
    """Shape of the output without the batch, and products, taps on the border included."""
    tensors = model.main.tensors
    output = tensors[op.outputs[0]].shape
    macs = 0
    if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        weights = tensors[op.inputs[1]].shape
        macs = prod(output[1:]) * (prod(weights[1:3]) if op.name.startswith("D") else prod(weights[1:]))
    return tuple(output[1:]), macs


def compared(true: Sequence[TrueLayer], guessed: Sequence[Guessed]) -> list[Row]:
    """Each true layer beside the recovered one that overlaps it most; each recovered one counts once."""
    rows, taken = [], set()
    for layer in true:
        best, most = None, 0.0
        for number, guess in enumerate(guessed):
            overlap = min(layer.end, guess.end) - max(layer.start, guess.start)
            if layer.kind == guess.kind == "RESHAPE" and abs(layer.start - guess.start) <= NEAR:
                overlap = layer.end - layer.start + NEAR
            if number not in taken and overlap > most and (guess.kind == "RESHAPE") <= (layer.kind == "RESHAPE"):
                best, most = number, overlap
        if best is not None:
            taken.add(best)
        rows.append(_row(layer, None if best is None else guessed[best]))
    return rows


def _row(true: TrueLayer, guess: Guessed | None) -> Row:
    if guess is None:
        return Row(true, None, False, False, False, False)
    kind = guess.kind == true.kind
    shape, macs = kind and guess.output == true.output, kind and guess.macs == true.macs
    fact = true.kind, true.output, true.macs
    held = fact in ((guess.kind, guess.output, guess.macs), *guess.others)
    return Row(true, guess, kind, shape, macs, held)
