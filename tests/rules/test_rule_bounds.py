"""What rules about operators may cost on a file that was made to be slow."""

from __future__ import annotations

import time

import numpy as np

from rules.corpus.base import graph
from tinymlsec.rules.quantization import divisor
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan.models import open_model, scan_model

OPERATORS = 3_000


def shared_constant() -> bytes:
    """Thousands of divisions by one constant of a megabyte."""
    builder = graph()
    x = builder.input((1, 1), "float32")
    y = builder.constant(np.ones((1, 1 << 18), np.float32))
    for _ in range(OPERATORS):
        last = builder.op("DIV", [x, y], shape=(1, 1 << 18), dtype="float32", options={})
    builder.output(last)
    return builder.tobytes()


def test_a_constant_that_everything_shares_is_not_read_for_ever() -> None:
    file = open_model(shared_constant(), runtime=load_runtime())
    began = time.process_time()
    assert list(divisor.check(file)) == []
    assert file.memo["sites.work"].left < 0, "the bound was reached"
    assert time.process_time() - began < 1.0


def test_all_rules_together_end_soon() -> None:
    file = open_model(shared_constant(), runtime=load_runtime())
    began = time.process_time()
    assert scan_model(file).failures == ()
    assert time.process_time() - began < 20.0
