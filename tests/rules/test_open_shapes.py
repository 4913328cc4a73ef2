"""Shapes that a file marks as open: said, less sure, and no less grave, since the mark may be part of the damage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.corpus.base import Case
from rules.corpus.shapes import cases
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan.models import run_model_rules
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

CASES = [next(case for case in cases() if case.rule == rule) for rule in ("SHAPE-01", "SHAPE-02")]


def marked(data: bytes) -> bytes:
    """The file with the first dimension of every computed tensor marked as open."""
    model = read_model(data)
    tensors = tuple(
        replace(t, shape_signature=(-1, *t.shape[1:])) if t.shape and not len(model.buffers[t.buffer].data) else t
        for t in model.main.tensors
    )
    return write_model(replace(model, subgraphs=(replace(model.main, tensors=tensors),)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_open_shape_is_said_and_as_grave(case: Case) -> None:
    plain, open_ = (
        next(f for f in run_model_rules(data, runtime=load_runtime(case.runtime)) if f.id == case.rule)
        for data in (case.bad, marked(case.bad))
    )
    assert "open" not in plain.message
    assert "marks the shape as open" in open_.message
    assert open_.severity is plain.severity
    assert (plain.confidence, open_.confidence) == ("high", "medium")
