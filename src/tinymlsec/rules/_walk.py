"""The raw flatbuffer of a model file as sorted spans: what overlaps, what is misaligned, what nothing refers to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from tinymlsec.errors import ModelFileError
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.layout import Span, layout

MAX_SPANS = 500_000
"""Spans that are looked at; a model of 1,000 operators has about 40,000."""
_HEADER = Span(0, 8, "root", "Model")  # root reference and identifier
_OBJECTS = ("vtable", "table", "vector", "references", "string", "outside")


@dataclass(frozen=True)
class Walk:
    """Everything the schema can reach in a file."""

    spans: tuple[Span, ...]
    """In the order of the walk; empty where it met damage."""
    damage: ModelFileError | None = None
    """What the walk met that the reader had no reason to look at."""
    objects: tuple[Span, ...] = ()
    """Tables, vtables, vectors, strings and outside bytes by their start; the same bytes shared by several owners
    (writers do that with vtables and strings) once."""
    filled: tuple[int, ...] = ()
    """End of each object's content. A table may claim a few bytes behind its last field, and TensorFlow's converter
    does put the next table there."""

    @property
    def end(self) -> int:
        """Position after the last byte that anything refers to."""
        return max((span.end for span in self.objects), default=0)


def walk_of(file: ModelFile) -> Walk:
    """The walk of a file, made once; empty for a file that the reader refused."""
    if "walk" not in file.memo:
        file.memo["walk"] = Walk(()) if file.model is None else _walk(file.data)
    walk: Walk = file.memo["walk"]
    return walk


def _walk(data: bytes | memoryview) -> Walk:
    try:
        spans = tuple(islice(layout(data), MAX_SPANS + 1))
    except ModelFileError as error:
        return Walk((), error)
    if len(spans) > MAX_SPANS:
        too_many = ModelFileError(
            "the file has more structures than a microcontroller's model needs",
            offset=spans[-1].start,
            rule="STRUCT-06",
            found=f"more than {MAX_SPANS:,} tables, fields, vectors and strings",
            expected=f"at most {MAX_SPANS:,}",
        )
        return Walk((), too_many)
    return _sorted(spans)


def _sorted(spans: tuple[Span, ...]) -> Walk:
    seen: set[tuple[int, int, str]] = set()
    kept: list[list[Any]] = [[_HEADER, _HEADER.end]]
    current = kept[0]
    for span in spans:
        if span.kind in _OBJECTS:
            key = (span.start, span.end, span.owner if span.kind == "table" else "")
            if key in seen:
                continue
            seen.add(key)
            kept.append([span, span.start + 4 if span.kind == "table" else span.end])
            if span.kind == "table":
                current = kept[-1]
        elif span.kind != "root" and span.end > current[1]:  # fields follow their table in the walk
            current[1] = span.end
    kept.sort(key=lambda pair: int(pair[0].start))
    return Walk(spans, None, tuple(span for span, _ in kept), tuple(end for _, end in kept))


def overlaps(walk: Walk) -> list[tuple[Span, Span]]:
    """(earlier, later) objects whose content shares bytes, by the start of the later; at most 64."""
    starts = np.fromiter((span.start for span in walk.objects), np.int64, len(walk.objects))
    ends = np.array(walk.filled, dtype=np.int64)
    late = np.flatnonzero(starts[1:] < np.maximum.accumulate(ends)[:-1])[:64] + 1
    first = [int(np.argmax(ends[:number] > starts[number])) for number in late.tolist()]
    return [(walk.objects[a], walk.objects[b]) for a, b in zip(first, late.tolist(), strict=True)]


def gaps(walk: Walk) -> list[tuple[int, int]]:
    """(start, end) of bytes between the first and the last object that nothing refers to."""
    starts = np.fromiter((span.start for span in walk.objects), np.int64, len(walk.objects))
    reach = np.maximum.accumulate(np.fromiter((span.end for span in walk.objects), np.int64, len(walk.objects)))
    holes = np.flatnonzero(starts[1:] > reach[:-1])
    return [(int(reach[hole]), int(starts[hole + 1])) for hole in holes.tolist()]


def misaligned(walk: Walk) -> list[tuple[Span, int]]:
    """(span, alignment that it needs) of everything that does not lie on a multiple of its width, in file order."""
    found = [(span, width) for span in walk.spans if (width := _alignment(span)) > 1 and _first(span) % width]
    return sorted(found, key=lambda pair: pair[0].start)


def _alignment(span: Span) -> int:
    if span.kind == "vtable":
        return 2
    if span.kind in ("root", "outside"):
        return 4 if span.owner == "Buffer.offset" else 1  # constants kept outside are read in place as well
    if span.kind in ("scalar", "vector"):
        return span.width if span.kind == "scalar" else max(4, span.width)
    return 4


def _first(span: Span) -> int:
    """Where the elements begin; the length before a vector of wide elements lies four bytes earlier."""
    return span.start + 4 if span.kind == "vector" and span.width > 4 else span.start
