"""From the way of a program through a trace to the layers of a model: each stretch between calls, by its counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Shape
from tinymlsec.attacks.side_channel._arch_search import (
    CANDIDATES,
    EARLIER,
    END,
    MOST_LAYERS,
    Architecture,
    Layer,
    Report,
)
from tinymlsec.attacks.side_channel._path_counts import PAIRS, Known, candidates
from tinymlsec.attacks.side_channel._path_names import LAYER
from tinymlsec.attacks.side_channel._path_rules import Rules, binned
from tinymlsec.attacks.side_channel._path_viterbi import Graph, follow

SURPRISE = 1.5
"""Nats for each sample up to which a layer may be less likely than own runs of the same instructions."""
FAR = 0.05
"""Sum of relative differences of counts up to which a layer may be meant."""
SEEN = 0.5
"""Share of the marks of a kind that must have run."""
PIECE = 1 << 22


@dataclass(frozen=True)
class Stretch:
    """What ran between two calls."""

    start: int
    end: int
    visits: NDArray[np.int64]
    """(states,)"""


def recognize(
    rules: Rules, samples: NDArray[np.float32], source: Shape, sigma: float = 0.0, report: Report | None = None
) -> Architecture:
    """The layers of a trace, read by following the code, up to the first one that cannot be told.

    Args:
        rules: of the code.
        samples: (t,) one inference; nothing else is known of it.
        source: shape of the input, which whoever feeds the device knows; without the batch.
        sigma: of the noise.
        report: told how far it is.
    """
    graph, values = rules.graph(sigma), binned(samples)
    path = follow(graph, values)
    chain = Chain(rules, source)
    for stretch in stretches(rules, path):
        surprised = surprise(graph, stretch, path, values)
        if len(chain.layers) == MOST_LAYERS or not chain.take(stretch, surprised):
            break
        if report is not None:
            report(stretch.end, len(samples))
    return chain.read(len(samples))


def stretches(rules: Rules, path: NDArray[np.uint16]) -> Iterator[Stretch]:
    """What ran between what calls layers."""
    inside = np.ones(len(rules.names), np.bool_)
    inside[rules.between] = False
    inside = inside[path]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.view(np.int8), [0]])))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield Stretch(begin, end, np.bincount(path[begin:end], minlength=len(rules.names)))


def surprise(graph: Graph, stretch: Stretch, path: NDArray[np.uint16], values: NDArray[np.uint8]) -> float:
    """Nats for each sample by which samples are less likely than those of own runs of the same instructions.

    Args:
        graph: the program.
        stretch: of the trace.
        path: (t,) states of the whole trace.
        values: (t,)
    """
    usual = (np.exp(graph.emission) * graph.emission).sum(axis=0)
    total = float(stretch.visits @ usual)
    for begin in range(stretch.start, stretch.end, PIECE):
        part = slice(begin, min(begin + PIECE, stretch.end))
        total -= float(graph.emission[values[part], path[part]].sum(dtype=np.float64))
    return total / (stretch.end - stretch.start)


class Chain:
    """Layers so far, each of which reads what one before put out.

    Args:
        rules: of the code.
        source: shape of the input.
    """

    def __init__(self, rules: Rules, source: Shape) -> None:
        self.rules = rules
        self.layers: list[Layer] = []
        self.tensors: list[Shape] = [source]

    def take(self, stretch: Stretch, surprised: float) -> bool:
        """Adds the layer of a stretch; False where it is none that can be told."""
        kind = self.kind(stretch)
        if not kind:
            return not self._is_layer(stretch)
        ways = self.ways(kind, self.counts(kind, stretch))
        if not ways or surprised > SURPRISE:
            return False
        best = ways[0]
        others = tuple((k.kind, k.output, k.macs) for k in ways[1:CANDIDATES])
        self.layers.append(
            Layer(best.kind, best.source, best.output, best.macs, stretch.start, stretch.end,
                  -surprised, best.detail, others)
        )  # fmt: skip
        self.tensors.append(best.output)
        return True

    def read(self, samples: int) -> Architecture:
        """What was recovered of a trace of so many samples."""
        layers = self.layers[:]
        # a view shows as a single sample: where nothing follows it, that may be anything
        while layers and layers[-1].kind == "RESHAPE" and layers[-1].end + END < samples:
            layers.pop()
        return Architecture(tuple(layers), layers[-1].end if layers else 0, samples)

    def kind(self, stretch: Stretch) -> str:
        """The kind whose own instructions ran most completely, or nothing."""
        shares = {kind: float((stretch.visits[marks] > 0).mean()) for kind, marks in self.rules.marks.items()}
        best = max(shares, key=lambda kind: shares[kind])
        return best if shares[best] > SEEN else ""

    def counts(self, kind: str, stretch: Stretch) -> dict[str, int]:
        """What most of the instructions that count something say."""
        counters = self.rules.counters[kind].items()
        return {name: int(np.median(stretch.visits[states].sum(axis=1))) for name, states in counters}

    def ways(self, kind: str, counts: dict[str, int]) -> list[Known]:
        """Layers of a kind that would run so, the best first, those that read newer tensors ahead of others."""
        shapes = [shape for shape, _ in groupby(reversed(self.tensors))]
        found: list[tuple[float, int, Known]] = []
        for age, source in enumerate(dict.fromkeys(shapes[: 1 + EARLIER])):
            if kind in PAIRS and self.tensors.count(source) < 2:
                continue
            found += [(far, age, layer) for far, layer in candidates(kind, source, counts) if far <= FAR]
        found.sort(key=lambda each: each[:2])
        return _different([layer for far, _, layer in found if far == found[0][0]])

    def _is_layer(self, stretch: Stretch) -> bool:
        return bool(stretch.visits[self.rules.names.within(LAYER)].any())


def _different(layers: Sequence[Known]) -> list[Known]:
    """One of those that are the same in kind, output and products."""
    made = {(k.kind, k.output, k.macs): k for k in reversed(layers)}
    return list(reversed(made.values()))
