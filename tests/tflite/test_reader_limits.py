"""The worst files that are still accepted: as many tables as the limits allow, all of them the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.handmade import operator, quantization, tensor
from models.malformed import repeated
from tinymlsec.target.tflite.limits import MAX_OPERATORS, MAX_TENSORS, WORK_CEILING, work_budget

REPO = Path(__file__).resolve().parents[2]
MEASURE = """
import json, resource, sys, time
from pathlib import Path
from tinymlsec.target.tflite.facts import file_facts
from tinymlsec.target.tflite.reader import read_model
data = Path(sys.argv[1]).read_bytes()
start = time.process_time()
model = read_model(data)
json.dumps(file_facts(model, data), allow_nan=False)
print(len(model.main.tensors), len(model.main.operators), time.process_time() - start)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1024))
"""

WORST = {
    "tensors": lambda: repeated(
        "tensors", MAX_TENSORS, tensor("t", (1, 2), "INT8", 0, Quantization=quantization([0.5] * 4096, [0] * 4096))
    ),
    "operators": lambda: repeated(
        "operators", MAX_OPERATORS, operator(0, (0, 0), (0,), ("StablehloConvolutionOptions", {}))
    ),
}


@pytest.mark.parametrize("name", WORST)
def test_time_and_memory_of_the_worst_accepted_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "worst.tflite"
    path.write_bytes(WORST[name]() + bytes(1 << 20))  # a longer file has a larger budget
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPO / "src")},
        check=True,
    )
    tensors, operators, seconds, megabytes = (float(word) for word in done.stdout.split())
    assert {"tensors": tensors, "operators": operators}[name] == {"tensors": MAX_TENSORS, "operators": MAX_OPERATORS}[
        name
    ]
    assert seconds < 30
    assert megabytes < 1024


def test_budget_grows_with_the_file_up_to_a_ceiling() -> None:
    assert work_budget(0) < work_budget(10_000) < work_budget(100_000) < WORK_CEILING
    assert work_budget(1 << 30) == WORK_CEILING
