"""Mutated files through reader, shape inference and writer: a clear error or the same graph again, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from models.graph_compare import plain
from models.shape_cases import CASES
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.layout import Span, layout
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.shapes import infer_model
from tinymlsec.target.tflite.writer import write_model

NUMBERS = (0, 1, 2, 3, 5, -1, -2, 255, 65536, 2**31 - 1, -(2**31))


def mutate(data: bytes, spans: list[Span], rng: np.random.Generator) -> bytes:
    """Puts telling numbers into one or two fields; structure-aware, so most files still parse."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        span = spans[rng.integers(len(spans))]
        width = min(span.width, 4)
        start = span.start + (4 if span.kind == "vector" else 0)
        place = start + width * int(rng.integers(max((span.end - start) // width, 1)))
        number = NUMBERS[rng.integers(len(NUMBERS))] % (1 << 8 * width)
        changed[place : place + width] = number.to_bytes(width, "little")
    return bytes(changed[: len(data)])


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files(seed: int) -> None:
    rng = np.random.default_rng(seed)
    read = errors = written = 0
    for case in CASES:
        data = write_model(case.model())
        spans = [span for span in layout(data) if span.kind in ("scalar", "vector")]
        for _ in range(3):
            try:
                model = read_model(mutate(data, spans, rng))
            except ModelFileError:
                continue
            read += 1
            errors += sum(result.error is not None for result in infer_model(model))
            try:
                again = write_model(model)
            except ModelFileError:
                continue
            written += 1
            assert plain(read_model(again)) == plain(model)
    assert read > 100
    assert errors > 10
    assert written > 80
