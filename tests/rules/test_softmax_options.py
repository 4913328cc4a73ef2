"""SOFTMAX without options of its own runs with a factor of 0, which aborts 8-bit kernels."""

from __future__ import annotations

from dataclasses import replace

from rules.corpus.one_op import SOFTMAX
from tinymlsec.scan.models import run_model_rules
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model


def ids(data: bytes) -> set[str]:
    return {f.id for f in run_model_rules(data) if f.severity.rank > 0}


def test_options_of_another_operator_are_named() -> None:
    good = SOFTMAX.file()
    model = read_model(good)
    op = replace(model.main.operators[0], options_type="HardSwishOptions", options={})
    bad = write_model(replace(model, subgraphs=(replace(model.main, operators=(op,)),)))
    assert ids(bad) - ids(good) == {"OPT-16"}
