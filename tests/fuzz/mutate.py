"""Makes damaged model files from sound ones: blindly by bytes, and knowingly by what each place in the file means.

Everything is drawn from one NumPy generator, so a seed and a count say exactly which files were tried.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fuzz.blind import BlindMutator
from tinymlsec.target.tflite.layout import Span, SpanKind, layout


@dataclass(frozen=True)
class Seed:
    """A sound file and where everything in it lies."""

    data: bytes
    spans: dict[SpanKind, list[Span]]
    starts: list[int]
    """Where tables, vectors and strings begin: places that a reference could be bent to."""


def prepare(data: bytes) -> Seed:
    spans: dict[SpanKind, list[Span]] = {}
    for span in layout(data):
        spans.setdefault(span.kind, []).append(span)
    targets = ("table", "vector", "references", "string", "vtable")
    starts = sorted({span.start for kind in targets for span in spans.get(kind, [])})
    return Seed(data, spans, starts)


class Mutator(BlindMutator):
    """A stream of damaged files.

    Args:
        seeds: sound files to start from.
        rng: the only source of chance.
    """

    def __init__(self, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
        super().__init__([prepare(data) for data in seeds], rng)
        self.by_meaning = (
            self.change_scalar,
            self.change_scalar,
            self.change_element,
            self.change_element,
            self.change_length,
            self.change_reference,
            self.change_vtable,
            self.change_table_start,
        )

    def span(self, data: bytearray, seed: Seed, *kinds: SpanKind) -> Span | None:
        """A span of one of these kinds that is still inside the file."""
        found = seed.spans.get(self.pick(kinds), [])
        span = self.pick(found) if found else None
        return span if span is not None and span.end <= len(data) else None

    def change_scalar(self, data: bytearray, seed: Seed) -> None:
        if span := self.span(data, seed, "scalar"):
            self.write(data, span.start, span.width, self.number(span.width))

    def change_reference(self, data: bytearray, seed: Seed) -> None:
        """Bends a reference to another structure, to itself, or to anywhere."""
        if span := self.span(data, seed, "reference", "root"):
            bent = self.pick(seed.starts) - span.start
            self.write(data, span.start, 4, bent if self.below(3) else self.number(4))

    def change_length(self, data: bytearray, seed: Seed) -> None:
        if span := self.span(data, seed, "vector", "references", "string"):
            old = struct.unpack_from("<I", data, span.start)[0]
            near = old + self.below(9) - 4
            self.write(data, span.start, 4, near if self.below(2) else self.number(4))

    def change_element(self, data: bytearray, seed: Seed) -> None:
        """Changes a dimension, an index, a scale, or which table an entry refers to."""
        span = self.span(data, seed, "vector", "references")
        if span is None or span.end - span.start <= 4:
            return
        at = span.start + 4 + span.width * self.below((span.end - span.start - 4) // span.width)
        bent = self.pick(seed.starts) - at if span.kind == "references" and self.below(2) else self.number(span.width)
        self.write(data, at, span.width, bent)

    def change_vtable(self, data: bytearray, seed: Seed) -> None:
        """Changes a vtable's size, its table's size, or the place of a field."""
        if span := self.span(data, seed, "vtable"):
            at = span.start + 2 * self.below((span.end - span.start) // 2)
            self.write(data, at, 2, self.below(64) if self.below(2) else self.number(2))

    def change_table_start(self, data: bytearray, seed: Seed) -> None:
        """Bends the way from a table to its vtable."""
        if span := self.span(data, seed, "table"):
            bent = span.start - self.pick(seed.starts)
            self.write(data, span.start, 4, bent if self.below(2) else self.number(4))
